"""Which places of an index a query may be answered with."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError


class PlaceColumns(Protocol):
    """N places, as far as conditions look at them."""

    def column(self, name: str) -> NDArray[np.float64]:
        """(N,) latitude, longitude, heading or time, NaN where unknown."""

    def tagged(self, tags: Collection[str]) -> NDArray[np.bool_]:
        """(N,) whether each place carries one of ``tags``."""


@dataclass(frozen=True)
class Where:
    """Conditions on places; all of them hold at once, and one that is None or empty always holds.

    A place for which a condition cannot be checked, because its position, heading or time is
    unknown, does not meet it.

    Attributes:
        bounding_box: (south, west, north, east) in WGS84 degrees; west may be greater than east,
            across the date line.
        after: taken at or after this time, in seconds since 1970 (UTC).
        before: taken before this time.
        tags: carries at least one of these words.
        heading: (degrees, at most so many degrees off): seen in a similar direction.

    Example:
        >>> north_bound_by_night = Where(tags=("night",), heading=(0, 30))
        >>> north_bound_by_night.heading
        (0, 30)
    """

    bounding_box: tuple[float, float, float, float] | None = None
    after: float | None = None
    before: float | None = None
    tags: Collection[str] = field(default_factory=tuple)
    heading: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.bounding_box is not None:
            south, west, north, east = self.bounding_box
            if not (-90 <= south <= north <= 90 and abs(west) <= 180 and abs(east) <= 180):
                raise SettingsError(
                    f"bounding box {self.bounding_box}: give south, west, north, east in degrees"
                )
        if self.heading is not None and not 0 <= self.heading[1] <= 180:
            raise SettingsError(f"heading tolerance {self.heading[1]:g}: give 0 to 180 degrees")

    def mask(self, places: PlaceColumns) -> NDArray[np.bool_] | None:
        """(N,) whether each place meets all conditions; None when there are none."""
        parts = []
        if self.bounding_box is not None:
            parts.append(_inside(places, *self.bounding_box))
        if self.after is not None:
            parts.append(places.column("time") >= self.after)
        if self.before is not None:
            parts.append(places.column("time") < self.before)
        if self.tags:
            parts.append(places.tagged(self.tags))
        if self.heading is not None:
            parts.append(
                heading_difference(places.column("heading"), self.heading[0]) <= self.heading[1]
            )
        if not parts:
            return None
        met: NDArray[np.bool_] = np.logical_and.reduce(parts)
        return met


def heading_difference(
    headings: NDArray[np.float64], heading: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The angle between directions, 0 to 180 degrees; NaN where one is unknown."""
    turned: NDArray[np.float64] = np.abs((headings - heading + 180.0) % 360.0 - 180.0)
    return turned


def _inside(
    places: PlaceColumns, south: float, west: float, north: float, east: float
) -> NDArray[np.bool_]:
    latitude, longitude = places.column("latitude"), places.column("longitude")
    if west <= east:
        across = (longitude >= west) & (longitude <= east)
    else:
        across = (longitude >= west) | (longitude <= east)
    inside: NDArray[np.bool_] = across & (latitude >= south) & (latitude <= north)
    return inside
