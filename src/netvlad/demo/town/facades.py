"""Paints the front of a building: wall, windows, ground floor, ornaments."""

from __future__ import annotations

import numpy as np

from netvlad.demo.town.atlas import SHOP_WINDOW, SOLID, WINDOW_FIRST, WINDOW_LAST, Canvas, Texels
from netvlad.demo.town.lettering import write_sign
from netvlad.demo.town.materials import WALL_SCALE, tinted, wall_shades
from netvlad.demo.town.plan import Colour, FacadeStyle, Roof

GLASS: Colour = (62, 76, 88)


def paint_front(
    style: FacadeStyle, width: float, height: float, roof: Roof, rise: float, main: bool = True
) -> Texels:
    """The front of a building.

    Args:
        style: Materials, colours and rhythm.
        width: Metres.
        height: Metres up to the eaves.
        roof: A gable in front, stepped or not, adds `rise` metres above the eaves.
        rise: Metres; 0 where no gable stands in the front.
        main: Whether this is the street front; a side front has no shop and no door.

    Returns:
        (rows, columns, 4) texels at `WALL_SCALE` texels per metre, clear beside the gable.
    """
    rng = np.random.default_rng([style.seed, int(main)])
    canvas = Canvas(width, height + rise, WALL_SCALE)
    rows, columns = canvas.texels.shape[:2]
    canvas.texels[:] = tinted(wall_shades(rng, style.material, rows, columns), style.wall)
    ground = style.floor_height + (0.6 if style.ground_floor == "shop" else 0.35)
    storeys = max(round((height - ground) / style.floor_height), 0)
    if style.material == "timber":
        _beams(canvas, rng, style, width, ground, height + rise)
    if style.quoins:
        _quoins(canvas, style, width, height)
    bays = max(int((width - 0.7) / style.bay_width), 1)
    margin = (width - bays * style.bay_width) / 2
    for storey in range(storeys):
        sill = ground + storey * style.floor_height + 0.75
        for bay in range(bays):
            middle = margin + (bay + 0.5) * style.bay_width
            paint_window(canvas, rng, style, middle, sill, style.bay_width)
    if rise > 2.4 and style.window != "pointed":
        paint_window(canvas, rng, style, width / 2, height + 0.2, 1.6)
    elif rise > 2.4:
        _rose_window(canvas, style, width / 2, height + 0.4)
    if style.balconies and main:
        _balconies(canvas, style, margin, bays, ground, storeys)
    _bands(canvas, style, width, ground, height, storeys, roof)
    _ground_floor(canvas, rng, style, width, ground, margin, bays, main)
    canvas.shade(0, 0, width, 0.35, 0.72)
    if roof == "steps":
        _cut_steps(canvas, style, width, height, rise)
    return canvas.texels


def paint_window(
    canvas: Canvas, rng: np.random.Generator, style: FacadeStyle, x: float, sill: float, bay: float
) -> None:
    """One window about `x`, above `sill`, as its style has it."""
    wide = {"plain": 1.1, "cross": 1.2, "arched": 1.0, "wide": bay - 0.35}.get(style.window, 0.9)
    high = {"tall": 2.1, "wide": 1.5, "pointed": 3.2, "arched": 1.7}.get(style.window, 1.6)
    high = min(high, style.floor_height - 1.05)
    half = min(wide, bay - 0.3) / 2
    code = int(rng.integers(WINDOW_FIRST, WINDOW_LAST + 1))
    if style.shutters and bay - 2 * half > 0.7:
        for edge in (x - half - 0.42, x + half + 0.06):
            canvas.box(edge, sill, edge + 0.36, sill + high, style.accent)
            canvas.shade(edge, sill + high / 2, edge + 0.36, sill + high / 2 + 0.06, 0.7)
    rim = 0.12
    canvas.box(x - half - rim, sill - 0.05, x + half + rim, sill + high + rim + 0.03, style.trim)
    if style.window in ("arched", "pointed"):
        up = 0.5 if style.window == "arched" else 0.95
        canvas.ellipse(x, sill + high, half + rim, up + rim, style.trim)
        canvas.ellipse(x, sill + high, half, up, GLASS, code)
    canvas.box(x - half, sill, x + half, sill + high, style.frame)
    inset = 0.07
    canvas.box(x - half + inset, sill + inset, x + half - inset, sill + high - inset, GLASS, code)
    _curtain(canvas, rng, x, sill, half - inset, high - inset)
    if style.window in ("cross", "tall", "pair", "pointed", "wide"):
        canvas.box(x - 0.04, sill, x + 0.04, sill + high, style.frame)
    if style.window in ("cross", "tall", "arched"):
        canvas.box(x - half, sill + high * 0.66, x + half, sill + high * 0.66 + 0.07, style.frame)
    # The reveal throws a shadow on the upper edge of the pane.
    canvas.shade(x - half, sill + high - 0.2, x + half, sill + high, 0.72)
    canvas.box(x - half - 0.2, sill - 0.14, x + half + 0.2, sill, style.trim)
    canvas.shade(x - half - 0.2, sill - 0.22, x + half + 0.2, sill - 0.14, 0.72)


