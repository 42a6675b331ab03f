"""Where a query was taken, from the positions of its places: the mean, and how far to trust it."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod

from netvlad.errors import DataError
from netvlad.geography import to_utm, to_wgs84
from netvlad.index.probability import score_weights
from netvlad.index.results import Position

RADIUS_M = 25.0
"""Places farther than this from the first are another answer and do not move the position."""

# These four were fitted to street-level photos taken every 10 m.
SHARPNESS = 8.0
"""Of the weights, see :func:`~netvlad.index.probability.score_weights`."""
VERIFIED_SHARPNESS = 4.0
"""The same for scores that verification has raised: what local features say of the second and third
photo is worth more."""
BASE_M = 6.0
"""Standard deviation along each axis between a query and the middle of its place, given that the
first place is right: a query is not taken where a photo of the index was."""
WIDE_M = 200.0
"""Standard deviation along each axis of what is added when the first place is wrong."""
HALF_SCALE = 0.8
"""Errors have more small and more large values than a Gaussian of their covariance: half of them
lie within this share of its circle."""


def fuse_position(
    latitudes: ArrayLike,
    longitudes: ArrayLike,
    scores: ArrayLike,
    probability: float | None,
    radius_m: float = RADIUS_M,
    *,
    sharpness: float = SHARPNESS,
) -> Position | None:
    """The position of a query from its ranked places.

    The best place that has a position, and those within ``radius_m`` of it, are averaged in
    metres of that place's UTM zone, with weights from the scores
    (:func:`~netvlad.index.probability.score_weights`); places farther away have no say, however
    well they score. The covariance is the weighted spread of these places, plus ``BASE_M²`` along
    each axis, plus, as the probability falls, a wide part up to ``WIDE_M²``: so much that the
    ellipse of a Gaussian holds half of the errors when the place is wrong with the rest of the
    probability.

    Args:
        latitudes: (k,) WGS84 degrees, best place first, NaN where unknown.
        longitudes: (k,) WGS84 degrees, NaN where unknown.
        scores: (k,) cosine similarities; or what verification has made of them, with
            :data:`VERIFIED_SHARPNESS`.
        probability: that the first place is right; None takes it for granted, and the error holds
            given that it is.
        radius_m: places farther than this from the first have no say.
        sharpness: of the weights.

    Returns:
        the position, or None when no place has one.

    Raises:
        DataError: shapes differ, or degrees are out of range.
    """
    phi, lam, s = (np.asarray(values, np.float64) for values in (latitudes, longitudes, scores))
    if phi.ndim != 1 or not phi.shape == lam.shape == s.shape:
        raise DataError(
            f"latitudes {phi.shape}, longitudes {lam.shape} and scores {s.shape} differ"
        )
    located = np.flatnonzero(np.isfinite(phi) & np.isfinite(lam) & np.isfinite(s))
    if len(located) == 0:
        return None
    centre = (float(phi[located[0]]), float(lam[located[0]]))
    offsets = metres_around(phi[located], lam[located], centre)
    # A place on the other side of the earth has no coordinates in this zone: leave it out before.
    cluster = located[np.hypot(offsets[:, 0], offsets[:, 1]) <= radius_m]
    _, zone = to_utm(phi[cluster[:1]], lam[cluster[:1]])
    metres, _ = to_utm(phi[cluster], lam[cluster], zone)
    weights = score_weights(s[None], sharpness)[0, cluster]
    weights /= weights.sum()
    mean = weights @ metres
    deviations = metres - mean
    spread = (deviations * weights[:, None]).T @ deviations
    inside = spread + BASE_M * BASE_M * np.eye(2)
    p = 1.0 if probability is None else min(max(probability, 0.0), 1.0)
    covariance = _widened(inside, p)
    latitude, longitude = to_wgs84(mean[None], zone)
    return Position(
        latitude=float(latitude[0]),
        longitude=float(longitude[0]),
        error_m=_median_error(HALF_SCALE**2 * inside, p),
        covariance=(
            (float(covariance[0, 0]), float(covariance[0, 1])),
            (float(covariance[1, 0]), float(covariance[1, 1])),
        ),
    )


def share_within(radius_m: float, covariance: NDArray[np.float64]) -> float:
    """The share of a Gaussian's errors that lie within a circle around its mean.

    Grubbs, "Approximate circular and noncircular offset probabilities of hitting", Operations
    Research 12 (1964): the squared distance has mean m = tr Σ and variance v = 2 tr Σ², and the
    cube root of its ratio to m is nearly normal with mean 1 − v/9m² and variance v/9m² (Wilson and
    Hilferty). Right to 0.04, near one half to 0.01.

    Args:
        radius_m: metres, 0 or more.
        covariance: (2, 2) in m², not all zero.
    """
    mean, h = _moments(covariance)
    deviate = ((radius_m * radius_m / mean) ** (1 / 3) - (1 - h)) / math.sqrt(h)
    return 0.5 * (1 + math.erf(deviate / math.sqrt(2)))


def circular_error_m(covariance: NDArray[np.float64]) -> float:
    """The radius that holds half of a Gaussian's errors (CEP50): √(m (1 − v/9m²)³).

    The median of the approximation in :func:`share_within`; 0.7 % too large for a circle
    (1.1774 σ), 1.7 % for a line (0.6745 σ).

    Args:
        covariance: (2, 2) in m², not all zero.
    """
    mean, h = _moments(covariance)
    return math.sqrt(mean * (1 - h) ** 3)


def _moments(covariance: NDArray[np.float64]) -> tuple[float, float]:
    """The mean m of the squared distance, and v / 9m²."""
    mean = float(covariance[0, 0] + covariance[1, 1])
    return mean, 2 * float((covariance * covariance).sum()) / (9 * mean * mean)


def _median_error(inside: NDArray[np.float64], p: float) -> float:
    """The radius that holds half of the errors of a mixture: right with p, else wide."""
    if p == 1:
        return circular_error_m(inside)
    outside = inside + WIDE_M * WIDE_M * np.eye(2)

    def excess(radius_m: float) -> float:
        held = p * share_within(radius_m, inside) + (1 - p) * share_within(radius_m, outside)
        return held - 0.5

    # The median of a mixture lies between the medians of its parts.
    low, high = circular_error_m(inside), circular_error_m(outside)
    return _root(excess, low * 0.99, high * 1.01)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by bisection: scipy's roots take half a second to import."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return (low + high) / 2


def _widened(inside: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """``inside`` and a circular part, so that its own CEP50 is that of the mixture."""
    target = _median_error(inside, p)

    def excess(variance: float) -> float:
        return circular_error_m(inside + variance * np.eye(2)) - target

    most = WIDE_M * WIDE_M
    if excess(0.0) >= 0:
        return inside
    if excess(most) <= 0:
        return inside + most * np.eye(2)
    widened: NDArray[np.float64] = inside + _root(excess, 0.0, most) * np.eye(2)
    return widened


_EARTH = Geod(ellps="WGS84")


def metres_around(
    latitude: ArrayLike, longitude: ArrayLike, centre: tuple[float, float]
) -> NDArray[np.float64]:
    """Positions as metres east and north of a centre.

    The azimuthal equidistant projection: distances and directions from the centre are those on the
    ellipsoid, wherever the other point lies, across zones and the date line too.

    Args:
        latitude: (N,) WGS84 degrees, NaN where unknown.
        longitude: (N,) WGS84 degrees, NaN where unknown.
        centre: latitude and longitude.

    Returns:
        (N, 2) float64 metres, NaN where unknown.
    """
    latitudes = np.atleast_1d(np.asarray(latitude, np.float64))
    longitudes = np.atleast_1d(np.asarray(longitude, np.float64))
    metres = np.full((len(latitudes), 2), np.nan)
    known = np.isfinite(latitudes) & np.isfinite(longitudes)
    count = int(known.sum())
    azimuth, _, distance = _EARTH.inv(
        np.full(count, centre[1]), np.full(count, centre[0]), longitudes[known], latitudes[known]
    )
    turned = np.radians(azimuth)
    metres[known] = np.stack([np.sin(turned), np.cos(turned)], axis=1) * np.reshape(
        distance, (-1, 1)
    )
    return metres
