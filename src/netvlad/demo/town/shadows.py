"""Maps of a district seen from above: shadows, lamp light, and the dark beside walls and cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from netvlad.demo.town.light import Light
from netvlad.demo.town.plan import District, Point
from netvlad.demo.town.surfaces import Floats
from netvlad.demo.town.traffic import Car

MAP_SCALE = 2.0
LAMP_HEIGHT = 4.4


@dataclass(frozen=True)
class Maps:
    """Rasters over `extent`, the first row at its lower edge, `MAP_SCALE` cells per metre.

    Attributes:
        extent: Left, bottom, right, top in metres of the district.
        shadow: (R, C) float32, the height in metres up to which it is in the shade.
        lamps: (R, C) float32, light from street lamps at the ground.
        crevices: (R, C) float32, 0 to 1, how much of the sky walls and cars hide from the ground.
    """

    extent: tuple[float, float, float, float]
    shadow: Floats
    lamps: Floats
    crevices: Floats

    def sample(self, raster: Floats, x: Floats, y: Floats) -> Floats:
        """Values of one of the rasters at points, linearly between cells; any shape."""
        rows, columns = raster.shape
        u = np.clip((x - self.extent[0]) * MAP_SCALE - 0.5, 0, columns - 1.001)
        v = np.clip((y - self.extent[1]) * MAP_SCALE - 0.5, 0, rows - 1.001)
        column, row = u.astype(np.int32), v.astype(np.int32)
        s, t = (u - column).astype(np.float32), (v - row).astype(np.float32)
        flat = raster.ravel()
        at = row * columns + column
        low = flat[at] * (1 - s) + flat[at + 1] * s
        high = flat[at + columns] * (1 - s) + flat[at + columns + 1] * s
        mixed: Floats = low * (1 - t) + high * t
        return mixed


def draw_maps(district: District, cars: tuple[Car, ...], light: Light) -> Maps:
    """The maps of a district at one time of day with its cars."""
    heights = _heights(district, cars)
    shadow = np.zeros_like(heights)
    if max(light.sun) > 0:
        shadow = _cast_shadows(heights, light.sun_direction(district.turn))
    return Maps(district.extent, shadow, _lamp_light(district), _crevices(district, cars))


def _cells(district: District, points: tuple[Point, ...]) -> list[tuple[float, float]]:
    left, bottom = district.extent[:2]
    return [((x - left) * MAP_SCALE, (y - bottom) * MAP_SCALE) for x, y in points]


def _size(district: District) -> tuple[int, int]:
    left, bottom, right, top = district.extent
    return int((right - left) * MAP_SCALE), int((top - bottom) * MAP_SCALE)


def _car_outline(car: Car) -> tuple[Point, ...]:
    half, wide = car.shape.length / 2, car.shape.width / 2
    (x, y), (fx, fy) = car.centre, car.towards
    return tuple(
        (x + a * half * fx + b * wide * fy, y + a * half * fy - b * wide * fx)
        for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    )


def _heights(district: District, cars: tuple[Car, ...]) -> Floats:
    """(R, C) metres above ground of whatever throws a shadow."""
    picture = Image.new("F", _size(district), 0.0)
    draw = ImageDraw.Draw(picture)
    for car in cars:
        draw.polygon(_cells(district, _car_outline(car)), fill=car.shape.height)
    for fence in district.fences:
        draw.line(_cells(district, (fence.start, fence.end)), fill=fence.height, width=1)
    for sprite in district.sprites:
        if sprite.kind in ("tree", "bush"):
            ((x, y),) = _cells(district, (sprite.position,))
            for share, height in ((0.34, 0.6), (0.26, 0.85), (0.14, 1.0)):
                r = share * sprite.height * MAP_SCALE
                draw.ellipse((x - r, y - r, x + r, y + r), fill=height * sprite.height)
    for building in sorted(district.buildings, key=lambda b: b.height):
        height = building.height + building.rise / 2
        draw.polygon(_cells(district, building.footprint()), fill=height)
    return np.array(picture, dtype=np.float32)


def _cast_shadows(heights: Floats, sun: tuple[float, float, float]) -> Floats:
    """Moves the heights away from the sun step by step; they sink as the light falls."""
    level = float(np.hypot(sun[0], sun[1]))
    slope = sun[2] / max(level, 1e-6)
    reach = min(float(heights.max()) / max(slope, 1e-3), 90.0)
    shadow = np.zeros_like(heights)
    rows, columns = heights.shape
    for step in range(1, int(reach * MAP_SCALE)):
        right = round(step * sun[0] / level)
        up = round(step * sun[1] / level)
        # The cell at (r, c) lies in the shade of the one `up` rows and `right` columns on.
        to_rows = slice(max(-up, 0), rows - max(up, 0))
        to_columns = slice(max(-right, 0), columns - max(right, 0))
        from_rows = slice(max(up, 0), rows - max(-up, 0))
        from_columns = slice(max(right, 0), columns - max(-right, 0))
        sunk = heights[from_rows, from_columns] - step / MAP_SCALE * slope
        np.maximum(shadow[to_rows, to_columns], sunk, out=shadow[to_rows, to_columns])
    return shadow


def _lamp_light(district: District) -> Floats:
    columns, rows = _size(district)
    light = np.zeros((rows, columns), dtype=np.float32)
    reach = int(14 * MAP_SCALE)
    offsets = np.arange(-reach, reach + 1) / MAP_SCALE
    squared = offsets[:, None] ** 2 + offsets[None, :] ** 2
    spot = (1.0 / (1.0 + squared / 16.0) ** 1.5).astype(np.float32)
    spot = np.maximum(spot - spot[0, reach], 0.0)
    for sprite in district.sprites:
        if sprite.kind != "lamp":
            continue
        ((x, y),) = _cells(district, (sprite.position,))
        column, row = round(x), round(y)
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, rows), min(column + reach + 1, columns)
        shift_row, shift_column = row - reach, column - reach
        light[top:bottom, left:right] += spot[
            top - shift_row : bottom - shift_row, left - shift_column : right - shift_column
        ]
    return light


def _crevices(district: District, cars: tuple[Car, ...]) -> Floats:
    picture = Image.new("L", _size(district), 0)
    draw = ImageDraw.Draw(picture)
    for building in district.buildings:
        draw.polygon(_cells(district, building.footprint()), fill=180)
    for car in cars:
        draw.polygon(_cells(district, _car_outline(car)), fill=255)
    soft = picture.filter(ImageFilter.GaussianBlur(1.1))
    return np.asarray(soft, dtype=np.float32) / 255.0
