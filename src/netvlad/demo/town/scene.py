"""Builds what the ray caster sees of a district: surfaces, billboards, pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netvlad.demo.town.atlas import Atlas, AtlasBuilder
from netvlad.demo.town.cars import CAR_SCALE, COLOURS, SHAPES, CarShape, paint_car
from netvlad.demo.town.facades import paint_front
from netvlad.demo.town.ground import GROUND_SCALE, paint_ground
from netvlad.demo.town.materials import (
    ROOFS,
    WALL_SCALE,
    paint_hedge,
    paint_hoarding,
    paint_railing,
    paint_roof,
    paint_wall,
)
from netvlad.demo.town.pictures import (
    ASPECTS,
    PEOPLE,
    SPRITE_SCALE,
    VARIANTS,
    paint_person,
    paint_sprite,
)
from netvlad.demo.town.plan import Building, Colour, District, Fence, Sprite
from netvlad.demo.town.surfaces import SOFT, Billboards, SurfaceBuilder, Surfaces


@dataclass(frozen=True)
class CarNumbers:
    """Where the sides of one car are in the atlas."""

    body: int
    mirrored_body: int
    cabin: int
    mirrored_cabin: int
    nose: int
    tail: int
    screen: int
    top: int
    roof: int
    mirrored_roof: int
    far_screen: int


@dataclass(frozen=True)
class Scene:
    """A district without its traffic.

    Attributes:
        district: The plan.
        surfaces: Buildings and fences.
        billboards: Trees, lamps, signs.
        atlas: All pictures.
        ground: Number of the picture of the ground.
        cars: One entry per shape and colour, shape by shape.
        people: Numbers of the pictures of people.
    """

    district: District
    surfaces: Surfaces
    billboards: Billboards
    atlas: Atlas
    ground: int
    cars: tuple[CarNumbers, ...]
    people: tuple[int, ...]


def build_scene(district: District) -> Scene:
    """Paints all pictures of a district and stands them up."""
    atlas, surfaces = AtlasBuilder(), SurfaceBuilder()
    rng = np.random.default_rng([district.seed, 23])
    roofs = [atlas.add(paint_roof(rng, colour), WALL_SCALE) for colour in ROOFS]
    for building in district.buildings:
        _raise_building(building, atlas, surfaces, roofs)
    fences = {
        "wall": atlas.add(paint_wall(rng, "brick", (140, 90, 70)), WALL_SCALE),
        "hedge": atlas.add(paint_hedge(rng), WALL_SCALE),
        "railing": atlas.add(paint_railing(), WALL_SCALE),
        "hoarding": atlas.add(paint_hoarding(rng), WALL_SCALE),
    }
    for fence in district.fences:
        _raise_fence(fence, surfaces, fences[fence.kind])
    billboards = _stand_up(district.sprites, atlas)
    ground = atlas.add(paint_ground(district), GROUND_SCALE)
    cars = tuple(_add_car(atlas, shape, colour) for shape in SHAPES for colour in COLOURS)
    people = tuple(atlas.add(paint_person(v), SPRITE_SCALE) for v in range(PEOPLE))
    return Scene(district, surfaces.build(), billboards, atlas.pack(), ground, cars, people)


def _raise_building(
    building: Building, atlas: AtlasBuilder, surfaces: SurfaceBuilder, roofs: list[int]
) -> None:
    rng = np.random.default_rng(building.style.seed)
    style, height = building.style, building.height
    left, right, back_right, back_left = building.footprint()
    gabled = building.roof in ("gable", "steps")
    front_rise = building.rise if gabled else 0.0
    blank = atlas.add(paint_wall(rng, style.material, style.wall), WALL_SCALE)
    front = paint_front(style, building.width, height, building.roof, front_rise)
    picture = atlas.add(front, WALL_SCALE)
    if building.roof == "steps":
        surfaces.add(left, right, 0, height, picture, opaque=True)
        top = paint_front(style, building.width, height, building.roof, front_rise)
        rows = len(top) - round(height * WALL_SCALE)
        gable = atlas.add(np.ascontiguousarray(top[:rows]), WALL_SCALE)
        surfaces.add(left, right, height, height + building.rise, gable)
    else:
        surfaces.add(left, right, 0, height, picture, rise=front_rise, opaque=True)
    side_rise = building.rise if building.roof == "ridge" else 0.0
    for a, b, is_front in (
        (right, back_right, building.right_front),
        (back_left, left, building.left_front),
    ):
        side = blank
        if is_front:
            wall = paint_front(style, building.depth, height, building.roof, side_rise, main=False)
            side = atlas.add(wall, WALL_SCALE)
        surfaces.add(a, b, 0, height, side, rise=side_rise, opaque=True)
    surfaces.add(back_right, back_left, 0, height, blank, rise=front_rise, opaque=True)
    _raise_roof(building, surfaces, roofs[building.roof_colour], blank, rng)


def _raise_roof(
    building: Building,
    surfaces: SurfaceBuilder,
    tiles: int,
    wall: int,
    rng: np.random.Generator,
) -> None:
    """Roofs as upright planes below the ridge: from the street they have the same outline."""
    eaves, ridge = building.height, building.height + building.rise
    width, depth = building.width, building.depth
    if building.roof == "ridge":
        _both_sides(surfaces, building, (0.0, depth / 2), (width, depth / 2), eaves, ridge, tiles)
    elif building.roof in ("gable", "steps"):
        _both_sides(surfaces, building, (width / 2, 0.0), (width / 2, depth), eaves, ridge, tiles)
    elif building.roof == "spire":
        for a, b in (
            ((0.0, depth / 2), (width, depth / 2)),
            ((width / 2, 0.0), (width / 2, depth)),
        ):
            for start, end in ((a, b), (b, a)):
                surfaces.add(
                    building.at(*start), building.at(*end), eaves, eaves, tiles, rise=building.rise
                )
        return
    for _ in range(int(rng.integers(0, 3))):
        x, behind = float(rng.uniform(0.5, width - 1.3)), float(rng.uniform(0.3, 0.7)) * depth
        size = 0.7 if building.roof != "flat" else float(rng.uniform(0.8, 2.2))
        high = max(ridge, eaves + 0.4) + float(rng.uniform(0.5, 1.1))
        corners = [
            building.at(x, behind),
            building.at(min(x + size, width), behind),
            building.at(min(x + size, width), behind + size),
            building.at(x, behind + size),
        ]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            surfaces.add(a, b, eaves - 0.2, high, wall)


def _both_sides(
    surfaces: SurfaceBuilder,
    building: Building,
    start: tuple[float, float],
    end: tuple[float, float],
    bottom: float,
    top: float,
    picture: int,
) -> None:
    a, b = building.at(*start), building.at(*end)
    surfaces.add(a, b, bottom, top, picture)
    surfaces.add(b, a, bottom, top, picture)


def _raise_fence(fence: Fence, surfaces: SurfaceBuilder, picture: int) -> None:
    kind = SOFT if fence.kind == "hedge" else 0
    closed = fence.kind != "railing"
    surfaces.add(fence.start, fence.end, 0, fence.height, picture, kind=kind, opaque=closed)
    surfaces.add(fence.end, fence.start, 0, fence.height, picture, kind=kind, opaque=closed)


def _stand_up(sprites: tuple[Sprite, ...], atlas: AtlasBuilder) -> Billboards:
    painted: dict[tuple[str, int], tuple[int, float]] = {}
    for kind, variants in VARIANTS.items():
        for variant in range(variants):
            texels, height = paint_sprite(kind, variant)
            painted[kind, variant] = (atlas.add(texels, SPRITE_SCALE), height)
    rows = [(s, *painted[s.kind, s.variant % VARIANTS[s.kind]]) for s in sprites]
    heights = np.array([s.height for s, _, _ in rows], dtype=np.float32)
    painted_heights = np.array([height for _, _, height in rows], dtype=np.float32)
    return Billboards(
        position=np.array([s.position for s, _, _ in rows], dtype=np.float32).reshape(-1, 2),
        width=np.array([s.height * ASPECTS[s.kind] for s, _, _ in rows], dtype=np.float32),
        height=heights,
        picture=np.array([number for _, number, _ in rows], dtype=np.int32),
        scale=(heights / painted_heights).astype(np.float32),
    )


def _add_car(atlas: AtlasBuilder, shape: CarShape, colour: Colour) -> CarNumbers:
    car = paint_car(shape, colour)
    return CarNumbers(
        body=atlas.add(car.body, CAR_SCALE),
        mirrored_body=atlas.add(np.ascontiguousarray(car.body[:, ::-1]), CAR_SCALE),
        cabin=atlas.add(car.cabin, CAR_SCALE),
        mirrored_cabin=atlas.add(np.ascontiguousarray(car.cabin[:, ::-1]), CAR_SCALE),
        nose=atlas.add(car.nose, CAR_SCALE),
        tail=atlas.add(car.tail, CAR_SCALE),
        screen=atlas.add(car.screen, CAR_SCALE),
        top=atlas.add(car.top, CAR_SCALE),
        roof=atlas.add(car.roof, CAR_SCALE),
        mirrored_roof=atlas.add(np.ascontiguousarray(car.roof[:, ::-1]), CAR_SCALE),
        far_screen=atlas.add(car.far_screen, CAR_SCALE),
    )
