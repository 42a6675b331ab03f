"""Images whose file names say where they were taken: ``@easting@northing@zone@band@…@.jpg``.

The format of the data sets that Berton et al. publish (VPR-datasets-downloader of the Deep Visual
Geo-localization Benchmark, SF-XL, SVOX). Its fields are UTM easting, UTM northing, zone number,
zone letter, latitude, longitude, panorama, tile, heading, pitch, roll, height, time stamp, note;
any but the first two may be empty.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.cities import refuse_zone, shifted
from netvlad.datasets.readers.names import image_set, images_below
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_one_zone
from netvlad.images.exif import finite
from netvlad.types import ImageSet, PlaceDataset

NAMED = "with files named @easting@northing@zone@band@…@.jpg"

# SVOX, and the first downloader's trees, say gallery.
_DATABASES = ("database", "gallery")
# What a panorama's cut-outs have in common, and whatever else there was to say.
_LABELS = {"panorama": 7, "note": 14}


class UtmName(NamedTuple):
    """What a file name says: metres in ``zone`` (``"31N"``), None where it does not say that.

    The heading is in degrees clockwise from north, the time in the data set's own unit; NaN where
    the name does not say.
    """

    easting: float
    northing: float
    zone: str | None
    heading: float
    time: float


class Part(NamedTuple):
    """Where a split lies that is not called after its folder.

    Attributes:
        folder: its folder, which other splits may share.
        queries: the folder of its queries in there; of several the first that is there counts.
        condition: what becomes the label ``condition`` of its queries; empty for none.
    """

    folder: str
    queries: tuple[str, ...] = ("queries",)
    condition: str = ""


_Folder = tuple[tuple[str, ...], list[UtmName], tuple[str, ...]]  # names, what they say, a note


def read_utm_names(
    record: DatasetRecord,
    root: Path,
    split: str,
    utm_zone: str | None,
    *,
    bases: tuple[str, ...] = ("images/{}", "{}"),
    parts: Mapping[str, Part] | None = None,
    zones_apart: bool = False,
) -> PlaceDataset:
    """Open a split whose file names carry the positions.

    Positions of several zones are brought into one. Files whose names cannot be parsed are left
    out, and a note counts them. Labels are ``panorama`` and ``note``, as far as names have them.

    Args:
        utm_zone: the zone to bring the positions to, or the zone they are in where the names do
            not say; None takes the most common one.
        bases: where a split's folder may lie; the first with a database below it counts.
        parts: the splits that are not called after their folders.
        zones_apart: keep positions in their own zones, each moved 10,000 km times the zone's number
            to the east: for cities all over the world, which no single zone shows.

    Raises:
        DataError: a folder is missing, has no images, or none of its names can be parsed.
        SettingsError: ``utm_zone`` is not a zone.
    """
    part = (parts or {}).get(split, Part(split))
    folders = [base.format(part.folder) for base in bases]
    places = [root / folder / name for folder in folders for name in _DATABASES]
    database_folder = record.found(*places, folder=True)
    folder = database_folder.parent
    queries_folder = record.found(*(folder / name for name in part.queries), folder=True)
    database = _read_folder(record, root, database_folder)
    queries = _read_folder(record, root, queries_folder)
    fields = database[1] + queries[1]
    if zones_apart:
        positions, zone = _zones_apart(fields), None
    else:
        positions, zone = _in_one_zone(folder, fields, utm_zone)
    count = len(database[0])
    found = _image_set(root, database, positions[:count], zone)
    asked = _image_set(root, queries, positions[count:], zone)
    if part.condition:
        words = np.full(len(asked), part.condition)
        asked = replace(asked, labels={**asked.labels, "condition": words})
    notes = database[2] + queries[2]
    if moved := sum(image.zone not in (None, zone) for image in fields) if zone else 0:
        notes += (f"{moved} positions of other UTM zones were brought into {zone}.",)
    return PlaceDataset(record.name, split, found, asked, notes=notes)


def read_msls_utm(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open Mapillary SLS in this format: all images but panoramas, also queries without a match.

    The names' notes become the labels ``condition``, ``view_direction`` and ``city``. See
    :func:`read_utm_names`, with ``zones_apart``.

    Raises:
        SettingsError: ``utm_zone`` is given.
    """
    refuse_zone(utm_zone, record.name)
    dataset = read_utm_names(record, root, split, None, zones_apart=True)

    def noted(images: ImageSet) -> ImageSet:
        # day_forward_sf
        notes = images.labels.get("note", np.full(len(images), "")).tolist()
        words = np.array([(*note.split("_"), "", "", "")[:3] for note in notes], dtype=str)
        names = ("condition", "view_direction", "city") if any(notes) else ()
        return replace(images, labels={**images.labels, **dict(zip(names, words.T, strict=False))})

    return replace(dataset, database=noted(dataset.database), queries=noted(dataset.queries))


