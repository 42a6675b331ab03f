"""A table of images: one ``<split>.csv`` beside the images, for everybody's own data."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.names import image_set, telling
from netvlad.datasets.readers.tables import TableRow, read_rows
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_one_zone, to_utm
from netvlad.storage import written_beside
from netvlad.types import PlaceDataset

_METRES, _DEGREES = ("easting", "northing"), ("latitude", "longitude")
_COLUMNS = ("image", "role", *_METRES, *_DEGREES, "heading", "time", "zone")


def read_csv_table(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open ``<root>/<split>.csv``, one row per image.

    Columns are found by their name in any case, or by a usual other one (``lat``, ``filename``, see
    :data:`~netvlad.datasets.readers.tables.OTHER_NAMES`); others become labels, such as
    ``condition`` or ``sequence``. Cells are separated by commas, semicolons or tabs; with the
    latter two, numbers may have decimal commas. Paths are relative to the table, or absolute. An
    image without position is kept, but never counts as correct. Where both are given, easting and
    northing win over latitude and longitude. Times are numbers, or ISO 8601 dates (in UTC unless
    they say otherwise), which become seconds since 1970.

    Args:
        utm_zone: for metres, the zone they are in, or are brought to where a column ``zone`` says
            otherwise; for degrees, the zone to project to (None: that of the median point).

    Raises:
        DataError: the table is missing, lacks columns, has no rows of one role, or a cell makes no
            sense (with its line).
        SettingsError: ``utm_zone`` is not a zone.
    """
    path = record.found(root / f"{split}.csv")
    header, rows = read_rows(path, _COLUMNS)
    pair = next((pair for pair in (_METRES, _DEGREES) if set(pair) <= set(header)), None)
    if pair is None or not {"image", "role"} <= set(header):
        needed = "image, role and easting + northing or latitude + longitude"
        there = ", ".join(name or "(unnamed)" for name in header)
        raise DataError(f"{path}: needs the columns {needed}; it has {there}")
    labels = [name for name in header if name and name not in _COLUMNS and header.count(name) == 1]
    roles = [_role(row) for row in rows]
    for role in ("database", "query"):
        if role not in roles:
            raise DataError(f"{path}: no row has the role {role}")
    positions, zone = _positions(path, rows, pair, utm_zone)
    sets, notes = [], []
    for role in ("database", "query"):
        chosen = [i for i, own in enumerate(roles) if own == role]
        unknown = int(np.isnan(positions[chosen]).any(axis=1).sum())
        if unknown:
            told = f"{unknown} of {len(chosen)} {role} images have no position"
            notes.append(f"{told} and never count as correct.")
        members = [rows[i] for i in chosen]
        sets.append(
            image_set(
                root,
                # Tables made on Windows write folders with backslashes.
                [row.cells["image"].replace("\\", "/") for row in members],
                positions[chosen],
                np.array([row.number("heading") for row in members]),
                np.array([row.time() for row in members]),
                zone,
                {k: np.array([row.cells.get(k, "") for row in members], str) for k in labels},
            )
        )
    return PlaceDataset(record.name, split, sets[0], sets[1], notes=tuple(notes))


def _role(row: TableRow) -> str:
    role = row.cells.get("role", "").lower()
    if not row.cells.get("image"):
        raise row.error("the column image is empty")
    if role not in ("database", "query"):
        raise row.error(f"role is {role!r}; it must be database or query")
    return role


def _positions(
    path: Path, rows: list[TableRow], pair: tuple[str, str], utm_zone: str | None
) -> tuple[NDArray[np.float64], str | None]:
    positions = np.array([[row.number(name) for name in pair] for row in rows])
    # Half a position is none.
    positions[np.isnan(positions).any(axis=1)] = np.nan
    zones = [row.cells.get("zone", "") for row in rows]
    for row, zone in zip(rows, zones, strict=True):
        try:
            _ = zone and parse_utm_zone(zone)
        except SettingsError as error:
            raise row.error(f"zone: {error}") from error
    with telling(path):
        if pair == _DEGREES:
            return to_utm(positions[:, 0], positions[:, 1], utm_zone)
        if not any(zones):
            return positions, parse_utm_zone(utm_zone).name if utm_zone else None
        if not all(zones):
            name = rows[zones.index("")].cells["image"]
            raise DataError(f"image {name} has no zone but others have one; fill it in")
        return to_one_zone(positions, zones, utm_zone)


def write_csv_split(path: Path, dataset: PlaceDataset) -> None:
    """Write a split as a table that :func:`read_csv_table` reads; an existing one is replaced.

    Eastings and northings are written to the millimetre, with their zone where it is known;
    headings, times and labels where the split has any. Names are written as they are, so they must
    be absolute, or relative to the table's folder.

    Raises:
        DataError: a name cannot stand in a table.
        StorageError: the table cannot be written.
    """
    sets = (("database", dataset.database), ("query", dataset.queries))
    kept = {"heading": 3, "time": 6}
    digits = {
        k: n for k, n in kept.items() if any(getattr(s, f"{k}s") is not None for _, s in sets)
    }
    labels = list(dict.fromkeys(name for _, images in sets for name in images.labels))
    with (
        written_beside(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "role", *_METRES, "zone", *digits, *labels])
        for role, images in sets:
            for i, name in enumerate(images.names):
                _check_name(path, name)
                position = np.full(2, np.nan) if images.positions is None else images.positions[i]
                known = np.isfinite(position).all()
                place = [f"{metres:.3f}" if known else "" for metres in position]
                row = [name, role, *place, images.utm_zone or ""]
                row += [_number(getattr(images, f"{k}s"), i, n) for k, n in digits.items()]
                row += [str(images.labels[k][i]) if k in images.labels else "" for k in labels]
                table.writerow(row)


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="replace").decode()
        raise DataError(f"{path}: the name {shown} is not UTF-8; rename the image") from error
    # Readers take the first for folders, and strip the second.
    if "\\" in name or name != name.strip():
        told = "has a backslash or blanks at its ends, which a table cannot hold"
        raise DataError(f"{path}: the name {name!r} {told}; rename the image")


def _number(values: NDArray[np.float64] | None, i: int, digits: int) -> str:
    if values is None or not math.isfinite(values[i]):
        return ""
    return f"{values[i]:.{digits}f}".rstrip("0").rstrip(".")
