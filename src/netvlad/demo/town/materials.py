"""Walls, roofs and other surfaces without windows, painted texel by texel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netvlad.demo.town.atlas import FOLIAGE, SOLID, Texels
from netvlad.demo.town.plan import Colour, Material

WALL_SCALE = 20.0
ROOFS: tuple[Colour, ...] = (
    (168, 84, 58),
    (88, 92, 102),
    (122, 74, 54),
    (104, 108, 100),
    (96, 138, 122),
)
Shades = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, rows: int, columns: int, cell: int) -> Shades:
    """Noise between -1 and 1 that changes over about `cell` texels, (rows, columns)."""
    coarse = rng.uniform(-1, 1, (max(rows // cell, 1) + 2, max(columns // cell, 1) + 2))
    picture = Image.fromarray(coarse.astype(np.float32))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC), dtype=np.float32)


def _courses(
    rng: np.random.Generator, rows: int, columns: int, size: tuple[int, int], spread: float
) -> Shades:
    """Staggered bricks or blocks of `size` (height, width) texels, with darker joints."""
    high, wide = size
    row = np.arange(rows) // high
    column = (np.arange(columns)[None, :] + (row[:, None] % 2) * (wide // 2)) // wide
    tones = rng.uniform(-spread, spread, (rows // high + 1, columns // wide + 2))
    shades = tones[row[:, None], column]
    joint = (np.arange(rows) % high == 0)[:, None] | (
        (np.arange(columns)[None, :] + (row[:, None] % 2) * (wide // 2)) % wide == 0
    )
    jointed: Shades = np.where(joint, shades * 0.3 - 0.16, shades).astype(np.float32)
    return jointed


def wall_shades(rng: np.random.Generator, material: Material, rows: int, columns: int) -> Shades:
    """How much lighter or darker than its colour a wall is at each texel, (rows, columns)."""
    stains = 0.05 * smooth_noise(rng, rows, columns, 26)
    if material == "brick":
        return _courses(rng, rows, columns, (3, 6), 0.13) + stains
    if material == "stone":
        return _courses(rng, rows, columns, (9, 18), 0.09) + stains
    if material == "concrete":
        panels = _courses(rng, rows, columns, (56, 48), 0.03)
        return panels + 1.2 * stains
    if material == "boards":
        lines = np.where(np.arange(rows) % 4 == 0, -0.16, 0.0)[:, None]
        return lines.astype(np.float32) + stains
    rough = 0.04 * rng.random((rows, columns), dtype=np.float32) - 0.02
    plaster: Shades = np.float32(1.3) * stains + rough
    return plaster


def tinted(shades: Shades, colour: Colour, code: int = SOLID) -> Texels:
    """Texels of one colour, lighter and darker by `shades`."""
    texels = np.empty((*shades.shape, 4), dtype=np.uint8)
    texels[..., :3] = np.clip((1.0 + shades[..., None]) * np.array(colour), 0, 255)
    texels[..., 3] = code
    return texels


def paint_wall(rng: np.random.Generator, material: Material, colour: Colour) -> Texels:
    """A blank wall of 8 by 8 metres."""
    side = int(8 * WALL_SCALE)
    plain: Material = "plaster" if material in ("timber", "glass") else material
    return tinted(wall_shades(rng, plain, side, side) - 0.06, colour)


def paint_roof(rng: np.random.Generator, colour: Colour) -> Texels:
    """Rows of tiles, 6 by 6 metres."""
    side = int(6 * WALL_SCALE)
    shades = _courses(rng, side, side, (6, 5), 0.12) + 0.06 * smooth_noise(rng, side, side, 30)
    return tinted(shades, colour)


def paint_hedge(rng: np.random.Generator) -> Texels:
    """Leaves, 4 by 4 metres."""
    side = int(4 * WALL_SCALE)
    shades = 0.3 * smooth_noise(rng, side, side, 3) + 0.15 * smooth_noise(rng, side, side, 11)
    return tinted(shades, (58, 88, 40), FOLIAGE)


def paint_railing() -> Texels:
    """Upright iron bars, 2 metres wide, 1.1 metres high; what lies behind shows between them."""
    texels = np.zeros((int(1.1 * WALL_SCALE), int(2 * WALL_SCALE), 4), dtype=np.uint8)
    iron = (44, 50, 48, SOLID)
    texels[:, ::4] = iron
    texels[1:3] = iron
    texels[-4:-2] = iron
    return texels


def paint_hoarding(rng: np.random.Generator) -> Texels:
    """Boards with torn posters, 8 by 2.5 metres."""
    rows, columns = int(2.5 * WALL_SCALE), int(8 * WALL_SCALE)
    texels = tinted(wall_shades(rng, "boards", columns, rows).T.copy(), (150, 122, 84))
    for _ in range(5):
        left, top = int(rng.integers(0, columns - 26)), int(rng.integers(4, rows - 34))
        high, wide = int(rng.integers(18, 32)), int(rng.integers(14, 26))
        colour = rng.integers(60, 240, 3)
        texels[top : top + high, left : left + wide, :3] = colour
        texels[top + 3 : top + 8, left + 3 : left + wide - 3, :3] = 255 - colour
    return texels
