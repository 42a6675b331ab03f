"""Takes photographs: rays through the pixels, what lights the points they meet, development."""

import math
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from demo.layout import ORIGINS
from demo.light import LIGHTS, Sky, tint
from demo.model import Hits, Model, Scene, Span
from demo.pictures import GLASS, GROUND, LAMP, LEAF, LIT_GLASS, SHOP_GLASS, Floats, Pile, Rng
from demo.streets import LAMP_HEIGHT

LINEAR: Floats = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
OVERSAMPLING = 1.5  # rays a pixel and direction
Grid = tuple[int, int]  # rows and columns
STRATA = 4  # neighbouring rays look for the sky in STRATA² different directions
MIRRORS = {GLASS: 0.45, LIT_GLASS: 0.4, SHOP_GLASS: 0.2}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks horizontally."""

    position: Span
    height: float
    heading: float  # degrees clockwise from `y`
    field_of_view: float = 75.0  # degrees, horizontally
    horizon: float = 0.6  # its row as a share of the picture's height, as of a shifted lens

    def rays(self, size: Grid) -> Floats:
        """Unit vectors through the middles of (rows, columns) pixels, (rows * columns, 3)."""
        rows, columns = size
        focal = columns / 2 / math.tan(math.radians(self.field_of_view) / 2)
        right = (np.arange(columns) + 0.5 - columns / 2) / focal
        sine, cosine = math.sin(math.radians(self.heading)), math.cos(math.radians(self.heading))
        rays = np.empty((rows, columns, 3), dtype=np.float32)
        rays[..., 0], rays[..., 1] = sine + right * cosine, cosine - right * sine
        rays[..., 2] = ((rows * self.horizon - np.arange(rows) - 0.5) / focal)[:, None]
        return np.reshape(rays / np.linalg.norm(rays, axis=2, keepdims=True), (-1, 3))


class Session:
    """One pass through a district in one light, in which photographs can be taken."""

    def __init__(self, model: Model, light: str, split: str, seed: int) -> None:
        self.scene, self.pile = Scene(model), Pile(model.pictures, model.scales)
        self.light = LIGHTS[light]
        self.lamps = np.array(model.lamps, dtype=np.float32).reshape(-1, 2)
        self._nearest = cKDTree(self.lamps)
        self.sun = self.light.towards_sun(ORIGINS[split][2])
        self.sky = Sky(self.light, ORIGINS[split][2], seed)

    def photograph(
        self, camera: Camera, size: Grid, stops: float = 0.0, seed: int = 0
    ) -> NDArray[np.uint8]:
        """A picture (rows, columns, 3), over- or underexposed; `seed` draws its grain."""
        fine = round(size[0] * OVERSAMPLING), round(size[1] * OVERSAMPLING)
        directions, rng = camera.rays(fine), np.random.default_rng([seed, 11])
        origins = np.tile(tint(*camera.position, camera.height), (len(directions), 1))
        pixel = 2 * math.tan(math.radians(camera.field_of_view) / 2) / fine[1]
        seen = self._look(origins, directions, pixel, rng, fine).reshape(*fine, 3)
        colour = np.asarray(cv2.resize(seen, size[::-1], interpolation=cv2.INTER_AREA))
        v, u = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
        bright = (
            colour
            * (1.3 * self.light.exposure * 2.0**stops * (1 - 0.065 * (u**2 + v**2)))[..., None]
        )
        soft = np.clip(bright * (1 + bright / 4.0) / (1 + bright * 0.9), 0, 1) ** (1 / 2.2)
        grain = (0.013 if self.light.lamps > 0.5 else 0.008) * rng.standard_normal((*size, 1))
        return np.asarray(np.clip(255 * (soft + grain) + 0.5, 0, 255), np.uint8)

    def _look(
        self, origins: Floats, directions: Floats, pixel: float, rng: Rng, grid: Grid | None
    ) -> Floats:
        """Linear colours (N, 3) that rays see; reflections too where they form a grid."""
        hits, colour = self.scene.meet(origins, directions), self.sky.colours(directions)
        towards, normal = directions[hits.ray], hits.normal
        points = origins[hits.ray] + towards * hits.distance[:, None] + normal * 0.01
        facing = np.abs(np.einsum("ij,ij->i", normal, towards))
        wide = hits.distance * pixel / np.maximum(facing, 0.25)
        texels = self.pile.look_up(hits.picture, hits.at, wide)
        own, kind = LINEAR[texels[:, :3]], texels[:, 3]
        sky = np.full(len(points), 0.6) if grid is None else self._open_sky(points, hits, grid, rng)
        lit = own * (sky[:, None] * tint(*self.light.sky) + self._direct(points, normal, kind))
        lit += self.light.emission()[kind] * (0.4 + own)
        if grid is not None:
            share = np.zeros(8)
            share[list(MIRRORS)] = list(MIRRORS.values())
            grazing = (1 - facing) ** 2
            share = share[kind] * (0.6 + grazing)
            share += (kind == GROUND) * (normal[:, 2] > 0.9) * self.light.wet * grazing
            at = np.flatnonzero(share > 0)
            away = towards[at] + 2 * facing[at, None] * normal[at]
            seen = self._look(points[at], away, 4 * pixel, rng, None)
            lit[at] += (seen - lit[at]) * share[at, None]
        clear = np.exp(-hits.distance / self.light.sight)[:, None]
        colour[hits.ray] = lit * clear + tint(*self.light.horizon) * (1 - clear)
        return colour

    def _direct(self, points: Floats, normal: Floats, kind: NDArray[np.uint8]) -> Floats:
        """Sunlight and lamplight that arrive at points, (N, 3)."""
        total = np.zeros_like(points)
        if max(self.light.sun) > 0:
            slant = np.where(kind == LEAF, 0.55, np.clip(normal @ self.sun, 0.0, 1.0))
            at = np.flatnonzero(slant > 0)
            free = self.scene.is_free(points[at], np.tile(self.sun, (len(at), 1)))
            total[at] = (slant[at] * free)[:, None] * tint(*self.light.sun)
        if self.light.lamps > 0.5 and len(self.lamps):
            _, which = self._nearest.query(points[:, :2], k=[1, 2, 3])
            for lamp in np.minimum(which, len(self.lamps) - 1).T:
                way = np.column_stack([self.lamps[lamp], np.full(len(lamp), LAMP_HEIGHT)]) - points
                reach = np.linalg.norm(way, axis=1)
                slant = 0.25 + np.clip(np.einsum("ij,ij->i", normal, way) / reach, 0.0, 1.0)
                glow = 5.0 * self.light.lamps * slant / (3.0 + reach**2) * (kind != LAMP)
                total += glow[:, None] * tint(1.0, 0.74, 0.42)
        return total

    def _open_sky(self, points: Floats, hits: Hits, grid: Grid, rng: Rng) -> Floats:
        """How much of the sky each point sees, and of what throws light back, (N,) up to 1."""
        # A ray for each point, cosine-distributed: a point of the unit sphere plus the normal. Rays
        # nearby take different directions, and neighbours on the same plane share their answers.
        row, column = np.divmod(hits.ray, grid[1])
        cell = rng.permutation(STRATA**2)[(row % STRATA) * STRATA + column % STRATA]
        down, round_ = (rng.random(len(points)) + part for part in np.divmod(cell, STRATA))
        z, angle = 1 - 2 * down / STRATA, 2 * np.pi * round_ / STRATA
        ring = np.sqrt(np.maximum(1 - z * z, 0))
        sphere = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
        way = hits.normal + 0.999 * sphere
        way = (way / np.linalg.norm(way, axis=1, keepdims=True)).astype(np.float32)
        seen, plane = np.zeros(grid[0] * grid[1]), np.full(grid[0] * grid[1], 1e9)
        seen[hits.ray] = np.where(self.scene.is_free(points, way) & (way[:, 2] > 0), 1.0, 0.4)
        plane[hits.ray] = np.einsum("ij,ij->i", hits.normal, points + tint(37.0, 59.0, 83.0))
        seen, plane = seen.reshape(grid), plane.reshape(grid)
        total, count = np.zeros(grid), np.zeros(grid)
        for step in product(range(-STRATA // 2, STRATA // 2), repeat=2):
            same = np.abs(np.roll(plane, step, (0, 1)) - plane) < 0.1
            total += np.roll(seen, step, (0, 1)) * same
            count += same
        return (total / count).ravel()[hits.ray].astype(np.float32)