def _curtain(
    canvas: Canvas, rng: np.random.Generator, x: float, sill: float, half: float, high: float
) -> None:
    """Some windows have curtains or a blind; they stay with the window, whatever the hour."""
    kind = int(rng.integers(5))
    pale = (168, 164, 154)
    if kind == 0:
        for edge in (x - half, x + half * 0.55):
            canvas.window(edge, sill, edge + half * 0.45, sill + high)[..., :3] = pale
    elif kind == 1:
        drop = float(rng.uniform(0.2, 0.7)) * high
        canvas.window(x - half, sill + high - drop, x + half, sill + high)[..., :3] = pale


def _beams(
    canvas: Canvas,
    rng: np.random.Generator,
    style: FacadeStyle,
    width: float,
    ground: float,
    top: float,
) -> None:
    wood: Colour = (86, 58, 40) if style.seed % 2 else (58, 44, 38)
    level = ground
    while level < top:
        canvas.box(0, level, width, level + 0.22, wood)
        level += style.floor_height / 2
    for x in np.arange(0, width, style.bay_width / 2):
        canvas.box(x, ground, x + 0.18, top, wood)
    for x in np.arange(0, width - 0.8, style.bay_width):
        if rng.random() < 0.6:
            for s in np.linspace(0, 1, 30):
                at, up = x + s * style.bay_width / 2, ground + s * style.floor_height / 2
                canvas.box(at, up, at + 0.2, up + 0.15, wood)


def _quoins(canvas: Canvas, style: FacadeStyle, width: float, height: float) -> None:
    for step, z in enumerate(np.arange(0, height, 0.4)):
        long = 0.55 if step % 2 else 0.35
        canvas.box(0, z, long, z + 0.36, style.trim)
        canvas.box(width - long, z, width, z + 0.36, style.trim)


def _rose_window(canvas: Canvas, style: FacadeStyle, x: float, z: float) -> None:
    canvas.ellipse(x, z, 1.4, 1.4, style.trim)
    canvas.ellipse(x, z, 1.2, 1.2, (70, 80, 120), WINDOW_FIRST)
    canvas.box(x - 0.06, z - 1.2, x + 0.06, z + 1.2, style.trim)
    canvas.box(x - 1.2, z - 0.06, x + 1.2, z + 0.06, style.trim)


def _balconies(
    canvas: Canvas, style: FacadeStyle, margin: float, bays: int, ground: float, storeys: int
) -> None:
    """Railings before every second bay, with their shadow below."""
    for storey in range(storeys):
        for bay in range(style.seed % 2, bays, 2):
            left = margin + bay * style.bay_width + 0.15
            right = left + style.bay_width - 0.3
            floor = ground + storey * style.floor_height + 0.45
            canvas.shade(left, floor - 0.7, right, floor - 0.12, 0.68)
            canvas.box(left, floor - 0.15, right, floor, style.trim)
            for x in np.arange(left, right, 0.2):
                canvas.box(x, floor, x + 0.06, floor + 0.9, (40, 44, 46))
            canvas.box(left, floor + 0.85, right, floor + 0.95, (40, 44, 46))


def _bands(
    canvas: Canvas,
    style: FacadeStyle,
    width: float,
    ground: float,
    height: float,
    storeys: int,
    roof: Roof,
) -> None:
    """The course above the ground floor, and the cornice below the roof."""
    canvas.box(0, ground - 0.1, width, ground + 0.12, style.trim)
    canvas.shade(0, ground - 0.25, width, ground - 0.1, 0.75)
    if style.seed % 3 == 0:
        for storey in range(1, storeys):
            z = ground + storey * style.floor_height + 0.05
            canvas.box(0, z, width, z + 0.12, style.trim)
    if roof in ("flat", "ridge"):
        canvas.box(0, height - 0.35, width, height, style.trim)
        canvas.shade(0, height - 0.55, width, height - 0.35, 0.7)
        if style.seed % 2:
            for x in np.arange(0.1, width, 0.5):
                canvas.shade(x, height - 0.33, x + 0.22, height - 0.18, 0.7)


