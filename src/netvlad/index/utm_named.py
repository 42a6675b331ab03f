"""Photos whose file names say where they were taken: ``@easting@northing@zone@band@…@.jpg``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.utm_names import parse_utm_name
from netvlad.index.position_table import metres_to_degrees

_LAYOUTS = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# From the first photograph on.
_YEARS = range(1826, 2200)


@dataclass(frozen=True, eq=False)
class UtmNamed:
    """What the names of M files say.

    Attributes:
        rows: (M,) int64, where these files stand in the list that was read, ascending.
        degrees: (M, 2) latitude and longitude in WGS84 degrees, NaN where the zone is unknown.
        heading: (M,) degrees clockwise from north, 0 up to 360, NaN where unknown.
        time: (M,) seconds since 1970 (UTC), NaN where unknown.
        without_zone: (L,) int64, those of ``rows`` whose metres no zone goes with.
    """

    rows: NDArray[np.int64]
    degrees: NDArray[np.float64]
    heading: NDArray[np.float64]
    time: NDArray[np.float64]
    without_zone: NDArray[np.int64]


def read_utm_named(files: Sequence[Path], utm_zone: str | None = None) -> UtmNamed:
    """Read the names of those files that have positions in them.

    Args:
        files: their folders do not matter.
        utm_zone: the zone of the names that do not say it.

    Raises:
        SettingsError: ``utm_zone`` is not a zone.
    """
    parsed = [(i, name) for i, file in enumerate(files) if (name := parse_utm_name(file.name))]
    rows = np.array([i for i, _ in parsed], np.int64)
    names = [name for _, name in parsed]
    zones = [name.zone or utm_zone for name in names]
    metres = np.array([(name.easting, name.northing) for name in names]).reshape(-1, 2)
    return UtmNamed(
        rows=rows,
        degrees=metres_to_degrees(metres, zones),
        heading=np.array([name.heading for name in names], np.float64) % 360,
        time=np.array([stamp_to_seconds(name.time) for name in names], np.float64),
        without_zone=rows[[zone is None for zone in zones]],
    )


def stamp_to_seconds(stamp: float) -> float:
    """The time stamp of a file name as seconds since 1970 (UTC).

    Args:
        stamp: digits of a date, of 6 (year and month), 8 (and day), 12 (and hour and minute) or 14
            (and second), as the number they make; or seconds since 1970, of 9 or 10 digits.

    Returns:
        the beginning of that month, day, minute or second; NaN for any other number.

    Examples:
        >>> stamp_to_seconds(197001), stamp_to_seconds(19700102.0), stamp_to_seconds(2024.0)
        (0.0, 86400.0, nan)
    """
    if not 1e5 <= stamp < 1e14:
        return math.nan
    digits = f"{stamp:.0f}"
    if len(digits) in (9, 10):
        return stamp
    try:
        moment = datetime.strptime(digits, _LAYOUTS[len(digits)]).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return math.nan
    return moment.timestamp() if moment.year in _YEARS else math.nan
