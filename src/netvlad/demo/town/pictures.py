"""Pictures of things without volume: trees, lamps, road signs, benches, people."""

from __future__ import annotations

from functools import cache

import numpy as np

from netvlad.demo.town.atlas import FOLIAGE, LANTERN, PAINT, SIGN, SOLID, Canvas, Texels
from netvlad.demo.town.materials import smooth_noise
from netvlad.demo.town.plan import Colour, SpriteKind

SPRITE_SCALE = 32.0
IRON: Colour = (52, 58, 58)
LEAVES: tuple[Colour, ...] = (
    (84, 118, 50),
    (62, 100, 48),
    (108, 132, 58),
    (72, 110, 64),
    (126, 128, 54),
    (52, 84, 44),
    (94, 124, 44),
    (142, 98, 50),
)
# Width of each picture as a share of its height.
ASPECTS: dict[SpriteKind, float] = {
    "tree": 0.8,
    "lamp": 0.24,
    "sign": 0.28,
    "bush": 1.2,
    "bench": 1.9,
    "kiosk": 0.85,
    "bollard": 0.3,
}
VARIANTS: dict[SpriteKind, int] = {
    "tree": 8,
    "lamp": 2,
    "sign": 6,
    "bush": 4,
    "bench": 1,
    "kiosk": 3,
    "bollard": 1,
}
PEOPLE = 8


@cache
def paint_sprite(kind: SpriteKind, variant: int) -> tuple[Texels, float]:
    """The picture of a thing.

    Args:
        kind: What it is.
        variant: Below `VARIANTS[kind]`.

    Returns:
        Texels, clear around the thing, and its height in metres at `SPRITE_SCALE` texels a metre.
        All districts share them: they must not be changed.
    """
    rng = np.random.default_rng([variant, sorted(ASPECTS).index(kind)])
    if kind == "tree":
        return _tree(rng, variant), 7.0
    if kind == "bush":
        return _bush(rng), 1.4
    height = {"lamp": 4.6, "sign": 2.7, "bench": 0.9, "kiosk": 2.9}.get(kind, 0.9)
    canvas = Canvas(height * ASPECTS[kind], height, SPRITE_SCALE)
    width = canvas.texels.shape[1] / SPRITE_SCALE
    if kind == "lamp":
        _lamp(canvas, width / 2, variant)
    elif kind == "sign":
        _road_sign(canvas, width / 2, variant)
    elif kind == "bench":
        _bench(canvas, width)
    elif kind == "kiosk":
        _kiosk(canvas, width, variant)
    else:
        canvas.box(width / 2 - 0.09, 0, width / 2 + 0.09, 0.85, IRON)
        canvas.box(width / 2 - 0.09, 0.62, width / 2 + 0.09, 0.7, (220, 220, 216))
    return canvas.texels, height


def _leaves(
    canvas: Canvas, rng: np.random.Generator, colour: Colour, clumps: list[tuple[float, ...]]
) -> None:
    """Clumps (x, z, radius) of leaves: ragged, lighter above, darker below."""
    rows, columns = canvas.texels.shape[:2]
    z, x = np.mgrid[0:rows, 0:columns] / canvas.scale
    z = rows / canvas.scale - z
    ragged = 0.30 * smooth_noise(rng, rows, columns, 5) + 0.2 * smooth_noise(rng, rows, columns, 13)
    fine = rng.uniform(-1, 1, (rows, columns))
    for at, up, radius in clumps:
        away = np.hypot(x - at, z - up) / radius
        inside = away + ragged + 0.12 * fine < 1.0
        light = 0.92 + 0.38 * (z - up) / radius - 0.14 * (x - at) / radius
        light = light + 0.22 * ragged + 0.16 * fine
        texels = np.clip(light[..., None] * np.array(colour), 0, 255)
        canvas.texels[inside, :3] = texels[inside]
        canvas.texels[inside, 3] = FOLIAGE