def _ground_floor(
    canvas: Canvas,
    rng: np.random.Generator,
    style: FacadeStyle,
    width: float,
    ground: float,
    margin: float,
    bays: int,
    main: bool,
) -> None:
    if main and style.ground_floor == "shop":
        _shop(canvas, rng, style, width, ground)
        return
    if style.seed % 5 < 2:
        canvas.shade(0, 0, width, ground - 0.1, 0.84)
    door = int(rng.integers(bays)) if main else -1
    for bay in range(bays):
        middle = margin + (bay + 0.5) * style.bay_width
        if bay == door:
            _door(canvas, style, middle)
        elif style.ground_floor == "garage" and main and width > 5.0:
            half = min(style.bay_width / 2 - 0.15, 1.3)
            canvas.box(middle - half, 0, middle + half, 2.3, style.accent)
            for z in np.arange(0.2, 2.3, 0.3):
                canvas.shade(middle - half, z, middle + half, z + 0.06, 0.8)
        else:
            paint_window(canvas, rng, style, middle, 0.95, style.bay_width)


def _door(canvas: Canvas, style: FacadeStyle, x: float) -> None:
    canvas.box(x - 0.75, 0, x + 0.75, 2.65, style.trim)
    canvas.box(x - 0.55, 0, x + 0.55, 2.15, style.accent)
    canvas.box(x - 0.55, 2.2, x + 0.55, 2.5, GLASS, WINDOW_LAST)
    for low in (0.3, 1.2):
        for side in (-0.42, 0.06):
            canvas.shade(x + side, low, x + side + 0.36, low + 0.7, 0.8)
    canvas.box(x + 0.38, 1.0, x + 0.46, 1.12, (214, 180, 90))
    canvas.box(x - 0.85, 0, x + 0.85, 0.14, (150, 148, 144))


def _shop(
    canvas: Canvas, rng: np.random.Generator, style: FacadeStyle, width: float, ground: float
) -> None:
    """Display windows with goods, a door, a sign, and for some an awning."""
    canvas.box(0.15, 0, width - 0.15, ground - 0.15, style.accent)
    canvas.shade(0.15, 0, width - 0.15, 0.5, 0.7)
    door = float(rng.uniform(0.15, 0.85)) * (width - 2.2) + 1.1
    edges = [(0.35, door - 0.75), (door + 0.75, width - 0.35)]
    for left, right in edges:
        if right - left < 0.6:
            continue
        canvas.box(left, 0.55, right, 2.6, (58, 66, 72), SHOP_WINDOW)
        for x in np.arange(left + 0.15, right - 0.35, 0.5):
            tall = float(rng.uniform(0.2, 1.0))
            goods = canvas.window(x, 0.6, x + 0.34, 0.6 + tall)
            goods[..., :3] = rng.integers(50, 235, 3)
        for x in np.arange(left, right, 1.9):
            canvas.box(x, 0.55, x + 0.08, 2.6, style.frame)
    canvas.box(door - 0.55, 0.05, door + 0.55, 2.5, style.frame)
    canvas.box(door - 0.42, 0.35, door + 0.42, 2.35, (52, 60, 66), SHOP_WINDOW)
    write_sign(canvas, style, 0.3, width - 0.3, 2.75, ground - 0.25)
    if style.seed % 3 == 1:
        for stripe, x in enumerate(np.arange(0.2, width - 0.2, 0.35)):
            colour = style.accent if stripe % 2 else (236, 230, 216)
            canvas.box(x, 2.1, min(x + 0.35, width - 0.2), 2.75, colour)
        canvas.shade(0.2, 2.1, width - 0.2, 2.25, 0.8)
        canvas.shade(0.2, 1.5, width - 0.2, 2.1, 0.7)


def _cut_steps(
    canvas: Canvas, style: FacadeStyle, width: float, height: float, rise: float
) -> None:
    """A stepped gable: clear beside the steps, a coping on each."""
    steps = 5
    for step in range(steps):
        low, high = height + rise * step / steps, height + rise * (step + 1) / steps
        inset = width / 2 * (step / steps)
        canvas.box(0, low, inset, high + 0.2, (0, 0, 0), 0)
        canvas.box(width - inset, low, width, high + 0.2, (0, 0, 0), 0)
    for step in range(steps):
        high = height + rise * (step + 1) / steps
        inset, further = (width / 2 * (s / steps) for s in (step, step + 1))
        canvas.box(inset, high - 0.18, further, high, style.trim, SOLID)
        canvas.box(width - further, high - 0.18, width - inset, high, style.trim, SOLID)
