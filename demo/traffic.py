"""What changes from one pass through the town to the next: parked and moving cars, people."""

from itertools import product

import numpy as np

from demo.layout import District
from demo.model import Frame, Model, Point, Span
from demo.pictures import GLASS, LAMP, TAIL_LAMP, Colour, Floats, Rng
from demo.streets import KERB
from demo.styles import pick, pick_weighted, vary

PAINTS: tuple[Colour, ...] = (
    (206, 208, 210), (228, 228, 226), (44, 46, 50), (88, 92, 96), (150, 34, 34), (38, 62, 118),
    (112, 130, 146), (196, 160, 60), (70, 96, 74), (124, 84, 66),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = ((150, 60, 60), (60, 80, 130), (60, 60, 64), (170, 150, 110))
SKIN, TROUSERS, TYRE, PLATE = (206, 164, 138), (44, 46, 60), (30, 30, 32), (236, 236, 230)
WINDOWS = (46, 54, 60, GLASS)
MODELS = (("saloon", 4.0), ("estate", 3.0), ("small", 3.0), ("van", 2.0))
SHAPES = {  # length, heights of waist and roof, then the ends of the cabin below and above
    "saloon": (4.5, 0.95, 1.42, (0.55, 3.35), (1.15, 2.75)),
    "estate": (4.6, 0.95, 1.48, (0.1, 3.4), (0.35, 2.8)),
    "small": (3.7, 0.92, 1.45, (0.1, 2.85), (0.4, 2.3)),
    "van": (5.1, 1.15, 2.1, (0.02, 4.7), (0.05, 4.0)),
}


def build_traffic(model: Model, district: District, session: int, cameras: Floats) -> None:
    """Add the cars and people of one pass; none stands where a camera (N, 2) of the pass does."""
    rng = district.rng(4, session)
    for street in district.streets:
        for (start, end), side in product(street.stretches(4.0), (-1, 1)):
            kerb, lane = side * (street.road / 2 - 1.0), side * street.road / 5
            slots = [(a, kerb, 0.55) for a in np.arange(start + 3, end - 3, 6.0) if street.parking]
            slots += [(a, lane, 0.4) for a in rng.uniform(0, 20) + np.arange(start, end, 22.0)]
            for along, aside, chance in slots:  # cars keep to the right
                frame = street.frame.moved(float(along), aside, 0.0 if aside > 0 else 180.0)
                name, paint = pick_weighted(rng, MODELS), vary(rng, pick(rng, PAINTS), 12)
                if rng.random() < chance and not _occupied(frame, cameras, (4.0, 1.8)):
                    build_car(model, frame.moved(-2.3, 0.0), name, paint)
            for along in (rng.uniform(0, 8) + np.arange(start, end, 8.0)).tolist():
                aside = side * (street.width / 2 - float(rng.uniform(0.5, 1.6)))
                frame = street.frame.moved(along, aside, float(rng.uniform(0, 360)))
                if rng.random() < 0.3 and not _occupied(frame, cameras, (1.5, 1.5)):
                    _person(model, rng, frame)


def _occupied(at: Frame, cameras: Floats, reach: Span) -> bool:
    """Whether a camera is within so many metres along and across."""
    x, y = (cameras - np.array(at.origin, np.float32)).T
    along, out = x * at.along[0] + y * at.along[1], x * at.along[1] - y * at.along[0]
    return bool(np.any((np.abs(along) < reach[0]) & (np.abs(out) < reach[1])))


def build_car(model: Model, frame: Frame, name: str, paint: Colour) -> None:
    """A car whose rear is at the frame's origin and which looks along it."""
    length, waist, roof, lower, upper = SHAPES[name]

    def ring(low: float, high: float, half: float, z: float) -> list[Point]:
        corners = ((low, half), (high, half), (high, -half), (low, -half))
        return [frame.at(along, out, z) for along, out in corners]

    belt = ring(0.0, length, 0.88, 0.62)
    model.solid(ring(0.1, length - 0.1, 0.82, 0.28), belt, paint, paint)
    model.solid(belt, ring(0.08, length - 0.12, 0.84, waist), paint, paint)
    cabin = paint if name == "van" else WINDOWS
    model.solid(ring(*lower, 0.8, waist), ring(*upper, 0.66, roof), cabin, paint)
    if name == "van":
        model.solid(ring(3.4, 4.72, 0.81, 1.25), ring(3.4, 4.15, 0.72, 1.9), WINDOWS, paint)
    for share in (0.0, 0.5, 1.0):  # pillars between the windows
        foot, head = (ends[0] + share * (ends[1] - ends[0]) for ends in (lower, upper))
        low = ring(foot - 0.05, foot + 0.05, 0.81, waist)
        model.solid(low, ring(head - 0.05, head + 0.05, 0.67, roof), paint, paint)
    for axle in (0.8, length - 0.85):
        for out in (-0.9, 0.9):
            for radius, beyond, colour in ((0.33, 0.0, TYRE), (0.19, 0.01, (150, 152, 154))):
                _disc(model, frame.moved(axle, out * (1 + beyond)), radius, colour)
    for side in (-0.6, 0.6):
        across = (side - 0.2, side + 0.2)
        model.box(frame, (-0.02, 0.2), across, (0.62, 0.8), (150, 24, 24, TAIL_LAMP))
        lamp = (240, 238, 226, LAMP)
        model.box(frame, (length - 0.2, length + 0.02), across, (0.6, 0.76), lamp)
    model.box(frame, (length - 0.2, length + 0.03), (-0.3, 0.3), (0.42, 0.54), PLATE)


def _disc(model: Model, frame: Frame, radius: float, colour: Colour) -> None:
    angles = np.linspace(0, 2 * np.pi, 11).tolist()
    rim = [frame.at(radius * np.cos(a), 0.0, 0.33 + radius * np.sin(a)) for a in angles]
    for here in range(10):
        model.face((rim[here], rim[here + 1], frame.at(0.0, 0.0, 0.33)), colour)


def _person(model: Model, rng: Rng, frame: Frame) -> None:
    tall, coat, hair = float(rng.uniform(0.9, 1.08)), pick(rng, CLOTHES), vary(rng, SKIN, 60)
    parts = (0.17, 0.0, 0.85, TROUSERS), (0.24, 0.8, 1.42, coat), (0.1, 1.42, 1.74, hair)
    for wide, low, high, colour in parts:
        z = KERB + tall * low, KERB + tall * high
        model.box(frame, (-wide, wide), (-0.13, 0.13), z, colour)
