"""What a map of one answer shows: which part of the ground, how large, and what lies beyond."""

from dataclasses import dataclass

import numpy as np

from netvlad.index.ground import metres_around
from netvlad.index.results import Answer, Place, Position

WIDTH = 420.0
HEIGHT = 300.0
ELLIPSE_SHARE = 0.9
"""Of all positions like this one, how many lie inside the ellipse."""

_PADDING = (66.0, 40.0)  # left and right, above and below: room for arrows and their labels
_LEAST_EXTENT_M = 40.0
_START_M = 25.0
_GAP = 3.0
_FARTHEST_M = 500.0


@dataclass(frozen=True)
class Ellipse:
    """Where a normally distributed position lies with a given probability.

    Attributes:
        major: semi-axis in metres, the longer one.
        minor: semi-axis in metres.
        angle: of the longer axis, degrees counter-clockwise from east.
    """

    major: float
    minor: float
    angle: float


def ellipse_of(
    covariance: tuple[tuple[float, float], tuple[float, float]], share: float = ELLIPSE_SHARE
) -> Ellipse | None:
    """The ellipse that holds ``share`` of a two-dimensional normal distribution.

    Its squared semi-axes are the eigenvalues times −2·ln(1 − share), the quantile of χ² with two
    degrees of freedom.

    Args:
        covariance: of (easting, northing) in m².
        share: in (0, 1).

    Returns:
        the ellipse, or None for a covariance that is not finite.
    """
    matrix = np.array(covariance, np.float64)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
        return None
    values, vectors = np.linalg.eigh(matrix)
    minor, major = np.sqrt(np.maximum(values, 0.0) * -2.0 * np.log1p(-share))
    east, north = vectors[:, 1]
    return Ellipse(float(major), float(minor), float(np.degrees(np.arctan2(north, east))))


@dataclass(frozen=True)
class MappedPlace:
    """One place on the map.

    Attributes:
        rank: from 1.
        place: what is known about it.
        east: metres from the map's centre.
        north: likewise.
    """

    rank: int
    place: Place
    east: float
    north: float

    @property
    def away(self) -> float:
        """Metres from the map's centre."""
        return float(np.hypot(self.east, self.north))


@dataclass(frozen=True)
class View:
    """What part of the ground a map shows.

    Attributes:
        east: its middle, in metres from the map's centre.
        north: likewise.
        scale: pixels per metre.
    """

    east: float
    north: float
    scale: float

    def at(self, east: float, north: float) -> tuple[float, float]:
        """Pixels right and down of the upper left corner, of metres from the map's centre."""
        x = WIDTH / 2 + (east - self.east) * self.scale
        y = HEIGHT / 2 - (north - self.north) * self.scale
        return x, y

    def shows(self, mapped: MappedPlace) -> bool:
        """Whether a place lies within the map."""
        x, y = self.at(mapped.east, mapped.north)
        return 0 <= x <= WIDTH and 0 <= y <= HEIGHT


@dataclass(frozen=True)
class Layout:
    """Everything that a map shows, before it is drawn.

    Attributes:
        view: what part of the ground.
        inside: the places within it, best first.
        beyond: those outside, best first.
        position: the fused position, which is then the map's centre.
        ellipse: around it.
    """

    view: View
    inside: list[MappedPlace]
    beyond: list[MappedPlace]
    position: Position | None
    ellipse: Ellipse | None


def layout(answer: Answer) -> Layout | None:
    """Choose what the map of an answer shows.

    Its centre is the fused position, or the first place that has one. Places join it from the
    centre outwards, as long as none is three times as far as the one before and none is farther
    than 500 m. The fused position is left out when the answer is "not a place of this index",
    because then there is nothing that it could be the position of.

    Returns:
        the layout; None when there is nothing to show.
    """
    position = answer.position if answer.known is not False else None
    places = _mapped(answer, position)
    if not places and position is None:
        return None
    ellipse = None if position is None else ellipse_of(position.covariance)
    reach = 0.0 if ellipse is None else ellipse.major
    view = _view(_near(places, reach), position, reach)
    shown = [view.shows(place) for place in places]
    return Layout(
        view,
        [p for p, is_inside in zip(places, shown, strict=True) if is_inside],
        [p for p, is_inside in zip(places, shown, strict=True) if not is_inside],
        position,
        ellipse,
    )


def _mapped(answer: Answer, position: Position | None) -> list[MappedPlace]:
    known = [
        (rank, place, place.latitude, place.longitude)
        for rank, place in enumerate(answer.places, 1)
        if place.latitude is not None
        and place.longitude is not None
        and np.isfinite(place.latitude + place.longitude)
    ]
    if not known:
        return []
    _, _, latitude, longitude = known[0]
    if position is not None:
        latitude, longitude = position.latitude, position.longitude
    metres = metres_around([k[2] for k in known], [k[3] for k in known], (latitude, longitude))
    return [
        MappedPlace(rank, place, float(east), float(north))
        for (rank, place, _, _), (east, north) in zip(known, metres, strict=True)
    ]


def _near(places: list[MappedPlace], reach: float) -> list[MappedPlace]:
    """The places that the map is made large enough for, in the order of their rank."""
    shown = max(_START_M, reach)
    farthest = max(_FARTHEST_M, reach)
    near = []
    for place in sorted(places, key=lambda p: p.away):
        if place.away > min(_GAP * shown, farthest):
            break
        shown = max(shown, place.away)
        near.append(place)
    return sorted(near, key=lambda p: p.rank)


def _view(near: list[MappedPlace], position: Position | None, reach: float) -> View:
    points = [(p.east, p.north) for p in near]
    if position is not None:
        points += [(-reach, -reach), (reach, reach)]
    corners = np.array(points or [(0.0, 0.0)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = np.maximum(high - low, _LEAST_EXTENT_M)
    room = np.array([WIDTH, HEIGHT]) - 2 * np.array(_PADDING)
    east, north = (low + high) / 2
    return View(float(east), float(north), float((room / extent).min()))
