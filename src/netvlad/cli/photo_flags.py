"""The flags of commands that take photos instead of a data set."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Group, Parameter

PHOTOS = Group("Photos", sort_key=1)


@Parameter(name="*", group=PHOTOS)
@dataclass(frozen=True)
class PositionFlags:
    """Where the photos were taken, where their own metadata do not say."""

    positions: Path | None = None
    """A table (CSV or Parquet) with the columns image, latitude, longitude (or easting, northing,
    zone) and optionally altitude, heading, time, tags. It wins over file names and EXIF."""

    utm_zone: str | None = None
    """UTM zone such as 31N of eastings and northings, where neither table nor names say."""
