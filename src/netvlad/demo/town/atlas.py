"""All pictures of a district in one flat array, each at four resolutions.

A texel is red, green, blue and a *code*: what the texel is made of. Codes decide what lets the
background through, what mirrors the sky and what shines after dark; `light.py` gives them meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.demo.town.plan import Colour

Texels = NDArray[np.uint8]
LEVELS = 4

CLEAR = 0
WINDOW_FIRST, WINDOW_LAST = 1, 100
SHOP_WINDOW = 110
CAR_WINDOW = 111
SIGN = 120
LANTERN = 121
HEADLIGHT = 122
TAILLIGHT = 123
FOLIAGE = 130
PAINT = 140
SOLID = 255


class Canvas:
    """A picture of something upright, painted in metres from its lower left corner.

    Attributes:
        texels: (height, width, 4) uint8, the top row first; the last channel is the code.
        scale: Texels per metre.
    """

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.scale = scale
        rows, columns = (max(math.ceil(side * scale - 1e-3), 1) for side in (height, width))
        self.texels: Texels = np.zeros((rows, columns, 4), dtype=np.uint8)

    def window(self, x0: float, z0: float, x1: float, z1: float) -> Texels:
        """The view of the texels of a rectangle, in metres; what lies outside is cut off."""
        rows, columns = self.texels.shape[:2]
        left, right = (min(max(round(x * self.scale), 0), columns) for x in (x0, x1))
        top, bottom = (min(max(rows - round(z * self.scale), 0), rows) for z in (z1, z0))
        return self.texels[top:bottom, left:right]

    def box(
        self, x0: float, z0: float, x1: float, z1: float, colour: Colour, code: int = SOLID
    ) -> None:
        """Fills a rectangle, in metres."""
        self.window(x0, z0, x1, z1)[:] = (*colour, code)

    def ellipse(
        self, x: float, z: float, across: float, up: float, colour: Colour, code: int = SOLID
    ) -> None:
        """Fills an ellipse about (x, z) with the given half axes, in metres."""
        view = self.window(x - across, z - up, x + across, z + up)
        rows, columns = view.shape[:2]
        if rows == 0 or columns == 0:
            return
        v = (np.arange(rows) + 0.5) / rows * 2 - 1
        u = (np.arange(columns) + 0.5) / columns * 2 - 1
        view[u[None, :] ** 2 + v[:, None] ** 2 <= 1.0] = (*colour, code)

    def shade(self, x0: float, z0: float, x1: float, z1: float, factor: float) -> None:
        """Darkens or lightens a rectangle, in metres."""
        view = self.window(x0, z0, x1, z1)[..., :3]
        view[:] = np.minimum(view * np.float32(factor), 255.0)


@dataclass(frozen=True)
class Atlas:
    """The pictures, ready to be looked up.

    Attributes:
        texels: (T,) uint32, four bytes per texel: red, green, blue, code.
        offsets: (LEVELS, P) int64, where each picture starts at each resolution.
        widths: (LEVELS, P) int32, texels.
        heights: (LEVELS, P) int32, texels.
        scales: (P,) float32, texels per metre at the finest level.
    """

    texels: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    scales: NDArray[np.float32]

    def look_up(
        self,
        pictures: NDArray[np.int32],
        u: NDArray[np.float32],
        v: NDArray[np.float32],
        footprint: NDArray[np.float32],
    ) -> NDArray[np.uint32]:
        """The texel of each sample; pictures repeat beyond their edges.

        Args:
            pictures: (N,) which picture.
            u: (N,) metres from its left edge.
            v: (N,) metres from its lower edge.
            footprint: (N,) the width of the sample in metres; picks the resolution.

        Returns:
            (N,) uint32.
        """
        scale = self.scales[pictures]
        fine = np.log2(np.maximum(footprint * scale, 1.0)) + 0.35
        level = np.minimum(fine.astype(np.int32), LEVELS - 1)
        width, height = self.widths[level, pictures], self.heights[level, pictures]
        shrunk = scale / (1 << level)
        column = (u * shrunk).astype(np.int32) % width
        row = height - 1 - (v * shrunk).astype(np.int32) % height
        index = self.offsets[level, pictures] + row * width + column
        found: NDArray[np.uint32] = self.texels[index]
        return found


class AtlasBuilder:
    """Collects pictures and packs them."""

    def __init__(self) -> None:
        self._pictures: list[tuple[Texels, ...]] = []
        self._scales: list[float] = []

    def add(self, texels: Texels, scale: float) -> int:
        """Adds a picture of (height, width, 4) texels, `scale` of them a metre.

        Returns:
            The number of the picture.
        """
        levels = [texels]
        for _ in range(LEVELS - 1):
            levels.append(_halve(levels[-1]))
        self._pictures.append(tuple(levels))
        self._scales.append(scale)
        return len(self._pictures) - 1

    def pack(self) -> Atlas:
        """All pictures added so far as one atlas."""
        flat: list[NDArray[np.uint8]] = []
        shape = (LEVELS, len(self._pictures))
        offsets = np.zeros(shape, dtype=np.int64)
        widths = np.zeros(shape, dtype=np.int32)
        heights = np.zeros(shape, dtype=np.int32)
        start = 0
        for level in range(LEVELS):
            for picture, levels in enumerate(self._pictures):
                texels = levels[level]
                offsets[level, picture] = start
                heights[level, picture], widths[level, picture] = texels.shape[:2]
                start += texels.shape[0] * texels.shape[1]
                flat.append(texels.reshape(-1, 4))
        texels = np.ascontiguousarray(np.concatenate(flat))
        scales = np.array(self._scales, dtype=np.float32)
        return Atlas(texels.view(np.uint32)[:, 0].copy(), offsets, widths, heights, scales)


def _halve(texels: Texels) -> Texels:
    """Half the size: mean colour of the texels that are not clear; the highest code, or clear."""
    rows, columns = max(texels.shape[0] // 2, 1), max(texels.shape[1] // 2, 1)
    even = texels[: rows * 2, : columns * 2]
    if even.shape[0] < 2 or even.shape[1] < 2:
        return np.ascontiguousarray(texels[:rows, :columns])
    corners = [even[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    out = np.empty((rows, columns, 4), dtype=np.uint8)
    if texels[..., 3].all():
        total = corners[0].astype(np.uint16)
        for corner in corners[1:]:
            total += corner
        out[:] = total // 4
    else:
        weights = [(corner[..., 3:] != CLEAR).astype(np.float32) for corner in corners]
        weight = np.maximum(sum(weights), 1.0)
        out[:] = sum(c * w for c, w in zip(corners, weights, strict=True)) / weight
    codes = np.stack([corner[..., 3] for corner in corners])
    out[..., 3] = np.where((codes != CLEAR).sum(0) >= 2, codes.max(0), CLEAR)
    return out
