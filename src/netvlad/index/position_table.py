"""A table that says where photos were taken: CSV or Parquet, one row per photo."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from netvlad.datasets.readers.tables import TableRow, read_rows, usual_names
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_wgs84

LAYOUT = (
    "image and latitude + longitude or easting + northing + zone; optional altitude, heading, "
    "time, tags"
)

_DEGREES, _METRES = ("latitude", "longitude"), ("easting", "northing")
_COLUMNS = ("image", *_DEGREES, *_METRES, "zone", "altitude", "heading", "time", "tags")
_LIMITS = {"latitude": 90.0, "longitude": 180.0}
# No map in a UTM zone reaches farther. Swapped eastings and northings mostly lie beyond.
_FARTHEST_FROM_MERIDIAN_M = 3_000_000.0
_NORTHINGS_M = (-10_100_000.0, 20_100_000.0)


@dataclass(frozen=True, eq=False)
class PositionTable:
    """What a table says about R images, row by row; NaN where it says nothing.

    Attributes:
        path: the table.
        images: R names or paths, as they are written.
        latitude: (R,) WGS84 degrees, known exactly where ``longitude`` is.
        longitude: (R,) WGS84 degrees.
        altitude: (R,) metres.
        heading: (R,) degrees clockwise from north, 0 up to 360.
        time: (R,) seconds since 1970 (UTC).
        tags: R lists of words.
    """

    path: Path
    images: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    altitude: NDArray[np.float64]
    heading: NDArray[np.float64]
    time: NDArray[np.float64]
    tags: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class TableMatch:
    """Which row of a table belongs to which of N files.

    Attributes:
        rows: (N,) int64, the row of each file; -1 where there is none.
        without_file: (M,) int64, the rows that name none of the files, ascending.
        overridden: (L,) int64, the rows whose file a later row names again, ascending.
    """

    rows: NDArray[np.int64]
    without_file: NDArray[np.int64]
    overridden: NDArray[np.int64]


class _Entry(NamedTuple):
    image: str
    degrees: tuple[float, float]
    metres: tuple[float, float]
    zone: str
    altitude: float
    heading: float
    time: float
    tags: tuple[str, ...]


def read_position_table(path: Path, *, utm_zone: str | None = None) -> PositionTable:
    """Read a table of positions.

    Columns are found by their name in any case, or by a usual other one (``lat``, ``lng``,
    ``filename``, see :data:`~netvlad.datasets.readers.tables.OTHER_NAMES`); others are ignored. A
    CSV file has its cells separated by commas, semicolons or tabs; with the latter two, numbers may
    have decimal commas.
    A row may say nothing about the position, and half a position is none. Where a row has degrees
    and metres, the degrees count. Times are seconds since 1970, or ISO 8601 dates (in UTC unless
    they say otherwise). Tags are words separated by ``;``, ``,`` or ``|``, or a list in Parquet.

    Args:
        path: a ``.parquet`` file, or a CSV file of any other name.
        utm_zone: the zone of eastings and northings whose row does not name one.

    Raises:
        DataError: the table cannot be read, lacks columns, or a cell makes no sense (with its
            line, or the row of a Parquet file counted from 1).
        SettingsError: ``utm_zone`` is not a zone.
    """
    default_zone = parse_utm_zone(utm_zone).name if utm_zone else ""
    is_parquet = path.suffix.lower() == ".parquet"
    header, rows = _parquet_rows(path) if is_parquet else read_rows(path, _COLUMNS)
    if "image" not in header or not any(set(pair) <= set(header) for pair in (_DEGREES, _METRES)):
        named = ", ".join(name or "(unnamed)" for name in header)
        raise DataError(f"{path}: needs the columns {LAYOUT}; it has {named}")
    entries = [_entry(row, default_zone) for row in rows]
    degrees = _positions(rows, entries)
    return PositionTable(
        path=path,
        images=tuple(entry.image for entry in entries),
        latitude=degrees[:, 0],
        longitude=degrees[:, 1],
        altitude=np.array([entry.altitude for entry in entries], np.float64),
        heading=np.array([entry.heading for entry in entries], np.float64) % 360,
        time=np.array([entry.time for entry in entries], np.float64),
        tags=tuple(entry.tags for entry in entries),
    )


def match(table: PositionTable, files: Sequence[Path], folders: Sequence[Path]) -> TableMatch:
    """Find the row of each file.

    The ``image`` of a row is looked up among the files relative to each folder in turn, then
    relative to the table's own folder; an absolute path is taken as it is. Backslashes separate
    folders. Links are not resolved. Of several rows for one file the last counts.

    Args:
        table: R rows.
        files: N absolute paths.
        folders: where to look first, in this order.
    """
    paths = [os.path.normpath(file) for file in files]
    known = set(paths)
    bases = [f"{Path(base).absolute()}{os.sep}" for base in (*folders, table.path.parent)]
    row_of: dict[str, int] = {}
    without_file, overridden = [], []
    for row, image in enumerate(table.images):
        # Plain text: a Path for each would take most of the time.
        name = os.path.normpath(image.replace("\\", "/"))
        is_absolute = name.startswith(os.sep) or bool(os.path.splitdrive(name)[0])
        starts = [""] if is_absolute else bases
        candidates = (os.path.normpath(start + name) for start in starts)
        file = next((path for path in candidates if path in known), None)
        if file is None:
            without_file.append(row)
            continue
        if file in row_of:
            overridden.append(row_of[file])
        row_of[file] = row
    return TableMatch(
        rows=np.array([row_of.get(path, -1) for path in paths], np.int64),
        without_file=np.array(without_file, np.int64),
        overridden=np.array(sorted(overridden), np.int64),
    )


def metres_to_degrees(
    metres: NDArray[np.float64], zones: Sequence[str | None]
) -> NDArray[np.float64]:
    """Eastings and northings of several UTM zones as degrees.

    Args:
        metres: (N, 2) easting and northing, each in its own zone; NaN where unknown.
        zones: N zone names; empty or None where there is none.

    Returns:
        (N, 2) latitude and longitude in WGS84 degrees; NaN where the metres or the zone are
        unknown, and where a zone has no such place (more than 3000 km beside its meridian, or
        beyond a pole).

    Raises:
        SettingsError: a zone is not a zone.
    """
    degrees = np.full((len(metres), 2), np.nan)
    if not len(metres):
        return degrees
    low, high = _NORTHINGS_M
    possible = (np.abs(metres[:, 0] - 500_000) <= _FARTHEST_FROM_MERIDIAN_M) & (
        (metres[:, 1] >= low) & (metres[:, 1] <= high)
    )
    own = np.array([zone or "" for zone in zones], str)
    for zone in sorted(set(own[possible].tolist()) - {""}):
        rows = possible & (own == zone)
        degrees[rows] = np.stack(to_wgs84(metres[rows], zone), axis=1)
    return degrees


def _parquet_rows(path: Path) -> tuple[list[str], list[TableRow]]:
    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            names = [str(name) for name in parquet.schema_arrow.names]
            usual = usual_names([name.strip().lower() for name in names], _COLUMNS)
            wanted = [name for name, ours in zip(names, usual, strict=True) if ours in _COLUMNS]
            table = parquet.read(columns=wanted, use_threads=False)
            columns = [[_text(value) for value in _plain(c).to_pylist()] for c in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(f"{path}: cannot be read as Parquet ({reason})") from error
    header = [ours for ours in usual if ours in _COLUMNS]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: has two columns called {name}")
    rows = [
        TableRow(path, f"row {i + 1}", dict(zip(header, cells, strict=True)), decimal_comma=True)
        for i, cells in enumerate(zip(*columns, strict=True))
    ]
    return usual, rows


def _plain(column: Any) -> Any:
    # Python's dates have microseconds and no names of time zones that every system knows.
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz="UTC"), safe=False)
    return column


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(_text(part) for part in value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return str(value).strip()


def _entry(row: TableRow, default_zone: str) -> _Entry:
    image, zone = row.cells.get("image", ""), row.cells.get("zone", "")
    if not image:
        raise row.error("the column image is empty")
    if zone:
        try:
            zone = parse_utm_zone(zone).name
        except SettingsError as error:
            raise row.error(f"zone: {error}") from error
    degrees = (row.number("latitude"), row.number("longitude"))
    for column, value in zip(_DEGREES, degrees, strict=True):
        if abs(value) > _LIMITS[column]:
            raise row.error(
                f"{column} is {value:g}, outside ±{_LIMITS[column]:g}°; are latitude and longitude "
                "swapped, or are these metres (call them easting and northing)?"
            )
    metres = (row.number("easting"), row.number("northing"))
    words = (word.strip() for word in re.split(r"[;,|]", row.cells.get("tags", "")))
    return _Entry(
        image=image,
        degrees=degrees,
        metres=metres,
        zone=zone or default_zone,
        altitude=row.number("altitude"),
        heading=row.number("heading"),
        time=row.time(),
        tags=tuple(dict.fromkeys(word for word in words if word)),
    )


def _positions(rows: list[TableRow], entries: list[_Entry]) -> NDArray[np.float64]:
    """(R, 2) latitude and longitude."""
    degrees = np.array([entry.degrees for entry in entries], np.float64).reshape(-1, 2)
    metres = np.array([entry.metres for entry in entries], np.float64).reshape(-1, 2)
    degrees[np.isnan(degrees).any(axis=1)] = np.nan
    needed = np.flatnonzero(np.isnan(degrees[:, 0]) & ~np.isnan(metres).any(axis=1))
    zones = [entries[i].zone for i in needed]
    if "" in zones:
        raise rows[needed[zones.index("")]].error(
            "has metres without a UTM zone; add a column zone, or name the zone of all rows, "
            "such as 31N"
        )
    degrees[needed] = metres_to_degrees(metres[needed], zones)
    nowhere = needed[np.isnan(degrees[needed, 0])]
    if len(nowhere):
        easting, northing = metres[nowhere[0]]
        raise rows[nowhere[0]].error(
            f"easting {easting:.12g}, northing {northing:.12g} is no place of UTM zone "
            f"{entries[nowhere[0]].zone}; are easting and northing swapped?"
        )
    return degrees
