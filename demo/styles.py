"""What houses look like: drawn from palettes that all districts share, no two the same."""

from typing import TypeVar

import numpy as np

from demo.pictures import Colour, Rng

Item = TypeVar("Item")
Weighted = tuple[tuple[str, float], ...]
Neighbourhood = tuple[Weighted, Weighted, tuple[int, int], float, tuple[float, float]]

WALLS: dict[str, tuple[Colour, ...]] = {
    "brick": ((158, 78, 58), (134, 62, 50), (176, 118, 82), (120, 78, 66), (196, 158, 112)),
    "plaster": ((232, 214, 176), (222, 170, 128), (190, 204, 188), (236, 208, 122), (94, 122, 148)),
    "stone": ((196, 186, 164), (172, 166, 156), (206, 184, 146), (150, 148, 146)),
    "concrete": ((170, 170, 166), (190, 186, 176), (146, 150, 154)),
    "timber": ((236, 228, 208), (226, 206, 168), (214, 184, 150)),
    "boards": ((178, 196, 200), (216, 206, 180), (146, 88, 76), (122, 138, 116)),
}  # fmt: skip
TRIMS: tuple[Colour, ...] = ((240, 236, 226), (206, 196, 178), (150, 140, 128), (244, 240, 234))
FRAMES: tuple[Colour, ...] = ((244, 242, 236), (70, 56, 46), (52, 66, 60), (110, 40, 36))
ACCENTS: tuple[Colour, ...] = (
    (150, 34, 36), (28, 76, 60), (30, 58, 112), (206, 148, 40), (96, 52, 92), (60, 60, 64),
    (214, 96, 44), (38, 120, 140), (118, 132, 60),
)  # fmt: skip
ROOFS: tuple[Colour, ...] = ((150, 72, 54), (122, 66, 54), (92, 90, 96), (110, 84, 70))
WINDOWS = ("plain", "cross", "arched", "tall", "pair")
MODERN_WINDOWS = ("wide", "plain", "pair")
TRADES = ("BAKERY", "CAFE", "BOOKS", "BANK", "HOTEL", "PIZZA", "SHOES", "TAILOR", "BAR", "TOYS")
NAMES = ("ROSA", "MILLER", "NOVAK", "LUNA", "KARL", "ANNA", "GRAND", "STAR", "CITY", "OLD", "BLUE")
# What rows of houses tend to: materials and roofs with weights, storeys, shops, and widths.
NEIGHBOURHOODS = (
    ((("plaster", 5), ("timber", 3), ("stone", 2), ("brick", 2)),
     (("ridge", 4), ("gable", 4), ("mansard", 1)), (2, 4), 0.6, (5.5, 9.5)),
    ((("brick", 5), ("stone", 3), ("plaster", 3)),
     (("flat", 2), ("ridge", 3), ("mansard", 4)), (3, 5), 0.55, (7.5, 14.0)),
    ((("plaster", 4), ("boards", 4), ("brick", 3)),
     (("ridge", 5), ("gable", 4)), (1, 3), 0.15, (7.0, 11.0)),
    ((("concrete", 5), ("plaster", 3), ("brick", 2)),
     (("flat", 1),), (3, 7), 0.4, (10.0, 20.0)),
)  # fmt: skip


def pick(rng: Rng, items: tuple[Item, ...]) -> Item:
    return items[int(rng.integers(len(items)))]


def pick_weighted(rng: Rng, items: Weighted) -> str:
    weights = np.array([weight for _, weight in items])
    return items[int(rng.choice(len(items), p=weights / weights.sum()))][0]


def vary(rng: Rng, colour: Colour, spread: int) -> Colour:
    """The colour, a little off in brightness and in every channel."""
    off = rng.integers(-spread, spread + 1) + rng.integers(-spread // 2, spread // 2 + 1, 3)
    return tuple(np.clip(np.array(colour) + off, 8, 248).tolist())


class Style:
    """How one house looks, drawn in the manner of its neighbourhood. Lengths in metres."""

    def __init__(self, rng: Rng, hood: Neighbourhood) -> None:
        materials, roofs, storeys, shops, _ = hood
        self.seed = int(rng.integers(2**31))
        self.material = pick_weighted(rng, materials)
        self.wall = vary(rng, pick(rng, WALLS[self.material]), 16)
        self.trim, self.frame = vary(rng, pick(rng, TRIMS), 8), pick(rng, FRAMES)
        self.accent, self.tiles = (vary(rng, pick(rng, some), 14) for some in (ACCENTS, ROOFS))
        self.roof = pick_weighted(rng, roofs)
        modern = self.material == "concrete"
        self.window = pick(rng, MODERN_WINDOWS if modern else WINDOWS)
        self.shop = bool(rng.random() < shops)
        self.garages = not self.shop and bool(rng.random() < 0.18)
        self.floor, self.bay = float(rng.uniform(2.8, 3.5)), float(rng.uniform(1.9, 3.3))
        self.ground = self.floor + 0.7 * self.shop  # height of the ground floor
        self.storeys = int(rng.integers(storeys[0], storeys[1] + 1))
        self.eaves = self.ground + (self.storeys - 1) * self.floor + 0.5
        self.floors = [self.ground + n * self.floor for n in range(self.storeys - 1)]  # upper
        share = {"wide": 0.44, "pair": 0.36, "tall": 0.21}.get(self.window, 0.25)
        tall, self.sill = (2.2, 0.3) if self.window == "tall" else (1.6, 0.85)
        self.half, self.tall = min(share * self.bay, 1.6), min(tall, self.floor - 0.9)  # of windows
        self.shutters, self.balconies = rng.random(2) < (0.3, 0.25)
        self.sign = f"{pick(rng, NAMES)} {pick(rng, TRADES)}"