def _read_folder(record: DatasetRecord, root: Path, folder: Path) -> _Folder:
    names = images_below(record, root, folder.relative_to(root).as_posix()).names
    parsed = {name: parse_utm_name(name) for name in names}
    good = {name: fields for name, fields in parsed.items() if fields is not None}
    bad = [name for name, fields in parsed.items() if fields is None]
    told = f"{len(bad)} of {len(names)} file names do not begin with @easting@northing@"
    if not good:
        raise record.error(root / bad[0], told)
    note = (f"{told} and are left out (the first is {bad[0]}).",) if bad else ()
    return tuple(good), list(good.values()), note


def parse_utm_name(name: str) -> UtmName | None:
    """Read the fields of a file name; None when it does not begin with @easting@northing@.

    Examples:
        >>> parse_utm_name("@585001.5@4476900@17@T@.jpg").zone
        '17N'
    """
    parts = Path(name).stem.split("@")
    if len(parts) < 3 or parts[0]:
        return None
    easting, northing = finite(parts[1]), finite(parts[2])
    if math.isnan(easting) or math.isnan(northing):
        return None
    parts += [""] * (15 - len(parts))
    zone = None
    if parts[3].strip() and parts[4].strip():
        try:
            zone = parse_utm_zone(parts[3] + parts[4], letter_is_band=True).name
        except SettingsError:
            return None
    return UtmName(easting, northing, zone, finite(parts[9]), finite(parts[13]))


def _in_one_zone(
    folder: Path, fields: list[UtmName], utm_zone: str | None
) -> tuple[NDArray[np.float64], str | None]:
    positions = np.array([image[:2] for image in fields])
    zones = [image.zone for image in fields if image.zone is not None]
    if not zones:
        return positions, parse_utm_zone(utm_zone).name if utm_zone else None
    if len(zones) < len(fields):
        told = f"{len(fields) - len(zones)} of {len(fields)} file names give no UTM zone"
        raise DataError(f"{folder}: {told} but others do; name them all alike")
    return to_one_zone(positions, zones, utm_zone)


def _zones_apart(fields: list[UtmName]) -> NDArray[np.float64]:
    positions = np.array([image[:2] for image in fields])
    zones = np.array([image.zone or "" for image in fields])
    for zone in set(zones.tolist()) - {""}:
        number, north = parse_utm_zone(zone)
        rows = zones == zone
        positions[rows] = shifted(positions[rows], number if north else 60 + number)
    return positions


def _image_set(
    root: Path, folder: _Folder, positions: NDArray[np.float64], zone: str | None
) -> ImageSet:
    names, fields, _ = folder
    headings = np.array([image.heading for image in fields])
    times = np.array([image.time for image in fields])
    parts = [Path(name).stem.split("@") + [""] * 15 for name in names]
    words = {k: np.array([part[i].strip() for part in parts], str) for k, i in _LABELS.items()}
    labels = {label: column for label, column in words.items() if (column != "").any()}
    return image_set(root, names, positions, headings, times, zone, labels)
