"""Mapillary Street-Level Sequences (Warburg et al. 2020), as it is distributed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.city_positions import shifted, zone_of
from netvlad.datasets.readers.csv_columns import Columns, read_columns
from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone
from netvlad.types import ImageSet, PlaceDataset

LAYOUT = (
    "train_val/<city>/{query,database}/ and test/<city>/{query,database}/, each with "
    "postprocessed.csv, raw.csv, seq_info.csv, subtask_index.csv and images/<key>.jpg"
)

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
_POSTPROCESSED = dict.fromkeys(("key", "easting", "northing"), True) | dict.fromkeys(
    _OPTIONAL, False
)
_RAW = {"key": True, "lon": False, "lat": False, "ca": False, "captured_at": False, "pano": True}
# The owners' readme says sequence_id, the files say sequence_key.
_SEQUENCES = {"key": True, "sequence_key": False, "sequence_id": False, "frame_number": True}
_SUBTASKS = {"key": False, **dict.fromkeys(SUBTASKS, False)}


class _Part(NamedTuple):
    """The database or the queries of one city."""

    images: ImageSet
    zone: str | None
    missing: tuple[str, ...]


def read_msls(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``train``, ``val`` or ``test``, or one city of it such as ``val:sf``.

    All images are kept: panoramas, and those outside every subtask. Which of them count is the
    business of the evaluation; the labels say what it needs to know: ``city``, ``sequence``,
    ``panorama`` (``"1"`` or ``"0"``), ``condition`` (``day`` or ``night``), ``view_direction``,
    ``control_panel`` (``"1"`` or ``"0"``), ``cluster``, ``date`` and ``subtask`` (the names, with
    blanks between them, of the subtasks of image-to-image search that the image belongs to).
    ``times`` are frame numbers within the sequence.

    With several cities, eastings are moved by 10,000 km times the city's number in
    :data:`CITIES`, so that images of different cities are never near each other. A single city
    keeps its eastings and tells its UTM zone, where all its images lie in one. The test split has
    no positions: its owners keep them.

    Args:
        root: the folder that holds ``train_val/`` and ``test/``.
        split: the split, or the split and a city.
        utm_zone: the zone of a single city, where the files do not tell it.

    Raises:
        DataError: no city of the split is there, or its tables contradict each other.
        SettingsError: the split has no such city, ``utm_zone`` is not a zone, or is given for
            several cities.
    """
    cities, several = _cities(split)
    if utm_zone and several:
        raise SettingsError(
            f"utm_zone is {utm_zone} but {split} has cities in several zones; leave it out"
        )
    folder = root / ("test" if split.startswith("test") else "train_val")
    found = [city for city in cities if (folder / city).is_dir()]
    if not found:
        raise DataError(f"{folder / cities[0]}: no such folder; expected {LAYOUT}")
    parts = {
        role: [_read_part(root, folder / city / role, city, several) for city in found]
        for role in ("database", "query")
    }
    database, queries = (
        _joined([part.images for part in parts[role]]) for role in ("database", "query")
    )
    return PlaceDataset(
        name="msls",
        split=split,
        database=_in_zone(database, parts, several, utm_zone),
        queries=_in_zone(queries, parts, several, utm_zone),
        notes=(
            *_notes_on_cities(cities, found),
            *_notes_on_files(parts["database"] + parts["query"]),
            *_note_on_test(split),
        ),
    )


def _cities(split: str) -> tuple[tuple[str, ...], bool]:
    part, colon, city = split.partition(":")
    if part not in CITIES:
        raise SettingsError(f"msls has no split {part}; choose from {', '.join(CITIES)}")
    if not colon:
        return CITIES[part], True
    if city not in CITIES[part]:
        raise SettingsError(
            f"the split {part} of msls has no city {city!r}; choose from {', '.join(CITIES[part])}"
        )
    return (city,), False


def _joined(sets: Sequence[ImageSet]) -> ImageSet:
    # By halves: one after the other would copy the first city as often as there are cities.
    if len(sets) == 1:
        return sets[0]
    middle = len(sets) // 2
    return _joined(sets[:middle]).joined(_joined(sets[middle:]))


