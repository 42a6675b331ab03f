"""Draws the plan of a district: an unevenly spaced grid of streets and the houses along them."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from demo.model import Frame, Span
from demo.pictures import Rng
from demo.styles import NEIGHBOURHOODS, Style, pick, pick_weighted

Line = tuple[float, float, float]  # centre, width and road's width of a street
Land = tuple[float, float, float, float]  # left, bottom, right, top
# Easting, northing and turn. The districts lie far apart: no place can be in two splits.
ORIGINS = {"train": (5e5, 5e6, 14), "val": (500620, 5000180, -23), "test": (500240, 5000590, 37)}
SPLITS = tuple(ORIGINS)
DEPTH = 10.0  # of a house
BEYOND = 22.0  # how far streets go on after the last crossing
SURFACES = (("asphalt", 6.0), ("cobbles", 2.0), ("slabs", 1.0))


@dataclass(frozen=True)
class Plan:
    """How large a town is: streets along `y` and `x` of each district, queries for each place."""

    train: tuple[int, int] = (4, 3)
    val: tuple[int, int] = (2, 2)
    test: tuple[int, int] = (3, 2)
    queries: tuple[float, float, float] = (3.0, 3.0, 5.0)
    seed: int = 7
    image_size: tuple[int, int] = (120, 160)  # rows and columns


@dataclass(frozen=True)
class Street:
    """A straight street; its frame starts at one end of its centre line and runs along it."""

    frame: Frame
    length: float
    width: float  # from front to front
    road: float  # from kerb to kerb
    gaps: tuple[Span, ...]  # where others cross it
    surface: str
    trees: bool
    parking: bool

    @property
    def heading(self) -> float:
        return math.degrees(math.atan2(*self.frame.along))

    def stretches(self, margin: float) -> list[Span]:
        """The parts between crossings, less a margin at each crossing."""
        edges = [0.0, *(e for a, b in self.gaps for e in (a - margin, b + margin)), self.length]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]


@dataclass(frozen=True)
class House:
    """A house; its frame starts at the left end of its front."""

    frame: Frame
    width: float
    style: Style
    corner: bool  # its flank is seen too


@dataclass(frozen=True)
class District:
    """One part of the town, in metres of its own: streets run along `x` and `y`."""

    split: str
    seed: int
    streets: list[Street]
    blocks: list[Land]
    parks: list[Land]
    houses: list[House]

    def rng(self, *address: int) -> Rng:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), *address])

    def to_world(self, point: Span, heading: float = 0.0) -> tuple[float, float, float]:
        """Easting, northing (metres) and heading (clockwise from north) of a point and heading."""
        (east, north, turn), (x, y) = ORIGINS[self.split], point
        sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
        return east + cosine * x + sine * y, north - sine * x + cosine * y, (heading + turn) % 360


def lay_out_district(split: str, plan: Plan) -> District:
    """The plan of one district; the same for the same seed."""
    rng = np.random.default_rng([plan.seed, SPLITS.index(split), 1])
    columns, rows = getattr(plan, split)
    east, north = _lines(rng, columns, (42.0, 62.0)), _lines(rng, rows, (40.0, 56.0))
    streets = [_street(rng, line, north, upright=True) for line in east]
    streets += [_street(rng, line, east, upright=False) for line in north]
    spans, levels = _land(east), _land(north)
    blocks = [(left, low, right, high) for left, right in spans for low, high in levels]
    inner = [(left, low, right, high) for left, right in spans[1:-1] for low, high in levels[1:-1]]
    parks = [inner[k] for k in rng.permutation(len(inner))[: (len(inner) + 1) // 3]]
    houses = [
        h for n, street in enumerate(streets) for h in _along(rng, street, n < columns, parks)
    ]
    return District(split, plan.seed, streets, blocks, parks, houses)


def _lines(rng: Rng, count: int, gap: Span) -> list[Line]:
    lines: list[Line] = []
    for _ in range(count):
        width = float(rng.uniform(10.0, 17.0))
        before = lines[-1][0] + (lines[-1][1] + width) / 2 + rng.uniform(*gap) if lines else 0.0
        lines.append((float(before), width, width - float(rng.uniform(3.6, 5.6))))
    return lines


def _land(lines: list[Line]) -> list[Span]:
    """The land before, between and after parallel roads."""
    edges = [e for centre, _, road in lines for e in (centre - road / 2, centre + road / 2)]
    edges = [lines[0][0] - BEYOND, *edges, lines[-1][0] + BEYOND]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _street(rng: Rng, line: Line, others: list[Line], *, upright: bool) -> Street:
    (centre, width, road), start = line, others[0][0] - BEYOND
    frame = Frame((centre, start), (0.0, 1.0)) if upright else Frame((start, centre))
    gaps = tuple((at - wide / 2 - start, at + wide / 2 - start) for at, wide, _ in others)
    length = others[-1][0] + BEYOND - start
    trees, parking = width > 12.0 and rng.random() < 0.65, width > 11.5 and rng.random() < 0.8
    return Street(frame, length, width, road, gaps, pick_weighted(rng, SURFACES), trees, parking)


def _along(rng: Rng, street: Street, upright: bool, parks: list[Land]) -> list[House]:
    """Rows of houses on both sides and at half of the ends; streets along `x` get the corners."""
    houses: list[House] = []
    inset, stretches, half = DEPTH if upright else 0.0, street.stretches(0.0), street.width / 2
    for number, edges in enumerate(stretches):
        start = edges[0] + inset * (number > 0)
        end = edges[1] - inset * (number < len(stretches) - 1)
        # Seen from the street, the left end of a row comes first.
        for side, at, turn in ((-1, start, 0.0), (1, end, 180.0)):
            x, y, _ = street.frame.at((start + end) / 2, side * (half + 2.0))
            if not any(left < x < right and low < y < high for left, low, right, high in parks):
                row = street.frame.moved(at, side * half, turn)
                houses += _row(rng, row, end - start, corners=not upright)
    for at, side, turn in ((3.0, 1, 90.0), (street.length - 3.0, -1, -90.0)):
        if rng.random() < 0.55:  # the others look out over the fields
            row = street.frame.moved(at, side * half, turn)
            houses += _row(rng, row, street.width, corners=False)
    return houses


def _row(rng: Rng, frame: Frame, length: float, *, corners: bool) -> list[House]:
    """Houses side by side, in one manner with exceptions."""
    hood = pick(rng, NEIGHBOURHOODS)
    count = max(round(length / float(rng.uniform(*hood[-1]))), 1)
    shares = rng.uniform(0.75, 1.25, count)
    ends = [0.0, *np.cumsum(shares / shares.sum() * length).tolist()]
    houses = []
    for number, (start, end) in enumerate(pairwise(ends)):
        style = Style(rng, hood if rng.random() < 0.8 else pick(rng, NEIGHBOURHOODS))
        corner = corners and number in (0, count - 1)
        houses.append(House(frame.moved(start, 0.0), end - start, style, corner))
    return houses
