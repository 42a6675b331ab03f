"""Several cities in one data set, so that images of two of them never come near each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError
from netvlad.types import ImageSet

CITY_STEP_M = 10_000_000.0
"""How far apart the origins of two cities are moved: more than the width of all UTM eastings."""


def shifted(positions: NDArray[np.float64], city_number: int) -> NDArray[np.float64]:
    """Positions (N, 2) in their city's own zone, ``city_number`` × 10,000 km farther east.

    Every city has its own UTM zone, and two of them may have the same eastings and northings in
    different zones. After this no radius below thousands of kilometres reaches another city,
    distances within a city are what they were, and no zone fits any more.
    """
    moved: NDArray[np.float64] = positions + np.array([CITY_STEP_M * city_number, 0.0])
    return moved


def joined(sets: Sequence[ImageSet]) -> ImageSet:
    """One image set of one or more, in their order."""
    # By halves: one after the other would copy the first city as often as there are cities.
    if len(sets) == 1:
        return sets[0]
    middle = len(sets) // 2
    return joined(sets[:middle]).joined(joined(sets[middle:]))


def refuse_zone(utm_zone: str | None, several: str) -> None:
    """Raise a :class:`SettingsError` if there is a zone: several cities have no use for one."""
    if utm_zone:
        told = f"but {several} has cities in several zones"
        raise SettingsError(f"utm_zone is {utm_zone} {told}; leave it out")
