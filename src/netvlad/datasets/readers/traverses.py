"""Traverses of one route: the seasons of Nordland, Gardens Point's walks, VPR-Bench's two folders.

Sources: Sünderhauf et al. 2013; Glover, Day and Night with Lateral Pose Change Datasets, 2014;
Zaffar et al., VPR-Bench, IJCV 2021.
"""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from netvlad.datasets.readers.listed_truth import neighbours_from_rows, neighbours_within_frames
from netvlad.datasets.readers.names import frames_in, reading
from netvlad.datasets.readers.npy_lists import as_indices, read_list
from netvlad.datasets.readers.npy_truth import read_npy_truth
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.storage import read_json
from netvlad.types import ImageSet, Neighbours, PlaceDataset

PAIRED_LAYOUT = (
    "query/, ref/ and ground_truth_new.npy or gt.json (query number -> reference numbers), in the "
    "folder or in <split>/"
)

WALKS = ("day_left", "day_right", "night_right")
SEASONS = ("spring", "summer", "fall", "winter")

_WALKS_TOLERANCE = 2  # as in VPR-Bench
# Of whole seasons and of the test frames: frames that a correct database image may be away, and
# folders. The last two are what the archive of Olid et al. unpacks to.
_NORDLAND = {
    "all-27592": (10, ("{}", "images/{}")),
    "test-3450": (2, ("test/{}", "{}", "test/{}_images_test", "{}_images_test")),
}
_CLEAN_NAMES = "cleanImageNames.txt"
_JSON, _NPY = "gt.json", "ground_truth_new.npy"


def read_gardens_point(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open two walks: on the left by day, and on the right by day and by night, 200 frames each.

    Splits are any two, such as ``night_right-day_right``: queries, then database. A correct
    database image is at most 2 frames away.
    """

    def walk(name: str) -> _Traverse:
        condition, side = name.split("_")
        return name, frames_in(record, root, name), {"condition": condition, "side": side}

    queries, database = map(walk, split.split("-"))
    return _aligned(record, root, split, queries, database, _WALKS_TOLERANCE)


def read_nordland(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open one of three splits, which papers all call "Nordland", with R@1 tens of points apart.

    - ``list-2760``: the lists of VPR-Bench (Zaffar et al. 2021) and gsv-cities: every tenth frame
      of summer is searched in all 27,592 of winter; correct is at most 1 frame away, as listed.
    - ``all-27592``: whole seasons, correct is at most 10 frames away. Winter is searched in summer,
      as Patch-NetVLAD (Hausler et al. 2021) does; ``all-27592:summer-winter`` says it the other
      way round (queries first), and likewise for any two seasons.
    - ``test-3450``: the test frames of Olid et al. (2018), at most 2 frames away; seasons as above.

    Where ``cleanImageNames.txt`` lies in the root, only the frames of whole seasons count that it
    names (those in stations and tunnels are left out).
    """
    part, colon, seasons = split.partition(":")
    if part not in _NORDLAND:
        if colon:
            raise SettingsError(f"{split}: the lists of list-2760 are for summer-winter only")
        return read_npy_truth(record, root, split, None, folder="Nordland", prefix="Nordland_")
    pair = seasons.split("-") if colon else ["winter", "summer"]
    if len(set(pair)) != 2 or not set(pair) <= set(SEASONS):
        remedy = f"write queries first, like winter-summer ({', '.join(SEASONS)})"
        raise SettingsError(f"{seasons!r} are not two seasons of nordland; {remedy}")
    tolerance, patterns = _NORDLAND[part]
    clean = root / _CLEAN_NAMES if part == "all-27592" else None
    queries, database = (
        (season, _season(record, root, patterns, season, clean), {"condition": season})
        for season in pair
    )
    return _aligned(record, root, split, queries, database, tolerance)


def _season(
    record: DatasetRecord, root: Path, patterns: tuple[str, ...], season: str, clean: Path | None
) -> tuple[str, ...]:
    folders = [pattern.format(season) for pattern in patterns]
    folder = next((name for name in folders if (root / name).is_dir()), folders[0])
    names = frames_in(record, root, folder)
    if clean is None or not clean.exists():
        return names
    with reading(clean):
        wanted = set(clean.read_text(encoding="utf-8").split())
    kept = tuple(name for name in names if PurePosixPath(name).name in wanted)
    if not kept:
        raise DataError(f"{clean}: names no frame of {root / folder}; remove it, or fetch it again")
    return kept


_Traverse = tuple[str, tuple[str, ...], dict[str, str]]  # its name, frames, and labels of them all


def _aligned(
    record: DatasetRecord,
    root: Path,
    split: str,
    queries: _Traverse,
    database: _Traverse,
    tolerance: int,
) -> PlaceDataset:
    """Two traverses, where frame k of one shows the place of frame k of the other."""
    count = len(queries[1])
    if count != len(database[1]):
        told = f"{queries[0]} has {count} frames but {database[0]} has {len(database[1])}"
        remedy = "frame k of one must show the place of frame k of the other"
        raise DataError(f"{root}: {told}; {remedy}")
    frames = np.arange(count)
    found, asked = (
        ImageSet(
            root,
            names,
            times=frames.astype(np.float64),
            labels={label: np.full(count, word) for label, word in words.items()},
        )
        for _, names, words in (database, queries)
    )
    positives = neighbours_within_frames(frames, frames, tolerance)
    return PlaceDataset(record.name, split, found, asked, positives=positives)


def read_paired_folders(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open a test set in the layout of VPR-Bench, whose list has one row ``[query, [references]]``.

    Images are numbered in the order of the numbers in their names, from 0. Without a list of what
    is correct, reference k shows the place of query k.
    """
    prefix = f"{split}/" if (root / split / "query").is_dir() else ""
    queries, database = (
        ImageSet(root, names, times=np.arange(len(names), dtype=np.float64))
        for names in (frames_in(record, root, f"{prefix}{name}") for name in ("query", "ref"))
    )
    positives, notes = _truth(record, root / prefix, len(queries), len(database))
    return PlaceDataset(record.name, split, database, queries, positives=positives, notes=notes)


def _truth(
    record: DatasetRecord, folder: Path, num_queries: int, num_database: int
) -> tuple[Neighbours, tuple[str, ...]]:
    path = folder / _JSON
    pairs: list[tuple[Any, ...]]
    if path.exists():
        listed = read_json(path, error=DataError)
        if not isinstance(listed, dict | list):
            raise DataError(f"{path}: must hold one list of references for each query")
        pairs = list(listed.items() if isinstance(listed, dict) else enumerate(listed))
    elif (path := folder / _NPY).exists():
        pairs = [tuple(row) if isinstance(row, list) else () for row in read_list(path)]
        if any(len(pair) != 2 for pair in pairs):
            raise DataError(f"{path}: each row must be a query's number and a list of references")
    elif num_queries == num_database:
        frames = np.arange(num_queries, dtype=np.int64)
        note = f"No {_JSON} or {_NPY}: image k of ref shows the place of image k of query."
        return neighbours_within_frames(frames, frames, 0), (note,)
    else:
        counts = f"{num_queries} queries and {num_database} references"
        raise record.error(path, f"no such file, and {counts} cannot be paired one by one")
    rows: list[Any] = [np.zeros(0, np.int64)] * num_queries
    for query, references in pairs:
        number = int(query) if str(query).isdecimal() else -1
        if not 0 <= number < num_queries:
            raise DataError(f"{path}: names query {query!r} but there are {num_queries} queries")
        rows[number] = as_indices(path, references)
    return neighbours_from_rows(rows, num_database, path), ()
