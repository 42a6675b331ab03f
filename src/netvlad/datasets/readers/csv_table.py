"""A table of images: one ``<split>.csv`` beside the images, for everybody's own data."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.csv_rows import read_rows
from netvlad.datasets.readers.table_row import TableRow
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_one_zone, to_utm
from netvlad.types import ImageSet, PlaceDataset

_METRES, _DEGREES = ("easting", "northing"), ("latitude", "longitude")
_COLUMNS = ("image", "role", *_METRES, *_DEGREES, "heading", "time", "zone")


class _Image(NamedTuple):
    name: str
    role: str
    position: tuple[float, float]
    heading: float
    time: float
    zone: str
    labels: tuple[str, ...]


def read_csv_table(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open ``<root>/<split>.csv``, one row per image.

    Columns are found by their name in any case, or by a usual other one (``lat``, ``filename``, see
    :data:`~netvlad.datasets.readers.csv_rows.OTHER_NAMES`); others become labels, such as
    ``condition`` or ``sequence``. Cells are separated by commas,
    semicolons or tabs; with the latter two, numbers may have decimal commas. Paths are relative to
    the table, or absolute. An image without position is kept, but never counts as correct. Where
    both are given, easting and northing win over latitude and longitude. Times are numbers, or
    ISO 8601 dates (in UTC unless they say otherwise), which become seconds since 1970.

    Args:
        record: see :class:`~netvlad.datasets.record.Reader`.
        root: the folder that holds the table.
        split: the table's name without ``.csv``.
        utm_zone: for metres, the zone they are in, or are brought to where a column ``zone`` says
            otherwise; for degrees, the zone to project to (None: that of the median point).

    Raises:
        DataError: the table is missing, lacks columns, has no rows of one role, or a cell makes no
            sense (with its line).
        SettingsError: ``utm_zone`` is not a zone.
    """
    path = record.found(root / f"{split}.csv")
    header, rows, delimiter = read_rows(path, _COLUMNS)
    pair = _position_columns(path, header)
    labels = [name for name in header if name and name not in _COLUMNS]
    labels = [name for name in labels if header.count(name) == 1]
    images = [
        _image(TableRow(path, f"line {line}", cells, delimiter != ","), pair, labels)
        for line, cells in rows
    ]
    for role in ("database", "query"):
        if not any(image.role == role for image in images):
            raise DataError(f"{path}: no row has the role {role}")
    positions, zone = _positions(path, images, pair, utm_zone)
    database, note_on_database = _image_set(root, images, positions, zone, labels, "database")
    queries, note_on_queries = _image_set(root, images, positions, zone, labels, "query")
    return PlaceDataset(
        record.name,
        split,
        database,
        queries,
        notes=(*note_on_database, *note_on_queries),
    )


def _position_columns(path: Path, header: list[str]) -> tuple[str, str]:
    pair = next((pair for pair in (_METRES, _DEGREES) if set(pair) <= set(header)), None)
    if pair is None or not {"image", "role"} <= set(header):
        raise DataError(
            f"{path}: needs the columns image, role and easting + northing or latitude + "
            f"longitude; it has {', '.join(name or '(unnamed)' for name in header)}"
        )
    return pair


def _image(row: TableRow, pair: tuple[str, str], labels: list[str]) -> _Image:
    name, role = row.cells.get("image", ""), row.cells.get("role", "").lower()
    if not name:
        raise row.error("the column image is empty")
    if role not in ("database", "query"):
        raise row.error(f"role is {role!r}; it must be database or query")
    position = (row.number(pair[0]), row.number(pair[1]))
    zone = row.cells.get("zone", "")
    if zone:
        try:
            zone = parse_utm_zone(zone).name
        except SettingsError as error:
            raise row.error(f"zone: {error}") from error
    # Tables made on Windows write folders with backslashes.
    return _Image(
        name.replace("\\", "/"),
        role,
        position,
        row.number("heading"),
        row.time(),
        zone,
        tuple(row.cells.get(label, "") for label in labels),
    )


def _positions(
    path: Path, images: list[_Image], pair: tuple[str, str], utm_zone: str | None
) -> tuple[NDArray[np.float64], str | None]:
    pairs = np.array([image.position for image in images])
    # Half a position is none.
    pairs[np.isnan(pairs).any(axis=1)] = np.nan
    try:
        if pair == _DEGREES:
            return to_utm(pairs[:, 0], pairs[:, 1], utm_zone)
        zones = [image.zone for image in images]
        if not any(zones):
            return pairs, parse_utm_zone(utm_zone).name if utm_zone else None
        if not all(zones):
            row = zones.index("")
            raise DataError(f"image {images[row].name} has no zone but others have one; fill it in")
        return to_one_zone(pairs, zones, utm_zone)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _image_set(
    root: Path,
    images: list[_Image],
    positions: NDArray[np.float64],
    zone: str | None,
    labels: list[str],
    role: str,
) -> tuple[ImageSet, tuple[str, ...]]:
    chosen = [i for i, image in enumerate(images) if image.role == role]
    unknown = int(np.isnan(positions[chosen]).any(axis=1).sum())
    note = f"{unknown} of {len(chosen)} {role} images have no position and never count as correct."

    def numbers(value: Callable[[_Image], float]) -> NDArray[np.float64] | None:
        values = np.array([value(images[i]) for i in chosen])
        return None if np.isnan(values).all() else values

    image_set = ImageSet(
        root,
        tuple(images[i].name for i in chosen),
        positions[chosen],
        numbers(lambda image: image.heading),
        numbers(lambda image: image.time),
        zone,
        {
            label: np.array([images[i].labels[column] for i in chosen], dtype=str)
            for column, label in enumerate(labels)
        },
    )
    return image_set, (note,) if unknown else ()