def _tree(rng: np.random.Generator, variant: int) -> Texels:
    canvas = Canvas(5.6, 7.0, SPRITE_SCALE)
    bark: Colour = (88, 70, 54) if variant != 2 else (168, 164, 154)
    canvas.box(2.66, 0, 2.94, 4.2, bark)
    canvas.shade(2.82, 0, 2.94, 4.2, 0.7)
    for lean in (-1, 1):
        for step in np.linspace(0, 1, 24):
            x, z = 2.8 + lean * 0.9 * step, 2.6 + 1.5 * step
            canvas.box(x - 0.06, z, x + 0.06, z + 0.1, bark)
    clumps: list[tuple[float, ...]] = []
    if variant == 5:  # a conifer
        clumps = [(2.8, 1.4 + 0.5 * k, 1.75 - 0.15 * k) for k in range(11)]
    elif variant == 3:  # a clipped ball
        clumps = [(2.8, 4.8, 1.9)]
    elif variant == 6:  # a poplar
        clumps = [(2.8, 2.0 + 0.62 * k, 1.2 - 0.06 * abs(k - 3)) for k in range(7)]
    else:
        for _ in range(11):
            angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.45)
            clumps.append(
                (
                    2.8 + float(out * np.cos(angle)),
                    4.6 + float(0.85 * out * np.sin(angle)),
                    float(rng.uniform(0.7, 1.15)),
                )
            )
        clumps.sort(key=lambda clump: clump[1])
    _leaves(canvas, rng, LEAVES[variant], clumps)
    return canvas.texels


def _bush(rng: np.random.Generator) -> Texels:
    canvas = Canvas(1.68, 1.4, SPRITE_SCALE)
    colour = LEAVES[int(rng.integers(len(LEAVES) - 1))]
    clumps = [(float(x), float(rng.uniform(0.4, 0.75)), 0.5) for x in (0.45, 0.84, 1.25)]
    _leaves(canvas, rng, colour, [*clumps, (0.84, 0.4, 0.5)])
    return canvas.texels


def _lamp(canvas: Canvas, middle: float, variant: int) -> None:
    canvas.box(middle - 0.06, 0, middle + 0.06, 4.0, IRON)
    canvas.box(middle - 0.11, 0, middle + 0.11, 0.7, IRON)
    if variant == 0:  # an old lantern
        canvas.box(middle - 0.2, 4.0, middle + 0.2, 4.4, (246, 232, 190), LANTERN)
        canvas.box(middle - 0.26, 4.38, middle + 0.26, 4.46, IRON)
        canvas.box(middle - 0.1, 4.46, middle + 0.1, 4.58, IRON)
        return
    canvas.box(middle - 0.06, 4.0, middle + 0.06, 4.4, IRON)
    canvas.box(middle - 0.5, 4.4, middle + 0.5, 4.5, IRON)
    canvas.box(middle - 0.48, 4.28, middle + 0.48, 4.4, (246, 236, 206), LANTERN)


def _road_sign(canvas: Canvas, middle: float, variant: int) -> None:
    canvas.box(middle - 0.04, 0, middle + 0.04, 2.1, (136, 140, 140))
    red, blue, white = (196, 30, 34), (28, 78, 160), (240, 240, 236)
    if variant == 0:  # no entry
        canvas.ellipse(middle, 2.3, 0.34, 0.34, red)
        canvas.box(middle - 0.24, 2.22, middle + 0.24, 2.38, white)
    elif variant == 1:  # parking
        canvas.box(middle - 0.32, 1.95, middle + 0.32, 2.6, blue)
        canvas.box(middle - 0.14, 2.02, middle - 0.04, 2.52, white)
        canvas.ellipse(middle + 0.02, 2.38, 0.16, 0.15, white)
        canvas.ellipse(middle + 0.02, 2.38, 0.07, 0.07, blue)
    elif variant == 2:  # a limit
        canvas.ellipse(middle, 2.3, 0.34, 0.34, red)
        canvas.ellipse(middle, 2.3, 0.25, 0.25, white)
        canvas.box(middle - 0.12, 2.18, middle + 0.12, 2.42, (30, 30, 30))
    elif variant == 3:  # give way
        for step in np.linspace(0, 1, 20):
            canvas.box(middle - 0.36 * step, 2.0 + 0.6 * step, middle + 0.36 * step, 2.64, red)
        canvas.box(middle - 0.15, 2.35, middle + 0.15, 2.52, white)
    elif variant == 4:  # one way
        canvas.box(middle - 0.37, 2.2, middle + 0.37, 2.5, blue)
        canvas.box(middle - 0.28, 2.31, middle + 0.28, 2.39, white)
    else:  # a bus stop
        canvas.box(middle - 0.3, 1.9, middle + 0.3, 2.65, (236, 190, 40))
        canvas.ellipse(middle, 2.35, 0.22, 0.22, (30, 110, 60))


