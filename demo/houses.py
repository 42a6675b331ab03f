"""Builds houses: painted walls, roofs, and what stands out from a front."""

import numpy as np

from demo.facades import LIT_PANE, PALE, SCALE, bays, paint_front, paint_wall
from demo.layout import DEPTH, House
from demo.model import Model, Point
from demo.pictures import Rng, blank, masonry
from demo.styles import vary

OVERHANG = 0.35
IRON = (40, 44, 46)


def build_house(model: Model, house: House) -> None:
    rng, style = np.random.default_rng(house.style.seed), house.style
    front = model.picture(paint_front(rng, style, house.width, flank=False), SCALE)
    back = flank = model.picture(paint_wall(rng, style, DEPTH, style.eaves).texels, SCALE)
    if house.corner:
        flank = model.picture(paint_front(rng, style, DEPTH, flank=True), SCALE)
    low, high = _ring(house, 0.0, 0.0), _ring(house, 0.0, style.eaves)
    for here, picture in enumerate((front, flank, back, flank)):
        there = (here + 1) % 4
        model.face((low[here], low[there], high[there], high[here]), picture)
    tiles = masonry(rng, (120, 160), style.tiles, (5.0, 6.0), 0.13)
    _roof(model, rng, house, model.picture(tiles, 16.0))
    _front(model, house)


def _ring(house: House, inset: float, z: float) -> list[Point]:
    """The corners of the house, anticlockwise from the front left."""
    right, back = house.width - inset, inset - DEPTH
    ring = (inset, -inset), (right, -inset), (right, back), (inset, back)
    return [house.frame.at(along, out, z) for along, out in ring]


def _roof(model: Model, rng: Rng, house: House, tiles: int) -> None:
    style, frame, width, eaves = house.style, house.frame, house.width, house.style.eaves
    if style.roof == "flat":
        rim = _ring(house, 0.0, eaves), _ring(house, 0.0, eaves + 0.6)
        model.solid(*rim, style.trim, style.trim)
        return
    model.box(frame, (-0.05, width + 0.05), (-0.3, OVERHANG), (eaves - 0.16, eaves), style.trim)
    if style.roof == "mansard":
        model.solid(_ring(house, 0.0, eaves), _ring(house, 1.3, eaves + 2.6), tiles, tiles)
    else:
        _pitched(model, rng, house, tiles)
    if style.roof == "mansard" or (style.roof == "ridge" and style.seed % 3):  # dormers
        out, top = (-0.5, eaves + 1.9) if style.roof == "mansard" else (-1.0, eaves + 1.7)
        for x in bays(style, width)[:: 1 + style.seed % 2]:
            sides = (x - 0.7, x + 0.7), (out - 2.0, out), (eaves, top)
            model.box(frame, *sides, style.trim, style.tiles)
            pane = (x - 0.45, x + 0.45), (out, out + 0.03), (top - 1.1, top - 0.2)
            model.box(frame, *pane, LIT_PANE)
    for _ in range(int(rng.integers(0, 3))):  # chimneys
        at, back = float(rng.uniform(0.1, 0.85)) * width, -float(rng.uniform(4.5, 6.5))
        brick = vary(rng, (128, 70, 56), 12)
        model.box(frame, (at, at + 0.8), (back - 0.7, back), (eaves, eaves + 5.0), brick)


def _pitched(model: Model, rng: Rng, house: House, tiles: int) -> None:
    """Two slopes and two gables; the ridge runs along the street, or for "gable" away from it."""
    style, frame, eaves = house.style, house.frame, house.style.eaves
    length, across = house.width, DEPTH
    if style.roof == "gable":
        frame, length, across = frame.moved(house.width, 0.0, 90.0), DEPTH, house.width
    wall = model.picture(paint_wall(rng, style, across, 5.0).texels, SCALE)
    top = eaves + min(across * 0.55, 5.5)
    foot = eaves - OVERHANG * (top - eaves) / (across / 2)
    for out, start, end in ((OVERHANG, 0.0, length), (-across - OVERHANG, length, 0.0)):
        low = [frame.at(a, out, foot) for a in (start, end)]
        model.face([*low, *(frame.at(a, -across / 2, top) for a in (end, start))], tiles)
    for at in (length, 0.0):
        feet = [frame.at(at, out, eaves) for out in (0.0, -across)]
        model.face([*feet, frame.at(at, -across / 2, top)], wall)


def _front(model: Model, house: House) -> None:
    """Sills, balconies, a cornice, an awning."""
    style, frame, columns = house.style, house.frame, bays(house.style, house.width)
    half = style.half
    for floor in style.floors:
        for x in columns:
            sill = (floor + style.sill - 0.12, floor + style.sill)
            model.box(frame, (x - half - 0.15, x + half + 0.15), (0.0, 0.16), sill, style.trim)
        for x in columns[style.seed % 2 :: 2] if style.balconies else ():
            span = (x - half - 0.5, x + half + 0.5)
            model.box(frame, span, (0.0, 1.0), (floor - 0.15, floor), style.trim)
            model.box(frame, span, (0.96, 1.0), (floor + 0.85, floor + 0.95), IRON)
            for post in np.arange(*span, 0.22).tolist():
                model.box(frame, (post, post + 0.04), (0.96, 1.0), (floor, floor + 0.9), IRON)
    model.box(frame, (0, house.width), (0, 0.3), (style.eaves - 0.3, style.eaves), style.trim)
    if style.shop and style.seed % 3 == 1:
        ends = 0.3, house.width - 0.3
        cloth = blank(2, 16, PALE)
        cloth[:, :8, :3] = style.accent
        striped = model.picture(cloth, SCALE)
        profile = ((0.02, 2.95), (1.3, 2.35), (1.3, 2.1))
        high, low, edge = ([frame.at(a, *point) for a in ends] for point in profile)
        model.face([*low, *high[::-1]], striped)
        model.face([*edge, *low[::-1]], striped)
