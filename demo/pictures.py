"""Pictures on surfaces: painted stone and brick, and one pile of texels with halved sizes."""

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, ...]  # red, green, blue (sRGB) and, where it is not MATTE, the kind
Texels = NDArray[np.uint8]  # (H, W, 4): sRGB, and the kind of material
Floats = NDArray[np.float32]
Rng = np.random.Generator

MATTE, GLASS, LIT_GLASS, SHOP_GLASS, LAMP, TAIL_LAMP, LEAF, GROUND = range(8)
LEVELS = 7


def blank(height: int, width: int, colour: Colour) -> Texels:
    return np.full((height, width, 4), (*colour, MATTE)[:4], dtype=np.uint8)


def noise(rng: Rng, height: int, width: int, cell: float) -> Floats:
    """Smooth noise (H, W) with mean 0 and deviation about 1; blobs are `cell` texels wide."""
    coarse = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3))
    smooth = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, dtype=np.float32)


def shaded(texels: Texels, shade: NDArray[np.floating]) -> Texels:
    """The picture with its colours multiplied by a shade (H, W)."""
    texels[..., :3] = np.clip(texels[..., :3] * shade[..., None], 0, 255)
    return texels


def speckled(rng: Rng, colour: Colour, rough: float) -> Texels:
    """Asphalt, grass or leaves: a picture (160, 160) that differs from texel to texel."""
    grain = rng.standard_normal((160, 160)) + noise(rng, 160, 160, 20)
    return shaded(blank(160, 160, colour), 1 + rough * grain)


def masonry(
    rng: Rng, size: tuple[int, int], colour: Colour, stone: tuple[float, float], jitter: float = 0.1
) -> Texels:
    """Bricks, slabs, tiles or cobbles: (rows, columns) of stones (height, length) in texels."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    course = (rows / stone[0]).astype(int)
    shifted = columns / stone[1] + 0.5 * (course % 2)
    shades = rng.normal(1.0, jitter, (course.max() + 1, int(shifted.max()) + 1))
    joint = (rows % stone[0] < 1.0) | (shifted % 1.0 < 1.0 / stone[1])
    shade = np.where(joint, 0.72, shades[course, shifted.astype(int)])
    return shaded(blank(*size, colour), shade + 0.04 * noise(rng, *size, 24))


def weather(rng: Rng, texels: Texels, reach: float) -> Texels:
    """Stains and streaks on a wall, dirt that reaches so many texels up from the ground, grain."""
    rows, columns = texels.shape[:2]
    streaks = noise(rng, 1, columns, 5) * np.linspace(1, 0, rows)[:, None]
    dirt = np.exp(-np.arange(rows)[::-1, None] / reach)
    shade = 1 + 0.05 * noise(rng, rows, columns, 30) + 0.03 * streaks - 0.16 * dirt
    return shaded(texels, shade + 0.02 * rng.standard_normal((rows, columns)))


class Pile:
    """Pictures with so many texels a metre, each in halved sizes too (mip maps), packed."""

    def __init__(self, pictures: list[Texels], scales: list[float]) -> None:
        levels = [level for picture in pictures for level in _halved(picture)]
        shapes = np.array([level.shape[:2] for level in levels])
        ends = np.cumsum(shapes.prod(axis=1))
        self.texels = np.concatenate([level.reshape(-1, 4) for level in levels])
        self.first = np.concatenate([[0], ends[:-1]]).reshape(-1, LEVELS)
        self.shape = shapes.reshape(-1, LEVELS, 2)
        self.scale = np.array(scales, dtype=np.float32)

    def look_up(self, picture: NDArray[np.int64], at: Floats, metres: Floats) -> Texels:
        """Texels (N, 4) of pictures (N,) at metres (N, 2) right and up, seen by pixels so wide."""
        wide = np.maximum(metres * self.scale[picture], 1.0)
        level = np.minimum(np.log2(wide).astype(np.int64), LEVELS - 1)
        shape = self.shape[picture, level]
        texel = np.floor(at * (self.scale[picture] / (1 << level))[:, None]).astype(np.int64)
        column, row = texel[:, 0] % shape[:, 1], shape[:, 0] - 1 - texel[:, 1] % shape[:, 0]
        return np.asarray(self.texels[self.first[picture, level] + row * shape[:, 1] + column])


def _halved(picture: Texels) -> list[Texels]:
    levels = [picture]
    while len(levels) < LEVELS:
        size = max(levels[-1].shape[1] // 2, 1), max(levels[-1].shape[0] // 2, 1)
        half = cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA)
        half[..., 3] = cv2.resize(levels[-1][..., 3], size, interpolation=cv2.INTER_NEAREST)
        levels.append(np.asarray(half, np.uint8))
    return levels
