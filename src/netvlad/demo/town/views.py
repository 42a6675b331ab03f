"""Decides which photographs are taken: the places of the database, and queries near them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from netvlad.demo.town.layout import SPLITS, TownSize
from netvlad.demo.town.plan import District, Point, Street
from netvlad.demo.town.raycast import Camera
from netvlad.demo.town.shading import Exposure
from netvlad.demo.town.styles import pick_weighted

Role = Literal["database", "query"]
SPACING = 13.0
HEADINGS = (0.0, 90.0, 180.0, 270.0)
# How often a query is taken in which light. The database is taken at noon.
QUERY_LIGHTS = (
    ("noon", 1.5),
    ("morning", 2.0),
    ("overcast", 2.0),
    ("evening", 2.0),
    ("dusk", 1.2),
    ("night", 1.0),
    ("fog", 0.8),
)


@dataclass(frozen=True)
class View:
    """One photograph to take.

    Attributes:
        image: Its path below the town's folder, with forward slashes.
        role: Database or query.
        camera: From where, in the frame of the district.
        light: Name of the light.
        session: Seed of the pass: photographs of one pass show the same cars.
        exposure: Brightness and grain.
    """

    image: str
    role: Role
    camera: Camera
    light: str
    session: int
    exposure: Exposure


@dataclass(frozen=True)
class _Place:
    position: Point
    street: Street
    along: float


def plan_views(district: District, size: TownSize) -> list[View]:
    """All photographs of a district, the database first; the same for the same seed."""
    places = _places(district)
    number = SPLITS.index(district.split)
    rng = np.random.default_rng([district.seed, number, 61])
    views = _database(district, places, rng)
    count = round(len(places) * size.queries_per_place(district.split))
    for query in range(count):
        place = places[query % len(places)]
        views.append(_query(district, place, query, rng))
    return views


def _places(district: District) -> list[_Place]:
    """Points along the streets, none twice where streets cross."""
    places: list[_Place] = []
    for street in district.streets:
        crossings = [other.centre for other in district.streets if other.axis != street.axis]
        low, high = min(crossings) - 8.0, max(crossings) + 8.0
        count = max(round((high - low) / SPACING), 1)
        for along in np.linspace(low, high, count + 1):
            position = street.at(float(along))
            if all(math.dist(position, other.position) > 7.0 for other in places):
                places.append(_Place(position, street, float(along)))
    return places


def _database(district: District, places: list[_Place], rng: np.random.Generator) -> list[View]:
    views: list[View] = []
    session = int(rng.integers(2**31))
    for number, place in enumerate(places):
        straight = 90.0 if place.street.axis == "x" else 0.0
        aside = float(rng.uniform(-0.8, 0.8))
        position = place.street.at(place.along, aside)
        for turn in HEADINGS:
            heading = (straight + turn + float(rng.uniform(-3, 3))) % 360.0
            name = f"images/{district.split}/database/{number:03d}_{int(turn):03d}.jpg"
            camera = Camera(position, 2.0, heading)
            exposure = Exposure(float(rng.uniform(-0.1, 0.1)), seed=len(views))
            views.append(View(name, "database", camera, "noon", session, exposure))
    return views


def _query(district: District, place: _Place, number: int, rng: np.random.Generator) -> View:
    light = pick_weighted(rng, QUERY_LIGHTS)
    position = _near(district, place, rng)
    straight = 90.0 if place.street.axis == "x" else 0.0
    heading = straight + float(rng.choice(HEADINGS)) + float(rng.uniform(-20.0, 20.0))
    camera = Camera(
        position,
        float(rng.uniform(1.55, 2.0)),
        heading % 360.0,
        float(rng.uniform(70.0, 80.0)),
        float(rng.uniform(0.56, 0.64)),
    )
    exposure = Exposure(
        stops=float(rng.uniform(-0.4, 0.35)),
        warmth=float(rng.uniform(-0.06, 0.06)),
        grain=0.013 if light in ("night", "dusk") else 0.008,
        seed=100_000 + number,
    )
    # Two passes per light: neighbouring queries seldom share their cars.
    session = 1000 * district.seed + 10 * SPLITS.index(district.split) + int(rng.integers(2))
    image = f"images/{district.split}/queries/{number:03d}_{light}.jpg"
    return View(image, "query", camera, light, session, exposure)


def _near(district: District, place: _Place, rng: np.random.Generator) -> Point:
    """A point of the street 1 to 8 metres from the place, not inside a tree."""
    street = place.street
    limit = street.width / 2 - 1.3
    things = [sprite.position for sprite in district.sprites if sprite.kind != "bollard"]
    for _ in range(200):
        along = place.along + float(rng.uniform(-7.5, 7.5))
        aside = float(np.clip(rng.normal(0.0, 2.4), -limit, limit))
        point = street.at(along, aside)
        far_enough = 1.0 <= math.dist(point, place.position) <= 8.0
        inside = street.start + 10.5 < along < street.end - 10.5
        if far_enough and inside and all(math.dist(point, thing) > 1.6 for thing in things):
            return point
    return street.at(place.along, 1.0)
