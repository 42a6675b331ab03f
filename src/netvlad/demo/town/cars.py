"""Cars: three shapes in ten colours, as boxes with painted sides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from netvlad.demo.town.atlas import CAR_WINDOW, HEADLIGHT, PAINT, TAILLIGHT, Canvas, Texels
from netvlad.demo.town.plan import Colour

CAR_SCALE = 32.0
COLOURS: tuple[Colour, ...] = (
    (196, 198, 200),
    (40, 42, 46),
    (150, 30, 32),
    (34, 64, 120),
    (232, 230, 224),
    (96, 100, 104),
    (44, 92, 66),
    (214, 168, 46),
    (120, 150, 172),
    (92, 60, 44),
)
TYRE: Colour = (26, 26, 28)
PANE: Colour = (52, 62, 70)


@dataclass(frozen=True)
class CarShape:
    """Metres. The cabin stands on the body from `cabin_back` to `cabin_front`, from the rear."""

    length: float
    width: float
    body: float
    height: float
    cabin_back: float
    cabin_front: float


SHAPES: tuple[CarShape, ...] = (
    CarShape(4.2, 1.75, 0.92, 1.48, 0.15, 2.95),
    CarShape(4.6, 1.8, 0.9, 1.42, 0.75, 3.3),
    CarShape(5.1, 1.95, 1.1, 2.3, 0.0, 4.3),
)


@dataclass(frozen=True)
class CarPictures:
    """The sides of one car. `body` shows the left side, nose to the left."""

    body: Texels
    cabin: Texels
    nose: Texels
    tail: Texels
    screen: Texels
    top: Texels
    roof: Texels
    far_screen: Texels


@cache
def paint_car(shape: CarShape, colour: Colour) -> CarPictures:
    """All sides of a car of the shape and colour; all districts share them."""
    top = Canvas(0.5, 0.5, CAR_SCALE)
    top.box(0, 0, 0.5, 0.5, _lighter(colour, 1.12), PAINT)
    cabin, screen = _cabin(shape, colour), _screen(shape, colour)
    return CarPictures(
        body=_body(shape, colour),
        cabin=cabin,
        nose=_end(shape, colour, front=True),
        tail=_end(shape, colour, front=False),
        screen=screen,
        top=top.texels,
        roof=_in_one_colour(cabin, _lighter(colour, 1.12)),
        far_screen=_in_one_colour(screen, _lighter(colour, 1.12)),
    )


def _lighter(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(np.clip(value * factor, 0, 255)) for value in colour)
    return red, green, blue


def _in_one_colour(texels: Texels, colour: Colour) -> Texels:
    """The outline of a picture, filled: the far side of a box, seen over its near side."""
    filled = texels.copy()
    filled[texels[..., 3] > 0] = (*colour, PAINT)
    return filled


def _body(shape: CarShape, colour: Colour) -> Texels:
    canvas = Canvas(shape.length, shape.body, CAR_SCALE)
    canvas.box(0, 0.28, shape.length, shape.body, colour, PAINT)
    canvas.box(0, 0.18, shape.length, 0.3, (32, 32, 34))
    # Below the sills it is dark, not open: the far side of the street must not show through.
    canvas.box(0.3, 0.0, shape.length - 0.3, 0.18, (18, 18, 20))
    canvas.shade(0, 0.28, shape.length, 0.42, 0.72)
    canvas.shade(0, shape.body - 0.12, shape.length, shape.body, 1.18)
    for axle in (0.82, shape.length - 0.85):
        canvas.ellipse(axle, 0.34, 0.4, 0.4, (20, 20, 22))
        canvas.ellipse(axle, 0.32, 0.32, 0.32, TYRE)
        canvas.ellipse(axle, 0.32, 0.19, 0.19, (150, 152, 154))
    for seam in (shape.length * 0.38, shape.length * 0.62):
        canvas.shade(seam, 0.35, seam + 0.04, shape.body, 0.6)
    canvas.box(0, 0.58, 0.14, 0.74, (250, 246, 224), HEADLIGHT)
    canvas.box(shape.length - 0.14, 0.58, shape.length, 0.76, (170, 20, 22), TAILLIGHT)
    return canvas.texels


def _cabin(shape: CarShape, colour: Colour) -> Texels:
    """The side of the cabin, sloping at both ends; nose to the left."""
    long, high = shape.cabin_front - shape.cabin_back, shape.height - shape.body
    canvas = Canvas(long, high, CAR_SCALE)
    canvas.box(0, 0, long, high, colour, PAINT)
    canvas.box(0.12, 0.06, long - 0.12, high - 0.1, PANE, CAR_WINDOW)
    for post in (long * 0.36, long * 0.66):
        canvas.box(post - 0.04, 0, post + 0.04, high, colour, PAINT)
    if shape.height > 2:
        canvas.box(long * 0.4, 0, long, high, colour, PAINT)
    slopes = (0.55, 0.3) if shape.height < 2 else (0.45, 0.02)
    rows = canvas.texels.shape[0]
    for row in range(rows):
        rise = 1 - row / rows
        left, right = (int(slope * rise * CAR_SCALE) for slope in slopes)
        canvas.texels[row, :left] = 0
        canvas.texels[row, canvas.texels.shape[1] - right :] = 0
        canvas.texels[row, left : left + 2] = (*colour, PAINT)
    return canvas.texels


def _end(shape: CarShape, colour: Colour, front: bool) -> Texels:
    canvas = Canvas(shape.width, shape.body, CAR_SCALE)
    wide = shape.width
    canvas.box(0, 0.22, wide, shape.body, colour, PAINT)
    canvas.box(0.1, 0.0, 0.32, 0.3, TYRE)
    canvas.box(wide - 0.32, 0.0, wide - 0.1, 0.3, TYRE)
    canvas.box(0.32, 0.0, wide - 0.32, 0.22, (18, 18, 20))
    canvas.box(0.02, 0.3, wide - 0.02, 0.42, _lighter(colour, 0.6), PAINT)
    code, lights = (HEADLIGHT, (250, 246, 224)) if front else (TAILLIGHT, (170, 20, 22))
    for x in (0.1, wide - 0.42):
        canvas.box(x, 0.58, x + 0.32, 0.76, lights, code)
    if front:
        canvas.box(0.5, 0.52, wide - 0.5, 0.7, (30, 32, 34))
    canvas.box(wide / 2 - 0.26, 0.36, wide / 2 + 0.26, 0.48, (236, 236, 228))
    canvas.shade(0, shape.body - 0.1, wide, shape.body, 1.15)
    return canvas.texels


def _screen(shape: CarShape, colour: Colour) -> Texels:
    """Windscreen or rear window, narrower towards the roof."""
    high = shape.height - shape.body
    canvas = Canvas(shape.width, high, CAR_SCALE)
    canvas.box(0.04, 0, shape.width - 0.04, high, colour, PAINT)
    canvas.box(0.16, 0.05, shape.width - 0.16, high - 0.08, PANE, CAR_WINDOW)
    rows = canvas.texels.shape[0]
    for row in range(rows):
        inset = int(0.16 * (1 - row / rows) * CAR_SCALE)
        canvas.texels[row, :inset] = 0
        canvas.texels[row, canvas.texels.shape[1] - inset :] = 0
    return canvas.texels
