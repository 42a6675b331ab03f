"""Paints the fronts of houses: walls, windows, doors, shops with their names."""

import cv2
import numpy as np

from demo.pictures import GLASS, LIT_GLASS, SHOP_GLASS, Colour, Rng, Texels, blank, masonry, weather
from demo.styles import Style

SCALE = 20.0  # texels a metre
FONT = cv2.FONT_HERSHEY_DUPLEX
PANE, LIT_PANE, DISPLAY = (58, 70, 82, GLASS), (58, 70, 82, LIT_GLASS), (66, 72, 76, SHOP_GLASS)
PALE, OAK = (246, 238, 214), (78, 54, 40)
# Height and length in metres of what walls are laid of, and how much the pieces differ.
COURSES = {"brick": (0.15, 0.4, 0.12), "stone": (0.45, 0.9, 0.07), "boards": (0.22, 90.0, 0.05)}


class Front:
    """A wall to paint on. Coordinates are metres from its lower left corner."""

    def __init__(self, texels: Texels) -> None:
        self.texels = texels

    def part(self, x0: float, z0: float, x1: float, z1: float) -> Texels:
        """The texels between the given edges, to be painted over."""
        rows, columns = self.texels.shape[:2]
        left, right = (int(np.clip(round(x * SCALE), 0, columns)) for x in (x0, x1))
        top, bottom = (int(np.clip(rows - round(z * SCALE), 0, rows)) for z in (z1, z0))
        return self.texels[top:bottom, left:right]

    def box(self, x0: float, z0: float, x1: float, z1: float, colour: Colour) -> None:
        self.part(x0, z0, x1, z1)[:] = (*colour, 0)[:4]

    def shade(self, x0: float, z0: float, x1: float, z1: float, by: float) -> None:
        part = self.part(x0, z0, x1, z1)
        part[..., :3] = part[..., :3] * by

    def write(self, text: str, x0: float, z0: float, x1: float, z1: float, ink: Colour) -> None:
        """Words that fill the rectangle as far as their proportions let them."""
        (wide, high), _ = cv2.getTextSize(text, FONT, 2.0, 5)
        cover = np.zeros((high + 8, wide + 8), np.uint8)
        cv2.putText(cover, text, (4, high + 4), FONT, 2.0, 255, 5, cv2.LINE_AA)
        squeezed = min(1.0, (x1 - x0) / (z1 - z0) / (wide / high))
        half, middle = (z1 - z0) * squeezed * wide / high / 2, (x0 + x1) / 2
        view = self.part(middle - half, z0, middle + half, z1)[..., :3]
        mix = cv2.resize(cover, view.shape[1::-1], interpolation=cv2.INTER_AREA)[..., None] / 255
        view[:] = view * (1 - mix) + np.array(ink) * mix


def paint_wall(rng: Rng, style: Style, width: float, height: float) -> Front:
    """A wall of the style's material, weathered, without openings."""
    rows, columns = max(round(height * SCALE), 1), max(round(width * SCALE), 1)
    high, long, jitter = COURSES.get(style.material, (style.floor, style.bay, 0.04))
    if style.material in ("plaster", "timber"):
        texels = blank(rows, columns, style.wall)
    else:
        stone = high * SCALE, long * SCALE
        texels = masonry(rng, (rows, columns), style.wall, stone, jitter)
    front = Front(weather(rng, texels, 0.8 * SCALE))
    if style.material == "timber":
        for z in np.arange(style.ground, height, style.floor).tolist():
            front.box(0, z - 0.14, width, z + 0.12, OAK)
        for x in np.linspace(0, width, max(round(width / 1.3), 1) + 1).tolist():
            front.box(x - 0.09, style.ground, x + 0.09, height, OAK)
    return front


def bays(style: Style, width: float) -> list[float]:
    """The middles of the columns of windows."""
    count = max(int((width - 0.6) / style.bay), 1)
    return [(number + 0.5) * (width - 0.6) / count + 0.3 for number in range(count)]


def paint_front(rng: Rng, style: Style, width: float, *, flank: bool) -> Texels:
    """A front towards a street; a flank has windows but neither shop nor door."""
    front, eaves = paint_wall(rng, style, width, style.eaves), style.eaves
    for floor in style.floors:
        for x in bays(style, width):
            _window(front, rng, style, x, floor + style.sill)
        if style.seed % 3 == 0:
            front.box(0, floor + 0.02, width, floor + 0.14, style.trim)
    if style.shop and not flank:
        _shop(front, rng, style, width)
    else:
        _ground_floor(front, rng, style, width, flank)
    front.box(0, style.ground - 0.12, width, style.ground + 0.1, style.trim)
    front.box(0, eaves - 0.3, width, eaves, style.trim)
    return front.texels


