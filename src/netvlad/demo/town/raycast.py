"""Casts one ray per column through upright rectangles, and one per pixel onto the ground.

All surfaces stand upright and the camera is never tilted, so a column of the picture meets each
rectangle at one depth. The rectangles of a column are visited from near to far; each paints those
rows that are still open. What a picture leaves clear stays open for what is behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.demo.town.atlas import Atlas
from netvlad.demo.town.plan import Point
from netvlad.demo.town.surfaces import SOFT, Billboards, Floats, Surfaces

NEAR, FAR = 0.25, 420.0
SKY, GROUND = -2, -1


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks horizontally.

    Attributes:
        position: Metres of the district.
        height: Metres above ground.
        heading: Degrees clockwise from the district's `y`.
        field_of_view: Degrees, horizontally.
        horizon: The row of the horizon as a share of the picture's height (a shifted lens).
    """

    position: Point
    height: float
    heading: float
    field_of_view: float = 75.0
    horizon: float = 0.6

    def forward(self) -> Point:
        """The unit vector of the optical axis."""
        angle = math.radians(self.heading)
        return math.sin(angle), math.cos(angle)

    def focal_length(self, columns: int) -> float:
        """In pixels of a picture that many columns wide."""
        return columns / 2 / math.tan(math.radians(self.field_of_view) / 2)

    def see(self, points: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Metres to the right of the optical axis and along it, for points (N, 2)."""
        forward = self.forward()
        x = points[:, 0] - self.position[0]
        y = points[:, 1] - self.position[1]
        right = x * forward[1] - y * forward[0]
        depth = x * forward[0] + y * forward[1]
        return right.astype(np.float32), depth.astype(np.float32)

    def project(
        self, points: NDArray[np.floating], size: tuple[int, int]
    ) -> tuple[Floats, Floats, Floats]:
        """Where points (N, 3) appear in a picture of `size` (rows, columns).

        Returns:
            Column, row (both with pixel centres at halves) and depth in metres, each (N,).
        """
        right, depth = self.see(points[:, :2])
        focal = self.focal_length(size[1])
        column = size[1] / 2 + focal * right / depth
        row = size[0] * self.horizon + focal * (self.height - points[:, 2]) / depth
        return column, row.astype(np.float32), depth


@dataclass(frozen=True)
class Hits:
    """What every pixel shows.

    Attributes:
        surface: (H, W) int32, which surface, or `GROUND` or `SKY`.
        depth: (H, W) float32, metres along the optical axis.
        z: (H, W) float32, metres above ground.
        texel: (H, W) uint32, undefined for ground and sky.
    """

    surface: NDArray[np.int32]
    depth: Floats
    z: Floats
    texel: NDArray[np.uint32]


@dataclass(frozen=True)
class _Layers:
    """What a column meets, near to far: K layers of W columns. `surface` is -1 where none is."""

    surface: NDArray[np.int32]
    depth: Floats
    along: Floats
    first_row: Floats
    last_row: Floats


def turn_to_camera(boards: Billboards, camera: Camera) -> Surfaces:
    """Billboards as rectangles parallel to the picture."""
    forward = camera.forward()
    right = np.array([forward[1], -forward[0]], dtype=np.float32)
    half: Floats = (boards.width[:, None] / 2 * right).astype(np.float32)
    count = len(boards.width)
    return Surfaces(
        start=(boards.position - half).astype(np.float32),
        end=(boards.position + half).astype(np.float32),
        bottom=np.zeros(count, dtype=np.float32),
        top=boards.height,
        rise=np.zeros(count, dtype=np.float32),
        picture=boards.picture,
        kind=np.full(count, SOFT, dtype=np.int8),
        opaque=np.zeros(count, dtype=np.bool_),
    )


def cast(
    surfaces: Surfaces, scale: Floats, atlas: Atlas, camera: Camera, size: tuple[int, int]
) -> Hits:
    """Casts the rays of one picture.

    Args:
        surfaces: All upright rectangles.
        scale: (N,) by how much each is larger than its picture.
        atlas: Their pictures.
        camera: Where from.
        size: Rows and columns.

    Returns:
        What every pixel shows.
    """
    layers = _layers(surfaces, camera, size)
    rows, columns = size
    focal = camera.focal_length(columns)
    horizon = rows * camera.horizon
    surface = np.full((rows, columns), SKY, dtype=np.int32)
    depth = np.full((rows, columns), FAR, dtype=np.float32)
    z = np.zeros((rows, columns), dtype=np.float32)
    texel = np.zeros((rows, columns), dtype=np.uint32)
    height = np.arange(rows, dtype=np.float32)[:, None] + 0.5
    below = np.maximum(height[:, 0] - horizon, 1e-3)
    ground_depth = np.where(height[:, 0] > horizon, camera.height * focal / below, FAR)
    is_ground = ground_depth < FAR
    surface[is_ground] = GROUND
    depth[is_ground] = ground_depth[is_ground, None]
    is_open = np.ones((rows, columns), dtype=np.bool_)
    for layer in range(len(layers.depth)):
        shown = (height >= layers.first_row[layer]) & (height < layers.last_row[layer]) & is_open
        at = np.flatnonzero(shown)
        if len(at) == 0:
            continue
        row, column = np.divmod(at, columns)
        hit = layers.surface[layer][column]
        away = layers.depth[layer][column]
        up = camera.height + (horizon - (row + 0.5).astype(np.float32)) / focal * away
        texels = atlas.look_up(
            surfaces.picture[hit],
            layers.along[layer][column] / scale[hit],
            np.maximum(up - surfaces.bottom[hit], 0.0) / scale[hit],
            away / focal / scale[hit],
        )
        solid = (texels >> 24) != 0
        at = at[solid]
        surface.ravel()[at] = hit[solid]
        depth.ravel()[at] = away[solid]
        z.ravel()[at] = up[solid]
        texel.ravel()[at] = texels[solid]
        is_open.ravel()[at] = False
    return Hits(surface, depth, z, texel)


def _layers(surfaces: Surfaces, camera: Camera, size: tuple[int, int]) -> _Layers:
    """Meets all rays with all surfaces, and sorts what each ray meets by depth."""
    rows, columns = size
    focal = camera.focal_length(columns)
    slopes = ((np.arange(columns) + 0.5 - columns / 2) / focal).astype(np.float32)
    near = np.flatnonzero(_in_view(surfaces, camera, float(slopes[-1])))
    x0, d0 = camera.see(surfaces.start[near])
    x1, d1 = camera.see(surfaces.end[near])
    across, away = (x1 - x0)[:, None], (d1 - d0)[:, None]
    # On the ray x = slope * depth and on the wall x = x0 + s * across, depth = d0 + s * away.
    turned = across - slopes * away
    share = (slopes * d0[:, None] - x0[:, None]) / np.where(turned > 1e-6, turned, np.inf)
    depth = d0[:, None] + share * away
    met = (turned > 1e-6) & (share >= 0) & (share <= 1) & (depth > NEAR) & (depth < FAR)
    which, column = np.nonzero(met)
    depth, share, surface = depth[met], share[met], near[which].astype(np.int32)
    order = np.lexsort((depth, column))
    surface, column, depth, share = surface[order], column[order], depth[order], share[order]
    gable = surfaces.rise[surface] * (1.0 - np.abs(2.0 * share - 1.0))
    top: Floats = ((surfaces.top[surface] + gable - camera.height) / depth).astype(np.float32)
    kept = _not_hidden(column, top, surfaces.opaque[surface], columns)
    surface, column, top = surface[kept], column[kept], top[kept]
    depth, share = depth[kept], share[kept]
    bottom = (surfaces.bottom[surface] - camera.height) / depth
    length = np.hypot(*(surfaces.end - surfaces.start).T)[surface]
    rank = _rank(column, columns)
    shape = (int(rank.max(initial=-1)) + 1, columns)
    layers = _Layers(
        np.full(shape, -1, dtype=np.int32),
        np.ones(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.float32),
        np.full(shape, np.inf, dtype=np.float32),
        np.full(shape, -np.inf, dtype=np.float32),
    )
    horizon = rows * camera.horizon
    layers.surface[rank, column] = surface
    layers.depth[rank, column] = depth
    layers.along[rank, column] = share * length
    layers.first_row[rank, column] = horizon - focal * top
    layers.last_row[rank, column] = horizon - focal * bottom
    return layers


def _in_view(surfaces: Surfaces, camera: Camera, slope: float) -> NDArray[np.bool_]:
    """Not wholly behind the camera, beyond one edge of the picture, or turned away, (N,)."""
    x0, d0 = camera.see(surfaces.start)
    x1, d1 = camera.see(surfaces.end)
    ahead = (np.maximum(d0, d1) > NEAR) & (np.minimum(d0, d1) < FAR)
    edge = slope + 0.02
    left = (x0 < -edge * d0) & (x1 < -edge * d1)
    right = (x0 > edge * d0) & (x1 > edge * d1)
    # The camera is on the outer side where it lies to the right of start -> end.
    outside = x0 * (d1 - d0) - d0 * (x1 - x0) < 0
    return ahead & ~left & ~right & outside


def _rank(column: NDArray[np.intp], columns: int) -> NDArray[np.intp]:
    """The how-manieth entry of its column each is, for entries sorted by column."""
    counts = np.bincount(column, minlength=columns)
    return np.arange(len(column)) - np.repeat(np.cumsum(counts) - counts, counts)


def _not_hidden(
    column: NDArray[np.intp], top: Floats, opaque: NDArray[np.bool_], columns: int
) -> NDArray[np.bool_]:
    """False for what lies behind an opaque surface that reaches higher, (N,)."""
    rank = _rank(column, columns)
    highest = np.full((int(rank.max(initial=-1)) + 2, columns), -np.inf, dtype=np.float32)
    highest[rank + 1, column] = np.where(opaque, top, -np.inf)
    highest = np.maximum.accumulate(highest, axis=0)
    return top > highest[rank, column]
