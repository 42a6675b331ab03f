"""Images whose file names say where they were taken: ``@easting@northing@zone@band@…@.jpg``.

The format of the data sets that Berton et al. publish (Deep Visual Geo-localization Benchmark,
SF-XL). Its fields are UTM easting, UTM northing, zone number, zone letter, latitude, longitude,
panorama, tile, heading, pitch, roll, height, time stamp, note; any but the first two may be empty.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.city_positions import shifted
from netvlad.datasets.readers.published import note_on_counts
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_one_zone
from netvlad.images import images_in
from netvlad.types import ImageSet, PlaceDataset

LAYOUT = (
    "images/<split>/{database,queries}/ (or <split>/{database,queries}/) "
    "with files named @easting@northing@zone@band@…@.jpg"
)


# What a panorama's cut-outs have in common, and whatever else there was to say.
_LABELS = {"panorama": 7, "note": 14}


class UtmName(NamedTuple):
    """What a file name says.

    Attributes:
        easting: metres in ``zone``.
        northing: metres in ``zone``.
        zone: the UTM zone, such as ``"31N"``; None where the name does not say.
        heading: degrees clockwise from north, NaN where the name does not say.
        time: the time stamp as a number in the data set's own unit, NaN where there is none.
    """

    easting: float
    northing: float
    zone: str | None
    heading: float
    time: float


@dataclass(frozen=True)
class UtmTree:
    """Where one split of such a data set lies; of several places the first that is there counts.

    Attributes:
        name: the data set's name.
        folders: folders with a database below them, relative to the root.
        databases: names of the database's folder in there.
        queries: names of the queries' folder in there.
        layout: one line that shows a person how the files should lie.
        published: the published numbers of database images and queries, or None.
        zones_apart: keep positions in their own zones, each moved 10,000 km times the zone's number
            to the east: for cities all over the world, which no single zone shows.
    """

    name: str
    folders: tuple[str, ...]
    layout: str
    databases: tuple[str, ...] = ("database",)
    queries: tuple[str, ...] = ("queries",)
    published: tuple[int, int] | None = None
    zones_apart: bool = False


class _Folder(NamedTuple):
    names: tuple[str, ...]
    fields: tuple[UtmName, ...]
    note: tuple[str, ...]


def read_utm_names(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open a split whose file names carry the positions.

    Positions of several zones are brought into one. Files whose names cannot be parsed are left
    out, and a note counts them.

    Args:
        root: the folder that holds ``images/<split>/`` or ``<split>/``.
        split: the split's folder.
        utm_zone: the zone to bring the positions to, or the zone they are in where the names do
            not say; None takes the most common one.

    Raises:
        DataError: a folder is missing, has no images, or none of its names can be parsed.
        SettingsError: ``utm_zone`` is not a zone.
    """
    where = UtmTree("utm-names", (f"images/{split}", split), LAYOUT)
    return read_utm_tree(root, split, where, utm_zone=utm_zone)


def read_utm_tree(
    root: Path, split: str, where: UtmTree, *, utm_zone: str | None = None
) -> PlaceDataset:
    """Open a split whose file names carry the positions, in folders of any names.

    Labels are ``panorama`` and ``note``, as far as the names have them.

    Args:
        root: the folder that holds those of ``where``.
        split: the split's name.
        where: the folders.
        utm_zone: see :func:`read_utm_names`.

    Raises:
        DataError: a folder is missing, has no images, or none of its names can be parsed.
        SettingsError: ``utm_zone`` is not a zone.
    """
    places = [root / folder / name for folder in where.folders for name in where.databases]
    database_folder = next((place for place in places if place.is_dir()), None)
    if database_folder is None:
        raise DataError(f"{places[0]}: no such folder; expected {where.layout}")
    folder = database_folder.parent
    queries_folder = next(
        (folder / name for name in where.queries if (folder / name).is_dir()),
        folder / where.queries[0],
    )
    database = _read_folder(root, database_folder, where.layout)
    queries = _read_folder(root, queries_folder, where.layout)
    fields = database.fields + queries.fields
    if where.zones_apart:
        positions, zone = _zones_apart(fields), None
    else:
        positions, zone = _in_one_zone(folder, fields, utm_zone)
    split_at = len(database.fields)
    counts = len(database.names), len(queries.names)
    published = {} if where.published is None else {split: where.published}
    return PlaceDataset(
        name=where.name,
        split=split,
        database=_image_set(root, database, positions[:split_at], zone),
        queries=_image_set(root, queries, positions[split_at:], zone),
        notes=(
            *note_on_counts(where.name, split, counts, published),
            *database.note,
            *queries.note,
            *(() if where.zones_apart else _note_on_zones(fields, zone)),
        ),
    )


