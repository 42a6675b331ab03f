"""Decides which photographs are taken: the places of the database, and queries near them."""

import math
from dataclasses import dataclass

import numpy as np

from demo.camera import Camera
from demo.layout import SPLITS, District, Plan, Street
from demo.model import Span
from demo.pictures import Rng
from demo.styles import pick_weighted

SPACING = 13.0
HEADINGS = (0.0, 90.0, 180.0, 270.0)
# How often a query is taken in which light. The database is taken at noon.
QUERY_LIGHTS = (
    ("noon", 1.5), ("morning", 2.0), ("overcast", 1.5), ("rain", 1.0),
    ("evening", 2.0), ("dusk", 1.2), ("night", 1.0), ("fog", 0.8),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """One photograph to take."""

    image: str  # its path below the town's folder
    role: str  # "database" or "query"
    camera: Camera
    light: str
    session: int  # photographs of one session show the same cars in the same light
    stops: float  # how far it is overexposed
    seed: int  # of its grain


def plan_views(district: District, plan: Plan, obstacles: list[Span]) -> list[View]:
    """All photographs of a district, none from inside an obstacle; the database first."""
    places: list[tuple[Street, float]] = []
    for street in district.streets:
        low, high = street.gaps[0][0], street.gaps[-1][1]
        for along in np.linspace(low, high, max(round((high - low) / SPACING), 1) + 1).tolist():
            point = street.frame.at(along, 0.0)
            if all(math.dist(point, s.frame.at(a, 0.0)) > 7.0 for s, a in places):
                places.append((street, along))
    rng, views = district.rng(61), list[View]()
    for number, (street, along) in enumerate(places):
        position = street.frame.at(along, float(rng.uniform(-0.8, 0.8)))[:2]
        for turn in HEADINGS:
            heading = street.heading + turn + float(rng.uniform(-3, 3))
            name = f"images/{district.split}/database/{number:03d}_{turn:03.0f}.jpg"
            camera, stops = Camera(position, 2.0, heading % 360), float(rng.uniform(-0.1, 0.1))
            views.append(View(name, "database", camera, "noon", 0, stops, len(views)))
    for number in range(round(len(places) * plan.queries[SPLITS.index(district.split)])):
        street, along = places[number % len(places)]
        light, position = pick_weighted(rng, QUERY_LIGHTS), _near(rng, street, along, obstacles)
        heading = street.heading + float(rng.choice(HEADINGS) + rng.uniform(-20.0, 20.0))
        ranges = ((1.55, 2.0), (70.0, 80.0), (0.56, 0.64), (-0.4, 0.35))
        height, angle, horizon, stops = (float(rng.uniform(*limits)) for limits in ranges)
        camera = Camera(position, height, heading % 360, angle, horizon)
        name = f"images/{district.split}/queries/{number:03d}_{light}.jpg"
        session = 1 + [name for name, _ in QUERY_LIGHTS].index(light)
        views.append(View(name, "query", camera, light, session, stops, 100_000 + number))
    return sorted(views, key=lambda view: view.session)


def _near(rng: Rng, street: Street, along: float, obstacles: list[Span]) -> Span:
    """A point of the street 1 to 8 metres from the place, away from trees and lamps."""
    limit = street.width / 2 - 1.3
    for _ in range(200):
        here = float(np.clip(along + rng.uniform(-7.5, 7.5), 10.5, street.length - 10.5))
        aside = float(np.clip(rng.normal(0.0, 2.4), -limit, limit))
        point = street.frame.at(here, aside)[:2]
        apart = math.hypot(here - along, aside)
        if 1 <= apart <= 8 and all(math.dist(point, thing) > 1.6 for thing in obstacles):
            return point
    return street.frame.at(along, 1.0)[:2]
