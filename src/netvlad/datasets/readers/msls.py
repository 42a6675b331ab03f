"""Mapillary Street-Level Sequences (Warburg et al. 2020), as it is distributed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.cities import joined, refuse_zone, shifted
from netvlad.datasets.readers.names import telling
from netvlad.datasets.readers.tables import Columns, read_columns
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, to_utm
from netvlad.types import ImageSet, PlaceDataset

_AGREE_WITHIN_M = 1_000.0
CITIES = {
    "train": (
        *("trondheim", "london", "boston", "melbourne", "amsterdam", "helsinki", "tokyo"),
        *("toronto", "saopaulo", "moscow", "zurich", "paris", "bangkok", "budapest", "austin"),
        *("berlin", "ottawa", "phoenix", "goa", "amman", "nairobi", "manila"),
    ),
    "val": ("cph", "sf"),
    "test": ("miami", "athens", "buenosaires", "stockholm", "bengaluru", "kampala"),
}
"""The cities of each split, in the order of the owners' code."""

SUBTASKS = ("all", "s2w", "w2s", "o2n", "n2o", "d2n", "n2d")
"""Summer, winter, old, new, day and night as database and query of the subtasks."""

_NUMBERS = {city: i for i, city in enumerate(sum(CITIES.values(), ()))}
_OPTIONAL = ("night", "control_panel", "view_direction", "unique_cluster")
_POSTPROCESSED = {"key": True, "easting": True, "northing": True, **dict.fromkeys(_OPTIONAL, False)}
_RAW = {"key": True, "lon": False, "lat": False, "ca": False, "captured_at": False, "pano": True}
# The owners' readme says sequence_id, the files say sequence_key.
_SEQUENCES = {"key": True, "sequence_key": False, "sequence_id": False, "frame_number": True}
_SUBTASKS = {"key": False, **dict.fromkeys(SUBTASKS, False)}


# The database or the queries of one city, their zone if it is known, and the missing tables.
_Part = tuple[ImageSet, str | None, list[str]]


def read_msls(record: DatasetRecord, root: Path, split: str, utm_zone: str | None) -> PlaceDataset:
    """Open ``train``, ``val`` or ``test``, or one city of it such as ``val:sf``.

    All images are kept: panoramas, and those outside every subtask. Which of them count is the
    business of the evaluation; the labels say what it needs to know: ``city``, ``sequence``,
    ``panorama`` (``"1"`` or ``"0"``), ``condition`` (``day`` or ``night``), ``view_direction``,
    ``control_panel`` (``"1"`` or ``"0"``), ``cluster``, ``date`` and ``subtask`` (the names, with
    blanks between them, of the subtasks of image-to-image search that the image belongs to).
    ``times`` are frame numbers within the sequence.

    With several cities, eastings are moved by 10,000 km times the city's number in
    :data:`CITIES`, so that images of different cities are never near each other. A single city
    keeps its eastings and tells its UTM zone, where all its images lie in one (or ``utm_zone``
    says it). The test split has no positions: its owners keep them.

    Raises:
        DataError: no city of the split is there, or its tables contradict each other.
        SettingsError: the split has no such city, ``utm_zone`` is not a zone, or is given for
            several cities.
    """
    part, colon, city = split.partition(":")
    cities = (city,) if colon else CITIES[part]
    if not set(cities) <= set(CITIES[part]):
        known = ", ".join(CITIES[part])
        raise SettingsError(f"the split {part} of msls has no city {city!r}; choose from {known}")
    if not colon:
        refuse_zone(utm_zone, split)
    folder = root / ("test" if part == "test" else "train_val")
    found = [city for city in cities if (folder / city).is_dir()]
    if not found:
        raise record.error(folder / cities[0], "no such folder")
    database, queries = (
        [_read_part(record, root, folder / city / role, city, not colon) for city in found]
        for role in ("database", "query")
    )
    zones = {zone for _, zone, _ in (*database, *queries)}
    zone = zones.pop() if len(zones) == 1 else None
    if utm_zone:
        zone = parse_utm_zone(utm_zone).name

    def images_of(parts: list[_Part]) -> ImageSet:
        images = joined([part[0] for part in parts])
        return images if images.positions is None else replace(images, utm_zone=zone)

    notes = []
    if absent := [city for city in cities if city not in found]:
        notes.append(f"{len(absent)} of {len(cities)} cities are not there: {', '.join(absent)}.")
    if missing := [path for *_, paths in (*database, *queries) for path in paths]:
        notes.append(
            f"{len(missing)} tables are missing (the first is {missing[0]}); the labels that they "
            "hold are unknown, and protocols that need them cannot be followed."
        )
    if part == "test":
        told = "The positions of the test split are not published; its owners' server scores it."
        notes.append(told)
    sets = images_of(database), images_of(queries)
    return PlaceDataset(record.name, split, *sets, notes=tuple(notes))