def _read_folder(root: Path, folder: Path, layout: str) -> _Folder:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {layout}")
    names = images_in(folder)
    if not names:
        raise DataError(f"{folder}: has no images")
    prefix = folder.relative_to(root).as_posix()
    parsed = [(f"{prefix}/{name}", parse_utm_name(name)) for name in names]
    good = [(name, fields) for name, fields in parsed if fields is not None]
    bad = [name for name, fields in parsed if fields is None]
    told = f"{len(bad)} of {len(names)} file names do not begin with @easting@northing@"
    if not good:
        raise DataError(f"{root / bad[0]}: {told}; expected {layout}")
    note = (f"{told} and are left out (the first is {bad[0]}).",) if bad else ()
    return _Folder(
        names=tuple(name for name, _ in good), fields=tuple(f for _, f in good), note=note
    )


def parse_utm_name(name: str) -> UtmName | None:
    """Read the fields of a file name; None when it does not begin with @easting@northing@.

    Examples:
        >>> parse_utm_name("@585001.5@4476900@17@T@.jpg").zone
        '17N'
    """
    parts = Path(name).stem.split("@")
    if len(parts) < 3 or parts[0]:
        return None
    easting, northing = _number(parts[1]), _number(parts[2])
    if math.isnan(easting) or math.isnan(northing):
        return None
    parts += [""] * (15 - len(parts))
    zone = None
    if parts[3].strip() and parts[4].strip():
        try:
            zone = parse_utm_zone(parts[3] + parts[4], letter_is_band=True).name
        except SettingsError:
            return None
    return UtmName(easting, northing, zone, _number(parts[9]), _number(parts[13]))


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _in_one_zone(
    folder: Path, fields: tuple[UtmName, ...], utm_zone: str | None
) -> tuple[NDArray[np.float64], str | None]:
    positions = np.array([(image.easting, image.northing) for image in fields])
    zones = [image.zone for image in fields if image.zone is not None]
    if not zones:
        return positions, parse_utm_zone(utm_zone).name if utm_zone else None
    if len(zones) < len(fields):
        raise DataError(
            f"{folder}: {len(fields) - len(zones)} of {len(fields)} file names give no UTM zone "
            "but others do; name them all alike"
        )
    return to_one_zone(positions, zones, utm_zone)


def _zones_apart(fields: tuple[UtmName, ...]) -> NDArray[np.float64]:
    positions = np.array([(image.easting, image.northing) for image in fields])
    zones = np.array([image.zone or "" for image in fields])
    for zone in set(zones.tolist()) - {""}:
        number, north = parse_utm_zone(zone)
        rows = zones == zone
        positions[rows] = shifted(positions[rows], number if north else 60 + number)
    return positions


def _note_on_zones(fields: tuple[UtmName, ...], zone: str | None) -> tuple[str, ...]:
    moved = sum(image.zone not in (None, zone) for image in fields)
    return (f"{moved} positions of other UTM zones were brought into {zone}.",) if moved else ()


def _image_set(
    root: Path, folder: _Folder, positions: NDArray[np.float64], zone: str | None
) -> ImageSet:
    headings = np.array([fields.heading for fields in folder.fields])
    times = np.array([fields.time for fields in folder.fields])
    words = {name: _words(folder.names, field) for name, field in _LABELS.items()}
    return ImageSet(
        root,
        folder.names,
        positions,
        None if np.isnan(headings).all() else headings,
        None if np.isnan(times).all() else times,
        zone,
        {name: column for name, column in words.items() if (column != "").any()},
    )


def _words(names: tuple[str, ...], field: int) -> NDArray[np.str_]:
    """(N,) a field of the names as it is written, "" where it is missing."""
    split = [Path(name).stem.split("@")[field : field + 1] for name in names]
    return np.array([parts[0].strip() if parts else "" for parts in split], dtype=str)
