"""Distances between places that may lie anywhere on earth."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod

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
