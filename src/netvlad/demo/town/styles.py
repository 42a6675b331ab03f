"""What fronts look like: a style is drawn from the palette of its neighbourhood.

The palettes are few and are used in every district, so that looks repeat across the town while no
two fronts are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from netvlad.demo.town.plan import Colour, FacadeStyle, GroundFloor, Material, Roof, Window

Item = TypeVar("Item")

WALLS: dict[Material, tuple[Colour, ...]] = {
    "brick": ((158, 78, 58), (134, 62, 50), (176, 118, 82), (120, 78, 66), (196, 158, 112)),
    "plaster": (
        (232, 214, 176),
        (238, 230, 214),
        (222, 170, 128),
        (190, 204, 188),
        (228, 186, 174),
        (236, 208, 122),
        (174, 192, 208),
        (206, 120, 92),
        (196, 178, 160),
    ),
    "stone": ((196, 186, 164), (172, 166, 156), (206, 184, 146), (150, 148, 146)),
    "concrete": ((170, 170, 166), (190, 186, 176), (146, 150, 154)),
    "timber": ((236, 228, 208), (226, 206, 168), (214, 184, 150)),
    "glass": ((88, 112, 128), (72, 100, 104), (104, 108, 116)),
    "boards": ((178, 196, 200), (216, 206, 180), (146, 88, 76), (122, 138, 116)),
}
TRIMS: tuple[Colour, ...] = ((240, 236, 226), (206, 196, 178), (150, 140, 128), (244, 240, 234))
FRAMES: tuple[Colour, ...] = ((244, 242, 236), (70, 56, 46), (52, 66, 60), (110, 40, 36))
ACCENTS: tuple[Colour, ...] = (
    (150, 34, 36),
    (28, 76, 60),
    (30, 58, 112),
    (206, 148, 40),
    (96, 52, 92),
    (60, 60, 64),
    (214, 96, 44),
    (38, 120, 140),
    (118, 132, 60),
)
TRADES = (
    "BAKERY", "CAFE", "BOOKS", "BANK", "HOTEL", "PIZZA", "FLOWERS", "OPTICIAN", "SHOES", "TAILOR",
    "PHARMACY", "BIKES", "BAR", "WINE", "RADIO", "TOYS", "MUSIC", "GROCER", "BARBER", "POST",
    "FISH", "TEA", "CINEMA", "TOOLS", "GALLERY", "KEBAB", "SUSHI", "LAUNDRY", "DELI",
)  # fmt: skip
NAMES = (
    "ROSA", "MILLER", "NOVAK", "LUNA", "KARL", "ANNA", "GRAND", "STAR", "CITY", "OLD", "RIVER",
    "BLUE", "NORTH", "ALMA", "VITO", "PAPA", "MAX", "ORION", "LINDEN", "KING", "DORA", "ERNST",
    "CASA", "ROYAL",
)  # fmt: skip


@dataclass(frozen=True)
class Neighbourhood:
    """What a street tends to: materials with their weights, storeys, shops, roofs."""

    materials: tuple[tuple[Material, float], ...]
    roofs: tuple[tuple[Roof, float], ...]
    storeys: tuple[int, int]
    shops: float
    lot: tuple[float, float]


NEIGHBOURHOODS: tuple[Neighbourhood, ...] = (
    Neighbourhood(  # the old town
        (("plaster", 5), ("timber", 3), ("stone", 2), ("brick", 2)),
        (("ridge", 4), ("gable", 3), ("steps", 2)),
        (2, 4),
        0.6,
        (5.5, 9.5),
    ),
    Neighbourhood(  # merchants' houses
        (("brick", 5), ("stone", 3), ("plaster", 3)),
        (("flat", 4), ("ridge", 3), ("steps", 1)),
        (3, 6),
        0.55,
        (7.5, 14.0),
    ),
    Neighbourhood(  # small houses
        (("plaster", 4), ("boards", 4), ("brick", 3)),
        (("ridge", 5), ("gable", 3)),
        (1, 3),
        0.15,
        (7.0, 11.0),
    ),
    Neighbourhood(  # offices and flats
        (("concrete", 4), ("glass", 3), ("plaster", 3), ("brick", 2)),
        (("flat", 1),),
        (3, 7),
        0.4,
        (10.0, 20.0),
    ),
)


def pick(rng: np.random.Generator, items: tuple[Item, ...]) -> Item:
    """One of the items, all alike likely."""
    return items[int(rng.integers(len(items)))]


def pick_weighted(rng: np.random.Generator, items: tuple[tuple[Item, float], ...]) -> Item:
    """One of the items by its weight."""
    weights = np.array([weight for _, weight in items], dtype=np.float64)
    place = int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))
    return items[min(place, len(items) - 1)][0]


def vary(rng: np.random.Generator, colour: Colour, spread: int) -> Colour:
    """The colour, a little off in brightness and in every channel."""
    common = int(rng.integers(-spread, spread + 1))
    red, green, blue = (
        int(np.clip(value + common + int(rng.integers(-spread // 2, spread // 2 + 1)), 8, 248))
        for value in colour
    )
    return red, green, blue


def draw_style(rng: np.random.Generator, hood: Neighbourhood) -> FacadeStyle:
    """A front in the manner of the neighbourhood."""
    material = pick_weighted(rng, hood.materials)
    modern = material in ("glass", "concrete")
    windows: tuple[Window, ...] = ("plain", "cross", "arched", "tall", "pair")
    if modern:
        windows = ("wide", "plain", "wide", "pair")
    ground: GroundFloor = "door"
    if rng.random() < hood.shops:
        ground = "shop"
    elif rng.random() < 0.18:
        ground = "garage"
    return FacadeStyle(
        material=material,
        wall=vary(rng, pick(rng, WALLS[material]), 16),
        trim=vary(rng, pick(rng, TRIMS), 8),
        frame=pick(rng, FRAMES),
        accent=vary(rng, pick(rng, ACCENTS), 14),
        window=pick(rng, windows),
        ground_floor=ground,
        floor_height=float(rng.uniform(2.8, 3.5)),
        bay_width=float(rng.uniform(1.9, 3.3)),
        shutters=bool(not modern and rng.random() < 0.3),
        balconies=bool(rng.random() < 0.22),
        quoins=bool(material in ("brick", "plaster", "stone") and rng.random() < 0.3),
        sign=f"{pick(rng, NAMES)} {pick(rng, TRADES)}" if rng.random() < 0.6 else pick(rng, TRADES),
        seed=int(rng.integers(2**31)),
    )
