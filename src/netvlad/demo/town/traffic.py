"""Cars and people: what is different each time somebody passes through the town."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netvlad.demo.town.cars import COLOURS, SHAPES, CarShape
from netvlad.demo.town.plan import District, Point, Street
from netvlad.demo.town.scene import CarNumbers, Scene
from netvlad.demo.town.surfaces import TOP, Billboards, Floats, SurfaceBuilder, Surfaces


@dataclass(frozen=True)
class Car:
    """A car about `centre`, nose along the unit vector `towards`; `model` picks its pictures."""

    centre: Point
    towards: Point
    shape: CarShape
    model: int


@dataclass(frozen=True)
class Traffic:
    """The cars and people of one session.

    Attributes:
        cars: All cars, parked and driving.
        surfaces: Their sides.
        owners: (N, 2) float32, for each surface the centre of its car.
        people: Billboards.
    """

    cars: tuple[Car, ...]
    surfaces: Surfaces
    owners: Floats
    people: Billboards


def draw_traffic(scene: Scene, rng: np.random.Generator) -> Traffic:
    """Parks and drives cars, and lets people walk, at random."""
    cars: list[Car] = []
    people: list[Point] = []
    busy = float(rng.uniform(0.45, 0.8))
    for street in scene.district.streets:
        stops = _crossings(scene.district, street)
        if street.parking:
            cars += _parked(rng, street, stops, busy)
        cars += _driving(rng, street)
        for _ in range(rng.poisson((street.end - street.start) / 22.0)):
            side = float(rng.choice([-1.0, 1.0]))
            aside = side * float(rng.uniform(street.carriageway / 2 + 0.4, street.width / 2 - 0.5))
            people.append(street.at(float(rng.uniform(street.start, street.end)), aside))
    builder = SurfaceBuilder()
    owners: list[Point] = []
    for car in cars:
        owners += [car.centre] * _raise_car(builder, car, scene.cars[car.model])
    return Traffic(
        tuple(cars),
        builder.build(),
        np.array(owners, dtype=np.float32).reshape(-1, 2),
        _walkers(rng, people, scene.people),
    )


def _crossings(district: District, street: Street) -> list[tuple[float, float]]:
    return [
        (other.centre - other.width / 2 - 4.5, other.centre + other.width / 2 + 4.5)
        for other in district.streets
        if other.axis != street.axis
    ]


def _car(rng: np.random.Generator, street: Street, along: float, aside: float, way: float) -> Car:
    shape = int(rng.choice(len(SHAPES), p=[0.42, 0.4, 0.18]))
    towards = (way, 0.0) if street.axis == "x" else (0.0, way)
    model = shape * len(COLOURS) + int(rng.integers(len(COLOURS)))
    return Car(street.at(along, aside), towards, SHAPES[shape], model)


def _parked(
    rng: np.random.Generator, street: Street, stops: list[tuple[float, float]], busy: float
) -> list[Car]:
    cars = []
    for side in (-1.0, 1.0):
        aside = side * (street.carriageway / 2 - 1.05)
        # Who drives on the right parks on the right: east of a street that leads north.
        way = side if street.axis == "y" else -side
        for place in np.arange(street.start + 3.0, street.end - 3.0, 5.6):
            free = all(place < low or place > high for low, high in stops)
            if free and rng.random() < busy:
                along = float(place) + float(rng.uniform(-0.3, 0.3))
                cars.append(_car(rng, street, along, aside, way))
    return cars


def _driving(rng: np.random.Generator, street: Street) -> list[Car]:
    lane = max(street.carriageway / 4 - (0.9 if street.parking else 0.0), 1.1)
    cars = []
    for _ in range(rng.poisson((street.end - street.start) / 70.0)):
        side = float(rng.choice([-1.0, 1.0]))
        way = side if street.axis == "y" else -side
        along = float(rng.uniform(street.start + 2, street.end - 2))
        cars.append(_car(rng, street, along, side * lane, way))
    return cars


def _raise_car(builder: SurfaceBuilder, car: Car, numbers: CarNumbers) -> int:
    """Stands the sides of a car up; returns how many surfaces that took.

    The inside of the far walls carries the colour of the top: seen over the near wall it has the
    outline of bonnet and roof.
    """
    shape, (fx, fy) = car.shape, car.towards

    def at(ahead: float, right: float) -> Point:
        return (
            car.centre[0] + ahead * fx + right * fy,
            car.centre[1] + ahead * fy - right * fx,
        )

    half, wide = shape.length / 2, shape.width / 2
    boxes = (
        (-half, half, wide, 0.0, shape.body,
         (numbers.body, numbers.mirrored_body, numbers.nose, numbers.tail), (numbers.top,) * 4),
        (shape.cabin_back - half, shape.cabin_front - half, wide - 0.08, shape.body, shape.height,
         (numbers.cabin, numbers.mirrored_cabin, numbers.screen, numbers.screen),
         (numbers.mirrored_roof, numbers.roof, numbers.far_screen, numbers.far_screen)),
    )  # fmt: skip
    count = 0
    for back, front, side, low, high, outside, inside in boxes:
        slope = 0.42 if low > 0 else 0.0
        walls = (
            (at(front, -side), at(back, -side)),
            (at(back, side), at(front, side)),
            (at(front - slope, side), at(front - slope, -side)),
            (at(back + slope / 2, -side), at(back + slope / 2, side)),
        )
        for (start, end), near, far in zip(walls, outside, inside, strict=True):
            builder.add(start, end, low, high, near)
            builder.add(end, start, low + 0.02, high, far, kind=TOP)
            count += 2
    return count


def _walkers(
    rng: np.random.Generator, places: list[Point], pictures: tuple[int, ...]
) -> Billboards:
    heights = rng.uniform(1.6, 1.88, len(places)).astype(np.float32)
    return Billboards(
        position=np.array(places, dtype=np.float32).reshape(-1, 2),
        width=(heights * (0.8 / 1.8)).astype(np.float32),
        height=heights,
        picture=np.array(pictures, dtype=np.int32)[rng.integers(len(pictures), size=len(places))],
        scale=(heights / 1.8).astype(np.float32),
    )
