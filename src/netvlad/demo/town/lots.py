"""Divides a frontage into lots and puts a building, a garden or a yard on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from netvlad.demo.town.plan import Building, Fence, FenceKind, Point, Sprite
from netvlad.demo.town.styles import Neighbourhood, draw_style, pick_weighted

FENCES: tuple[FenceKind, ...] = ("wall", "hedge", "railing", "hoarding")


@dataclass(frozen=True)
class LotRow:
    """A frontage: its left end seen from the street, the direction to the right, its length.

    With `corners`, the sides of the first and the last building face a street as well.
    """

    corner: Point
    along: Point
    length: float
    depth: float
    corners: bool = False


def build_row(
    rng: np.random.Generator, row: LotRow, hood: Neighbourhood, gaps: float = 0.09
) -> tuple[list[Building], list[Fence], list[Sprite]]:
    """Fills a frontage.

    Args:
        rng: Where the choices come from.
        row: The frontage.
        hood: The manner of the buildings.
        gaps: The share of lots without a building; corners always have one.

    Returns:
        Buildings, the fences in front of the gaps, and the trees behind those fences.
    """
    buildings: list[Building] = []
    fences: list[Fence] = []
    sprites: list[Sprite] = []
    if row.length < 3.0:
        return buildings, fences, sprites
    edges = _edges(rng, row.length, hood.lot)
    last = len(edges) - 2
    for lot, (left, right) in enumerate(pairwise(edges)):
        corner = (row.corner[0] + left * row.along[0], row.corner[1] + left * row.along[1])
        building = _building(rng, corner, row, right - left, hood)
        if 0 < lot < last and rng.random() < gaps:
            fence, trees = _garden(rng, building)
            fences.append(fence)
            sprites.extend(trees)
            continue
        if row.corners:
            building = replace(building, left_front=lot == 0, right_front=lot == last)
        buildings.append(building)
    return buildings, fences, sprites


def _edges(rng: np.random.Generator, length: float, lot: tuple[float, float]) -> list[float]:
    """Lot borders from 0 to `length`."""
    count = max(1, round(length / float(rng.uniform(*lot))))
    shares = rng.uniform(0.65, 1.35, count)
    return [0.0, *(np.cumsum(shares)[:-1] / shares.sum() * length).tolist(), length]


def _building(
    rng: np.random.Generator, corner: Point, row: LotRow, width: float, hood: Neighbourhood
) -> Building:
    style = draw_style(rng, hood)
    storeys = int(rng.integers(hood.storeys[0], hood.storeys[1] + 1))
    roof = pick_weighted(rng, hood.roofs)
    if roof in ("gable", "steps") and width > 10.0:
        roof = "ridge"
    rise = 0.0
    if roof == "ridge":
        rise = float(rng.uniform(1.8, 3.4))
    elif roof in ("gable", "steps"):
        rise = width * float(rng.uniform(0.4, 0.62))
    ground = 0.6 if style.ground_floor == "shop" else 0.35
    return Building(
        corner=corner,
        along=row.along,
        width=width,
        depth=row.depth,
        height=storeys * style.floor_height + ground + (0.7 if roof == "flat" else 0.2),
        roof=roof,
        rise=rise,
        roof_colour=int(rng.integers(5)),
        style=style,
    )


def _garden(rng: np.random.Generator, lot: Building) -> tuple[Fence, list[Sprite]]:
    """A fence along the street, and trees and bushes behind it."""
    kind = FENCES[int(rng.integers(len(FENCES)))]
    height = {"wall": 2.2, "hedge": 1.4, "railing": 1.5, "hoarding": 2.5}[kind]
    fence = Fence(lot.at(0.0, 0.0), lot.at(lot.width, 0.0), height, kind, lot.style.seed)
    trees = [
        Sprite(
            "tree",
            lot.at(lot.width * float(rng.uniform(0.2, 0.8)), float(rng.uniform(2.5, 7.0))),
            float(rng.uniform(5.0, 8.5)),
            int(rng.integers(8)),
        )
        for _ in range(int(rng.integers(1, 3)))
    ]
    return fence, trees