def _bench(canvas: Canvas, width: float) -> None:
    wood: Colour = (132, 92, 56)
    for x in (0.15, width - 0.23):
        canvas.box(x, 0, x + 0.08, 0.85, IRON)
    for z in (0.38, 0.55, 0.72):
        canvas.box(0.05, z, width - 0.05, z + 0.1, wood)


def _kiosk(canvas: Canvas, width: float, variant: int) -> None:
    """A round kiosk with posters."""
    colour: Colour = ((40, 92, 76), (124, 40, 44), (44, 66, 120))[variant]
    canvas.box(0.25, 0, width - 0.25, 2.5, colour)
    canvas.box(0.12, 2.3, width - 0.12, 2.5, IRON)
    canvas.ellipse(width / 2, 2.5, width / 2 - 0.15, 0.38, colour)
    for x, poster in ((0.35, (230, 206, 90)), (0.98, (226, 226, 220)), (1.6, (210, 92, 70))):
        canvas.box(x, 0.7, x + 0.5, 2.1, poster, SIGN)
        canvas.box(x + 0.08, 1.5, x + 0.42, 1.9, (60, 60, 80), SIGN)
        canvas.box(x + 0.08, 1.0, x + 0.42, 1.1, (60, 60, 60), SIGN)
    for x in np.arange(0.25, width - 0.25, 0.1):
        dark = 1.0 - 0.45 * abs(2 * x / width - 1) ** 2
        canvas.shade(x, 0, x + 0.1, 2.3, float(dark))


@cache
def paint_person(variant: int) -> Texels:
    """Somebody walking, 0.8 by 1.8 metres."""
    rng = np.random.default_rng([variant, 99])
    canvas = Canvas(0.8, 1.8, SPRITE_SCALE)
    skin: Colour = ((224, 180, 150), (150, 104, 76), (198, 150, 116))[variant % 3]
    coat, legs = (
        (int(rng.integers(30, 200)), int(rng.integers(30, 170)), int(rng.integers(30, 180))),
        (int(rng.integers(24, 80)), int(rng.integers(24, 80)), int(rng.integers(30, 100))),
    )
    spread = float(rng.uniform(0.04, 0.12))
    for lean in (-1, 1):
        for z in np.linspace(0, 0.9, 24):
            x = 0.4 + lean * (0.06 + spread * (1 - z / 0.9))
            canvas.box(x - 0.075, z, x + 0.075, z + 0.06, legs, SOLID)
    canvas.box(0.19, 0.85, 0.61, 1.2, coat, PAINT)
    canvas.ellipse(0.4, 1.25, 0.22, 0.3, coat, PAINT)
    canvas.box(0.14, 0.75, 0.24, 1.35, coat, PAINT)
    canvas.box(0.56, 0.75, 0.66, 1.35, coat, PAINT)
    canvas.shade(0.45, 0.75, 0.66, 1.5, 0.8)
    canvas.ellipse(0.4, 1.64, 0.12, 0.15, skin, SOLID)
    canvas.ellipse(0.4, 1.72, 0.125, 0.09, (54, 40, 32), SOLID)
    return canvas.texels