def _window(front: Front, rng: Rng, style: Style, x: float, sill: float) -> None:
    half, tall = style.half, style.tall
    top, pane = sill + tall, LIT_PANE if rng.random() < 0.35 else PANE
    front.box(x - half - 0.12, sill - 0.1, x + half + 0.12, top + 0.14, style.trim)
    front.box(x - half, sill, x + half, top, style.frame)
    front.box(x - half + 0.07, sill + 0.07, x + half - 0.07, top - 0.07, pane)
    blind = rng.random()
    if blind < 0.25:  # a blind
        cloth = (214, 208, 194, pane[3])
        front.box(x - half + 0.07, top - blind * 3 * tall, x + half - 0.07, top - 0.07, cloth)
    elif blind < 0.6:  # curtains
        for left in (x - half + 0.07, x + half - 0.25):
            front.box(left, sill + 0.07, left + 0.18, top - 0.07, (190, 188, 184, pane[3]))
    if half > 0.5 or style.window in ("cross", "pair"):
        front.box(x - 0.05, sill, x + 0.05, top, style.frame)
    if style.window == "cross":
        front.box(x - half, sill + 0.68 * tall, x + half, sill + 0.75 * tall, style.frame)
    front.shade(x - half, top - 0.16, x + half, top, 0.6)
    if style.window == "arched":
        part = front.part(x - half, top - half, x + half, top)
        v, u = np.ogrid[1 : 0 : part.shape[0] * 1j, -1 : 1 : part.shape[1] * 1j]
        part[u**2 + v**2 > 1.0] = (*style.trim, 0)
    if style.shutters and half < 0.3 * style.bay:
        for left in (x - 2 * half, x + 1.1 * half):
            front.box(left, sill, left + 0.9 * half, top, style.accent)
            front.shade(left + 0.1, sill + 0.1, left + 0.9 * half - 0.1, top - 0.1, 0.8)


def _ground_floor(front: Front, rng: Rng, style: Style, width: float, flank: bool) -> None:
    """Windows, and on the main front a door and perhaps garages."""
    if style.seed % 5 < 2:
        front.shade(0, 0, width, style.ground - 0.1, 0.8)
    columns = bays(style, width)
    door = -1 if flank else int(rng.integers(len(columns)))
    for number, x in enumerate(columns):
        if number == door:
            front.box(x - 0.75, 0, x + 0.75, 2.6, style.trim)
            front.box(x - 0.55, 0, x + 0.55, 2.1, style.accent)
            front.box(x - 0.5, 2.15, x + 0.5, 2.45, LIT_PANE)
            for side in (-0.42, 0.06):
                front.shade(x + side, 0.3, x + side + 0.36, 1.9, 0.78)
        elif style.garages and not flank:
            half = min(style.bay / 2 - 0.15, 1.3)
            front.box(x - half, 0, x + half, 2.3, style.accent)
            front.shade(x - half + 0.15, 0.15, x + half - 0.15, 2.15, 0.85)
        else:
            _window(front, rng, style, x, 0.95)


def _shop(front: Front, rng: Rng, style: Style, width: float) -> None:
    """Display windows with goods, a door and a sign."""
    front.box(0.15, 0, width - 0.15, style.ground - 0.15, style.accent)
    front.shade(0.15, 0, width - 0.15, 0.5, 0.7)
    door = float(rng.uniform(0.15, 0.85)) * (width - 2.2) + 1.1
    for left, right in ((0.35, door - 0.75), (door + 0.75, width - 0.35)):
        front.box(left, 0.55, right, 2.6, DISPLAY)
        for x in np.arange(left + 0.1, right - 0.3, 0.42).tolist():
            z = float(rng.uniform(0.6, 1.5))
            goods = (*rng.integers(60, 225, 3).tolist(), SHOP_GLASS)
            front.box(x, z, x + 0.3, z + float(rng.uniform(0.15, 0.6)), goods)
        for x in np.arange(left, right, 1.9).tolist():
            front.box(x, 0.55, x + 0.08, 2.6, style.frame)
        front.shade(left, 2.3, right, 2.6, 0.6)
    front.box(door - 0.55, 0.05, door + 0.55, 2.5, style.frame)
    front.box(door - 0.42, 0.35, door + 0.42, 2.35, DISPLAY)
    board, ink = (style.accent, PALE) if style.seed % 2 else (PALE, style.accent)
    front.box(0.3, 2.75, width - 0.3, style.ground - 0.2, board)
    front.write(style.sign, 0.45, 2.82, width - 0.45, style.ground - 0.26, ink)
