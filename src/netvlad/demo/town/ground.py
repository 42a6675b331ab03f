"""Paints the ground of a district: roads, kerbs, crossings, pavements, parks and squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from netvlad.demo.town.atlas import SOLID, Texels
from netvlad.demo.town.materials import smooth_noise
from netvlad.demo.town.plan import Block, Colour, District, Street, Surface

GROUND_SCALE = 10.0
ROADS: dict[Surface, Colour] = {
    "asphalt": (84, 84, 88),
    "cobbles": (120, 110, 100),
    "concrete": (128, 126, 122),
}
GRASS: Colour = (96, 124, 62)
PAVEMENT: Colour = (158, 152, 144)
KERB: Colour = (190, 188, 182)
LINE: Colour = (224, 224, 216)
Box = tuple[float, float, float, float]


class _Map:
    """A picture seen from above, painted in metres of the district."""

    def __init__(self, extent: Box) -> None:
        self.left, self.bottom, right, self.top = extent
        size = (
            int((right - self.left) * GROUND_SCALE),
            int((self.top - self.bottom) * GROUND_SCALE),
        )
        self.picture = Image.new("RGB", size, GRASS)
        self.draw = ImageDraw.Draw(self.picture)

    def texels(self, box: Box) -> Box:
        x0, x1 = sorted((box[0] - self.left, box[2] - self.left))
        y0, y1 = sorted((self.top - box[1], self.top - box[3]))
        s = GROUND_SCALE
        return round(x0 * s), round(y0 * s), round(x1 * s) - 1, round(y1 * s) - 1

    def box(self, box: Box, colour: Colour) -> None:
        left, top, right, bottom = self.texels(box)
        if right >= left and bottom >= top:
            self.draw.rectangle((left, top, right, bottom), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        box = self.texels((x - radius, y - radius, x + radius, y + radius))
        self.draw.ellipse(box, fill=colour)


def paint_ground(district: District) -> Texels:
    """The ground of the whole extent, (rows, columns, 4) at `GROUND_SCALE` texels per metre.

    The first row is the far (top) edge of `district.extent`.
    """
    rng = np.random.default_rng([district.seed, 41])
    plan = _Map(district.extent)
    for block in district.blocks:
        _paint_block(plan, rng, block)
    upright = [street for street in district.streets if street.axis == "y"]
    level = [street for street in district.streets if street.axis == "x"]
    for street in district.streets:
        _strip(plan, street, street.width, PAVEMENT)
    _slabs(plan, district)
    for street in district.streets:
        _strip(plan, street, street.carriageway + 0.4, KERB)
    for street in district.streets:
        _strip(plan, street, street.carriageway, ROADS[street.surface])
    _patches(plan, rng, district)
    for street in district.streets:
        _markings(plan, street, level if street.axis == "y" else upright)
    return _finish(plan, rng, district)


def _strip(plan: _Map, street: Street, width: float, colour: Colour) -> None:
    a = street.at(street.start, -width / 2)
    b = street.at(street.end, width / 2)
    plan.box((a[0], a[1], b[0], b[1]), colour)


def _paint_block(plan: _Map, rng: np.random.Generator, block: Block) -> None:
    inside = (block.left, block.bottom, block.right, block.top)
    if block.kind == "built":
        plan.box(inside, (128, 122, 108))
        return
    middle = (block.left + block.right) / 2, (block.bottom + block.top) / 2
    if block.kind == "park":
        plan.box(inside, (92, 128, 58))
        sand: Colour = (198, 180, 142)
        plan.box((middle[0] - 1.5, block.bottom, middle[0] + 1.5, block.top), sand)
        plan.box((block.left, middle[1] - 1.5, block.right, middle[1] + 1.5), sand)
        plan.disc(*middle, 6.0, sand)
        plan.disc(*middle, 3.2, (88, 134, 160) if rng.random() < 0.5 else (168, 76, 96))
        return
    plan.box(inside, (184, 170, 148))
    step = 3.0
    for x in np.arange(block.left, block.right, step):
        plan.box((float(x), block.bottom, float(x) + 0.2, block.top), (150, 134, 116))
    for y in np.arange(block.bottom, block.top, step):
        plan.box((block.left, float(y), block.right, float(y) + 0.2), (150, 134, 116))


def _slabs(plan: _Map, district: District) -> None:
    """Joints between paving slabs, along and across every street."""
    joint: Colour = (138, 132, 124)
    for street in district.streets:
        for along in np.arange(street.start, street.end, 1.0):
            a, b = street.at(along, -street.width / 2), street.at(along + 0.1, street.width / 2)
            plan.box((a[0], a[1], b[0], b[1]), joint)
        for aside in np.arange(-street.width / 2, street.width / 2, 1.0):
            a, b = street.at(street.start, aside), street.at(street.end, aside + 0.1)
            plan.box((a[0], a[1], b[0], b[1]), joint)


def _patches(plan: _Map, rng: np.random.Generator, district: District) -> None:
    """Mended asphalt and manholes."""
    for street in district.streets:
        road = ROADS[street.surface]
        for _ in range(int((street.end - street.start) / 9)):
            at = float(rng.uniform(street.start, street.end))
            aside = float(rng.uniform(-0.4, 0.3)) * street.carriageway
            tone = float(rng.uniform(0.8, 1.12))
            colour = (int(road[0] * tone), int(road[1] * tone), int(road[2] * tone))
            if street.surface == "asphalt":
                a = street.at(at, aside)
                b = street.at(at + float(rng.uniform(1, 6)), aside + float(rng.uniform(0.6, 1.6)))
                plan.box((a[0], a[1], b[0], b[1]), colour)
            if rng.random() < 0.4:
                x, y = street.at(at, aside)
                plan.disc(x, y, 0.38, (56, 54, 54))


def _markings(plan: _Map, street: Street, crossings: list[Street]) -> None:
    """Centre line, parking bays, and zebra crossings before the junctions."""
    half = street.carriageway / 2
    stops = [(c.centre - c.width / 2, c.centre + c.width / 2) for c in crossings]

    def mark(low: float, high: float, near: float, far: float) -> None:
        if all(high < a - 3.2 or low > b + 3.2 for a, b in stops):
            a, b = street.at(low, near), street.at(high, far)
            plan.box((a[0], a[1], b[0], b[1]), LINE)

    if street.marked:
        for place in np.arange(street.start, street.end, 4.0):
            mark(float(place), float(place) + 2.0, -0.07, 0.07)
    if street.parking:
        for place in np.arange(street.start, street.end, 5.6):
            mark(float(place), float(place) + 0.12, -half, -half + 2.1)
            mark(float(place), float(place) + 0.12, half - 2.1, half)
    for low, high in stops:
        for edge in (low - 2.6, high + 0.2):
            if not (street.marked and street.start < edge < street.end - 3.0):
                continue
            for aside in np.arange(-half + 0.3, half - 0.5, 1.0):
                a, b = street.at(edge, float(aside)), street.at(edge + 2.4, float(aside) + 0.5)
                plan.box((a[0], a[1], b[0], b[1]), LINE)


def _finish(plan: _Map, rng: np.random.Generator, district: District) -> Texels:
    """Grain and stains over everything, and grime along the walls."""
    colours = np.array(plan.picture, dtype=np.float32)
    rows, columns = colours.shape[:2]
    shades: NDArray[np.float32] = np.float32(0.05) * smooth_noise(rng, rows, columns, 14)
    shades += 0.06 * smooth_noise(rng, rows, columns, 60)
    shades += np.float32(0.12) * rng.random((rows, columns), dtype=np.float32) - np.float32(0.06)
    grime = Image.new("L", (columns // 4, rows // 4), 0)
    draw = ImageDraw.Draw(grime)
    for building in district.buildings:
        corners = [
            ((x - plan.left) * GROUND_SCALE / 4, (plan.top - y) * GROUND_SCALE / 4)
            for x, y in building.footprint()
        ]
        draw.polygon(corners, fill=255, outline=255, width=3)
    wide = grime.resize((columns, rows), Image.Resampling.BILINEAR)
    shades -= 0.22 * np.asarray(wide, dtype=np.float32) / 255.0
    texels = np.empty((rows, columns, 4), dtype=np.uint8)
    colours *= 1.0 + shades[..., None]
    texels[..., :3] = np.clip(colours, 0, 255, out=colours)
    texels[..., 3] = SOLID
    return texels
