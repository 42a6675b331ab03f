"""Draws the plan of a district: a crooked-spaced grid of streets and what stands between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from netvlad.demo.town.furniture import furnish_block, furnish_street
from netvlad.demo.town.lots import LotRow, build_row
from netvlad.demo.town.plan import (
    Block,
    BlockKind,
    Building,
    District,
    Fence,
    Split,
    Sprite,
    Street,
    Surface,
)
from netvlad.demo.town.styles import NEIGHBOURHOODS, Neighbourhood, pick, pick_weighted

RING = 13.0
SPLITS: tuple[Split, ...] = ("train", "val", "test")
# The districts lie hundreds of metres apart: no place can be in two splits.
ORIGINS: dict[Split, tuple[float, float]] = {
    "train": (500_000.0, 5_000_000.0),
    "val": (500_620.0, 5_000_180.0),
    "test": (500_240.0, 5_000_590.0),
}
TURNS: dict[Split, float] = {"train": 14.0, "val": -23.0, "test": 37.0}


@dataclass(frozen=True)
class TownSize:
    """How large the town is.

    Attributes:
        train: Streets along `y` and along `x` in the training district.
        val: The same for validation.
        test: The same for the test.
        queries: Queries per place in train, val and test.
    """

    train: tuple[int, int] = (4, 3)
    val: tuple[int, int] = (2, 2)
    test: tuple[int, int] = (3, 2)
    queries: tuple[float, float, float] = (3.0, 3.0, 5.0)

    def streets(self, split: Split) -> tuple[int, int]:
        """The number of streets along `y` and along `x`."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    def queries_per_place(self, split: Split) -> float:
        """How many queries there are for each place."""
        return self.queries[SPLITS.index(split)]


WHOLE_TOWN = TownSize()


@dataclass
class _Draft:
    """A district while it is drawn."""

    blocks: list[Block] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    sprites: list[Sprite] = field(default_factory=list)


