"""Positions of several cities in one array, so that images of two cities never come near."""

import numpy as np
from numpy.typing import NDArray

from netvlad.geography import to_utm

CITY_STEP_M = 10_000_000.0
"""How far apart the origins of two cities are moved: more than the width of all UTM eastings."""

_AGREE_WITHIN_M = 1_000.0


def shifted(positions: NDArray[np.float64], city_number: int) -> NDArray[np.float64]:
    """Positions (N, 2) in their city's own zone, ``city_number`` × 10,000 km farther east.

    Every city has its own UTM zone, and two of them may have the same eastings and northings in
    different zones. After this no radius below thousands of kilometres reaches another city,
    distances within a city are what they were, and no zone fits any more.
    """
    moved: NDArray[np.float64] = positions + np.array([CITY_STEP_M * city_number, 0.0])
    return moved


def zone_of(
    positions: NDArray[np.float64],
    latitudes: NDArray[np.float64],
    longitudes: NDArray[np.float64],
) -> str | None:
    """The UTM zone that metres (N, 2) are in, told from the degrees (N,) of the same images.

    Returns:
        the zone of the median point where all positions agree with it to a kilometre; None where
        they do not, as when each image of a city was projected to a zone of its own.
    """
    known = np.isfinite(latitudes) & np.isfinite(longitudes) & np.isfinite(positions).all(axis=1)
    if not known.any():
        return None
    expected, zone = to_utm(latitudes[known], longitudes[known])
    far = np.abs(expected - positions[known]).max() > _AGREE_WITHIN_M
    return None if far else zone