def _read_part(root: Path, folder: Path, city: str, several: bool) -> _Part:
    """The tables of one folder as an image set."""
    published = "train_val" in folder.parts[len(root.parts) :]
    sequences = _table(folder / "seq_info.csv", _SEQUENCES, needed=not published)
    places = _table(folder / "postprocessed.csv", _POSTPROCESSED, needed=published)
    listed = places if places is not None else sequences
    assert listed is not None  # one of them was needed
    raw = _table(folder / "raw.csv", _RAW, needed=False)
    subtasks = _table(folder / "subtask_index.csv", _SUBTASKS, needed=False)
    keys = listed.texts("key")
    for table in (sequences, raw, subtasks):
        _check_rows(listed.path, keys, table)
    positions = None
    zone = None
    if places is not None:
        positions = np.stack([places.numbers("easting"), places.numbers("northing")], axis=1)
        positions[np.isnan(positions).any(axis=1)] = np.nan
        if raw is not None and not several:
            zone = _zone(raw, positions)
    prefix = folder.relative_to(root).as_posix()
    images = ImageSet(
        root,
        tuple(f"{prefix}/images/{key}.jpg" for key in keys),
        shifted(positions, _NUMBERS[city]) if several and positions is not None else positions,
        None if raw is None else raw.numbers("ca"),
        None if sequences is None else sequences.numbers("frame_number"),
        labels=_labels(city, len(keys), places, raw, sequences, subtasks),
    )
    tables = {"raw.csv": raw, "seq_info.csv": sequences, "subtask_index.csv": subtasks}
    if published or raw is not None:
        missing = tuple(str(folder / name) for name, table in tables.items() if table is None)
    else:
        missing = ()  # the owners keep raw.csv of the test split
    return _Part(images, zone, missing)


def _zone(raw: Columns, positions: NDArray[np.float64]) -> str | None:
    try:
        return zone_of(positions, raw.numbers("lat"), raw.numbers("lon"))
    except DataError as error:
        raise DataError(f"{raw.path}: {error}") from error


def _table(path: Path, columns: dict[str, bool], *, needed: bool) -> Columns | None:
    if path.exists():
        return read_columns(path, columns)
    if needed:
        raise DataError(f"{path}: no such file; expected {LAYOUT}")
    return None


def _check_rows(path: Path, keys: list[str], table: Columns | None) -> None:
    """All tables of a folder must list the same images in the same order."""
    if table is None:
        return
    if len(table) != len(keys) or ("key" in table and table.texts("key") != keys):
        raise DataError(
            f"{table.path}: lists other images than {path.name}, or in another order; "
            "unpack metadata.zip again"
        )


def _labels(
    city: str,
    count: int,
    places: Columns | None,
    raw: Columns | None,
    sequences: Columns | None,
    subtasks: Columns | None,
) -> dict[str, NDArray[np.str_]]:
    labels = {"city": np.full(count, city)}
    if places is not None:
        labels["condition"] = np.where(places.truths("night"), "night", "day")
        labels["view_direction"] = places.words("view_direction")
        labels["control_panel"] = np.where(places.truths("control_panel"), "1", "0")
        labels["cluster"] = places.words("unique_cluster")
    if raw is not None:
        labels["panorama"] = np.where(raw.truths("pano"), "1", "0")
        labels["date"] = raw.words("captured_at")
    if sequences is not None:
        name = "sequence_key" if "sequence_key" in sequences else "sequence_id"
        labels["sequence"] = sequences.words(name)
    if subtasks is not None:
        labels["subtask"] = _subtask_words(subtasks)
    return labels


def _subtask_words(subtasks: Columns) -> NDArray[np.str_]:
    """(N,) the names of each image's subtasks, with blanks between them."""
    sets = np.zeros(len(subtasks), np.int64)
    for bit, name in enumerate(SUBTASKS):
        sets |= subtasks.truths(name).astype(np.int64) << bit
    found, inverse = np.unique(sets, return_inverse=True)
    words = [
        " ".join(name for bit, name in enumerate(SUBTASKS) if chosen >> bit & 1)
        for chosen in found.tolist()
    ]
    return np.array(words, dtype=str)[inverse]


def _in_zone(
    images: ImageSet, parts: dict[str, list[_Part]], several: bool, utm_zone: str | None
) -> ImageSet:
    if several or images.positions is None:
        return images
    zones = {part.zone for role in parts.values() for part in role}
    told = zones.pop() if len(zones) == 1 else None
    zone = parse_utm_zone(utm_zone).name if utm_zone else told
    return replace(images, utm_zone=zone)


def _notes_on_cities(cities: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    absent = [city for city in cities if city not in found]
    if not absent:
        return ()
    return (f"{len(absent)} of {len(cities)} cities are not there: {', '.join(absent)}.",)


def _notes_on_files(parts: Sequence[_Part]) -> tuple[str, ...]:
    missing = [path for part in parts for path in part.missing]
    if not missing:
        return ()
    return (
        f"{len(missing)} tables are missing (the first is {missing[0]}); the labels that they "
        "hold are unknown, and protocols that need them cannot be followed.",
    )


def _note_on_test(split: str) -> tuple[str, ...]:
    if not split.startswith("test"):
        return ()
    return ("The positions of the test split are not published; its owners' server scores it.",)
