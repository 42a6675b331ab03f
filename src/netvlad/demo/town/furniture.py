"""What stands in streets, parks and squares: trees, lamps, signs, benches, a church."""

from __future__ import annotations

import numpy as np

from netvlad.demo.town.plan import (
    Block,
    Building,
    FacadeStyle,
    Fence,
    FenceKind,
    Point,
    Sprite,
    Street,
)
from netvlad.demo.town.styles import WALLS, pick, vary


def furnish_street(
    rng: np.random.Generator, street: Street, crossings: tuple[Street, ...]
) -> list[Sprite]:
    """Lamps on alternate sides, and on wide streets a row of trees; none on a crossing.

    Args:
        rng: Where the choices come from.
        street: The street to furnish.
        crossings: The streets that cross it.

    Returns:
        Sprites, at the kerb of the street.
    """
    sprites: list[Sprite] = []
    kerb = street.carriageway / 2 + 0.5
    treed = bool(street.width > 12.5 and rng.random() < 0.7)
    species = int(rng.integers(8))
    sides = (-1.0, 1.0) if street.width > 14.0 else (float(rng.choice([-1.0, 1.0])),)
    place, side = street.start + 6.0, 1.0
    while place < street.end - 4.0:
        if not _on_crossing(place, crossings):
            sprites.append(Sprite("lamp", street.at(place, side * kerb), 4.6, int(street.marked)))
            side = -side
        place += float(rng.uniform(15.0, 19.0))
    place = street.start + float(rng.uniform(3.0, 9.0))
    while treed and place < street.end - 3.0:
        for flank in sides:
            if not _on_crossing(place, crossings) and rng.random() < 0.85:
                at = street.at(place, flank * (kerb + 0.3))
                sprites.append(Sprite("tree", at, float(rng.uniform(4.8, 7.2)), species))
        place += float(rng.uniform(8.0, 12.0))
    sprites.extend(_small_things(rng, street, crossings, kerb))
    return sprites


def _small_things(
    rng: np.random.Generator, street: Street, crossings: tuple[Street, ...], kerb: float
) -> list[Sprite]:
    """Road signs, benches, bollards and bushes in tubs: what tells two corners apart."""
    sprites: list[Sprite] = []
    for _ in range(int((street.end - street.start) / 14.0)):
        place = float(rng.uniform(street.start + 3.0, street.end - 3.0))
        side = float(rng.choice([-1.0, 1.0]))
        if _on_crossing(place, crossings):
            continue
        choice = int(rng.integers(5))
        if choice <= 1:
            at = street.at(place, side * kerb)
            sprites.append(Sprite("sign", at, 2.7, int(rng.integers(6))))
        elif choice == 2:
            at = street.at(place, side * (street.width / 2 - 0.5))
            sprites.append(Sprite("bush", at, float(rng.uniform(0.9, 1.5)), int(rng.integers(4))))
        elif choice == 3:
            sprites.append(Sprite("bench", street.at(place, side * (kerb + 0.3)), 0.9, 0))
        else:
            for step in range(int(rng.integers(3, 6))):
                at = street.at(place + 1.5 * step, side * (kerb - 0.2))
                if not _on_crossing(place + 1.5 * step, crossings):
                    sprites.append(Sprite("bollard", at, 0.9, 0))
    return sprites


def _on_crossing(place: float, crossings: tuple[Street, ...]) -> bool:
    return any(abs(place - other.centre) < other.width / 2 + 1.0 for other in crossings)


def furnish_block(
    rng: np.random.Generator, block: Block
) -> tuple[list[Building], list[Fence], list[Sprite]]:
    """Fills a park or a square.

    Args:
        rng: Where the choices come from.
        block: The open land.

    Returns:
        Buildings (a church on a square), the park's fence, and the trees.
    """
    if block.kind == "park":
        return [], _park_fence(rng, block), _park_trees(rng, block)
    sprites = [
        Sprite("tree", at, float(rng.uniform(4.5, 6.0)), 3) for at in _around(block, 3.0, 9.0)
    ]
    sprites += [Sprite("bench", at, 0.9, 0) for at in _around(block, 5.0, 13.0)]
    sprites.append(
        Sprite("kiosk", (block.left + 8.0, block.bottom + 8.0), 2.9, int(rng.integers(3)))
    )
    return _church(rng, block), [], sprites


def _park_fence(rng: np.random.Generator, block: Block) -> list[Fence]:
    """A hedge or railing around the park, with a gate in the middle of every side."""
    kind: FenceKind = "hedge" if rng.random() < 0.5 else "railing"
    corners = (
        (block.left, block.bottom),
        (block.right, block.bottom),
        (block.right, block.top),
        (block.left, block.top),
    )
    fences = []
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        for low, high in ((0.02, 0.44), (0.56, 0.98)):
            ends = [
                (start[0] + s * (end[0] - start[0]), start[1] + s * (end[1] - start[1]))
                for s in (low, high)
            ]
            fences.append(Fence(ends[0], ends[1], 1.1, kind, 5))
    return fences


def _park_trees(rng: np.random.Generator, block: Block) -> list[Sprite]:
    area = (block.right - block.left) * (block.top - block.bottom)
    sprites = []
    for _ in range(int(area / 60.0)):
        at = (
            float(rng.uniform(block.left + 2.5, block.right - 2.5)),
            float(rng.uniform(block.bottom + 2.5, block.top - 2.5)),
        )
        if rng.random() < 0.72:
            sprites.append(Sprite("tree", at, float(rng.uniform(5.5, 10.5)), int(rng.integers(8))))
        else:
            sprites.append(Sprite("bush", at, float(rng.uniform(1.0, 1.9)), int(rng.integers(4))))
    return sprites


def _around(block: Block, inset: float, step: float) -> list[Point]:
    """Points along a rectangle inside the block."""
    points: list[Point] = []
    for x in np.arange(block.left + inset, block.right - inset, step):
        points += [(float(x), block.bottom + inset), (float(x), block.top - inset)]
    for y in np.arange(block.bottom + inset + step, block.top - inset - step / 2, step):
        points += [(block.left + inset, float(y)), (block.right - inset, float(y))]
    return points


def _church(rng: np.random.Generator, block: Block) -> list[Building]:
    """A nave with a tower at its south end, in the middle of the square."""
    style = FacadeStyle(
        material="stone",
        wall=vary(rng, pick(rng, WALLS["stone"]), 12),
        trim=(222, 214, 196),
        frame=(80, 70, 60),
        accent=(90, 60, 44),
        window="pointed",
        ground_floor="door",
        floor_height=5.2,
        bay_width=3.2,
        shutters=False,
        balconies=False,
        quoins=True,
        sign="",
        seed=int(rng.integers(2**31)),
    )
    middle = (block.left + block.right) / 2, (block.bottom + block.top) / 2
    tower = Building(
        corner=(middle[0] - 2.8, middle[1] - 11.0),
        along=(1.0, 0.0),
        width=5.6,
        depth=5.6,
        height=16.0,
        roof="spire",
        rise=8.0,
        roof_colour=4,
        style=style,
        left_front=True,
        right_front=True,
    )
    nave = Building(
        corner=(middle[0] - 5.0, middle[1] - 5.4),
        along=(1.0, 0.0),
        width=10.0,
        depth=17.0,
        height=7.5,
        roof="gable",
        rise=5.0,
        roof_colour=1,
        style=style,
        left_front=True,
        right_front=True,
    )
    return [tower, nave]