def lay_out_district(split: Split, size: TownSize, seed: int) -> District:
    """The plan of one district.

    Args:
        split: Which district.
        size: How many streets every district has.
        seed: The town's seed. The same seed gives the same plan.

    Returns:
        The district in its own frame, with its origin and turn in the world.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), 1])
    columns, rows = size.streets(split)
    widths_x = [float(rng.uniform(10.0, 17.0)) for _ in range(columns)]
    widths_y = [float(rng.uniform(10.0, 17.0)) for _ in range(rows)]
    xs = _centres(rng, widths_x, (42.0, 62.0))
    ys = _centres(rng, widths_y, (40.0, 56.0))
    span_x, span_y = (xs[0] - 22.0, xs[-1] + 22.0), (ys[0] - 22.0, ys[-1] + 22.0)
    streets = [_street(rng, "y", x, span_y, w) for x, w in zip(xs, widths_x, strict=True)]
    streets += [_street(rng, "x", y, span_x, w) for y, w in zip(ys, widths_y, strict=True)]
    draft = _Draft()
    _fill_blocks(rng, draft, streets[:columns], streets[columns:])
    _close_ends(rng, draft, streets)
    for street in streets:
        crossings = streets[columns:] if street.axis == "y" else streets[:columns]
        draft.sprites.extend(furnish_street(rng, street, tuple(crossings)))
    return District(
        split=split,
        origin=ORIGINS[split],
        turn=TURNS[split],
        extent=(span_x[0] - 30.0, span_y[0] - 30.0, span_x[1] + 30.0, span_y[1] + 30.0),
        streets=tuple(streets),
        blocks=tuple(draft.blocks),
        buildings=tuple(draft.buildings),
        fences=tuple(draft.fences),
        sprites=tuple(draft.sprites),
        seed=seed,
    )


def _centres(
    rng: np.random.Generator, widths: list[float], gap: tuple[float, float]
) -> list[float]:
    """Centre lines of parallel streets with blocks of random depth between them."""
    centres = [0.0]
    for before, after in pairwise(widths):
        block = float(rng.uniform(*gap))
        centres.append(centres[-1] + before / 2 + block + after / 2)
    return centres


def _street(
    rng: np.random.Generator, axis: str, centre: float, span: tuple[float, float], width: float
) -> Street:
    surfaces: tuple[tuple[Surface, float], ...] = (
        ("asphalt", 6.0),
        ("cobbles", 2.0),
        ("concrete", 1.0),
    )
    surface = pick_weighted(rng, surfaces)
    return Street(
        axis="x" if axis == "x" else "y",
        centre=centre,
        start=span[0],
        end=span[1],
        width=width,
        carriageway=width - float(rng.uniform(3.6, 5.6)),
        surface=surface,
        marked=surface == "asphalt" and bool(rng.random() < 0.75),
        parking=bool(width > 11.5 and rng.random() < 0.8),
    )


def _intervals(streets: list[Street]) -> list[tuple[float, float]]:
    """The land before, between and after parallel streets."""
    edges = [
        (street.centre - street.width / 2, street.centre + street.width / 2) for street in streets
    ]
    inner = [(a[1], b[0]) for a, b in pairwise(edges)]
    return [(edges[0][0] - RING, edges[0][0]), *inner, (edges[-1][1], edges[-1][1] + RING)]


def _fill_blocks(
    rng: np.random.Generator, draft: _Draft, upright: list[Street], level: list[Street]
) -> None:
    columns, rows = _intervals(upright), _intervals(level)
    inner = [(i, j) for i in range(1, len(columns) - 1) for j in range(1, len(rows) - 1)]
    open_land: dict[tuple[int, int], BlockKind] = {}
    shuffled = [inner[k] for k in rng.permutation(len(inner))]
    kinds: list[BlockKind] = ["park", "square"]
    if rng.random() < 0.5:
        kinds.reverse()
    # A third of the blocks stay open; a tiny district may have none.
    for place, kind in zip(
        shuffled[: max(len(inner) // 3, int(len(inner) > 1))], kinds * 9, strict=False
    ):
        open_land[place] = kind
    for i, (left, right) in enumerate(columns):
        for j, (bottom, top) in enumerate(rows):
            block = Block(left, bottom, right, top, open_land.get((i, j), "built"))
            draft.blocks.append(block)
            if block.kind != "built":
                buildings, fences, sprites = furnish_block(rng, block)
                draft.buildings.extend(buildings)
                draft.fences.extend(fences)
                draft.sprites.extend(sprites)
                continue
            facing = {
                "south": j > 0,
                "north": j < len(rows) - 1,
                "west": i > 0,
                "east": i < len(columns) - 1,
            }
            _build_block(rng, draft, block, facing)


def _build_block(
    rng: np.random.Generator, draft: _Draft, block: Block, facing: dict[str, bool]
) -> None:
    """Lots along the sides that face a street; the south and north rows take the corners."""
    depth = min(float(rng.uniform(9.0, 12.0)), (block.top - block.bottom) / 2 - 0.5)
    hood: Neighbourhood = pick(rng, NEIGHBOURHOODS)
    width, height = block.right - block.left, block.top - block.bottom
    low = depth if facing["south"] else 0.0
    high = depth if facing["north"] else 0.0
    sides = {
        "south": LotRow((block.left, block.bottom), (1.0, 0.0), width, depth, corners=True),
        "north": LotRow((block.right, block.top), (-1.0, 0.0), width, depth, corners=True),
        "west": LotRow((block.left, block.top - high), (0.0, -1.0), height - low - high, depth),
        "east": LotRow((block.right, block.bottom + low), (0.0, 1.0), height - low - high, depth),
    }
    for side, row in sides.items():
        if not facing[side]:
            continue
        if rng.random() < 0.3:
            hood = pick(rng, NEIGHBOURHOODS)
        buildings, fences, sprites = build_row(rng, row, hood)
        draft.buildings.extend(buildings)
        draft.fences.extend(fences)
        draft.sprites.extend(sprites)


def _close_ends(rng: np.random.Generator, draft: _Draft, streets: list[Street]) -> None:
    """Half the streets end at a building across them, the others look out over the fields."""
    for street in streets:
        half = street.width / 2
        for end, inward in ((street.start, 1.0), (street.end, -1.0)):
            if rng.random() > 0.55:
                continue
            front = end + inward * float(rng.uniform(6.0, 8.5))
            # Seen from inside the street, the left end of the front comes first.
            if street.axis == "y":
                corner, along = (street.centre + inward * half, front), (-inward, 0.0)
            else:
                corner, along = (front, street.centre - inward * half), (0.0, inward)
            row = LotRow(corner, along, street.width, 10.0)
            buildings, _, _ = build_row(rng, row, pick(rng, NEIGHBOURHOODS), gaps=0.0)
            draft.buildings.extend(buildings)