def _read_part(record: DatasetRecord, root: Path, folder: Path, city: str, several: bool) -> _Part:
    """The tables of one folder as an image set."""
    published = "train_val" in folder.parts[len(root.parts) :]

    def table(name: str, columns: dict[str, bool], needed: bool = False) -> Columns | None:
        path = record.found(folder / name) if needed else folder / name
        return read_columns(path, columns) if path.exists() else None

    sequences = table("seq_info.csv", _SEQUENCES, not published)
    places = table("postprocessed.csv", _POSTPROCESSED, published)
    listed = sequences if places is None else places
    assert listed is not None  # one of them was needed
    raw, subtasks = table("raw.csv", _RAW), table("subtask_index.csv", _SUBTASKS)
    keys = listed.texts("key")
    for other in (sequences, raw, subtasks):
        if other is None:
            continue
        if len(other) != len(keys) or ("key" in other and other.texts("key") != keys):
            told = f"lists other images than {listed.path.name}, or in another order"
            raise DataError(f"{other.path}: {told}; unpack metadata.zip again")
    positions, zone = None, None
    if places is not None:
        positions = np.stack([places.numbers("easting"), places.numbers("northing")], axis=1)
        positions[np.isnan(positions).any(axis=1)] = np.nan
        if several:
            positions = shifted(positions, _NUMBERS[city])
        elif raw is not None:
            zone = _zone(raw, positions)
    labels = {"city": np.full(len(keys), city)}
    if places is not None:
        labels["condition"] = np.where(places.truths("night"), "night", "day")
        labels["view_direction"] = places.words("view_direction")
        labels["control_panel"] = np.where(places.truths("control_panel"), "1", "0")
        labels["cluster"] = places.words("unique_cluster")
    headings, frames = None, None
    if raw is not None:
        headings = raw.numbers("ca")
        labels["panorama"] = np.where(raw.truths("pano"), "1", "0")
        labels["date"] = raw.words("captured_at")
    if sequences is not None:
        frames = sequences.numbers("frame_number")
        name = "sequence_key" if "sequence_key" in sequences else "sequence_id"
        labels["sequence"] = sequences.words(name)
    if subtasks is not None:
        labels["subtask"] = _subtask_words(subtasks)
    prefix = folder.relative_to(root).as_posix()
    names = tuple(f"{prefix}/images/{key}.jpg" for key in keys)
    images = ImageSet(root, names, positions, headings, frames, labels=labels)
    tables = {"raw.csv": raw, "seq_info.csv": sequences, "subtask_index.csv": subtasks}
    missing = [str(folder / name) for name, found in tables.items() if found is None]
    # The owners keep raw.csv of the test split.
    return images, zone, missing if published or raw is not None else []


def _zone(raw: Columns, positions: NDArray[np.float64]) -> str | None:
    """The zone that metres (N, 2) are in, told from the degrees of the same images.

    It is that of the median point where all positions agree with it to a kilometre; None where
    they do not, as when each image of a city was projected to a zone of its own.
    """
    latitudes, longitudes = raw.numbers("lat"), raw.numbers("lon")
    known = np.isfinite(latitudes) & np.isfinite(longitudes) & np.isfinite(positions).all(axis=1)
    if not known.any():
        return None
    with telling(raw.path):
        expected, zone = to_utm(latitudes[known], longitudes[known])
    return zone if np.abs(expected - positions[known]).max() <= _AGREE_WITHIN_M else None


def _subtask_words(subtasks: Columns) -> NDArray[np.str_]:
    """(N,) the names of each image's subtasks, with blanks between them."""
    truths = np.stack([subtasks.truths(name) for name in SUBTASKS], axis=1)
    found, inverse = np.unique(truths, axis=0, return_inverse=True)
    words = [" ".join(np.array(SUBTASKS)[chosen]) for chosen in found]
    return np.array(words, dtype=str)[inverse.reshape(-1)]
