"""Two folders ``query`` and ``ref`` with a list of what is correct: the layout of VPR-Bench.

Source: Zaffar et al., VPR-Bench, IJCV 2021, whose ``ground_truth_new.npy`` holds one row
``[query, [references]]`` for each query.
"""

from pathlib import Path
from typing import Any

import numpy as np

from netvlad.datasets.readers.frame_folders import frames_in
from netvlad.datasets.readers.listed_truth import neighbours_from_rows, neighbours_within_frames
from netvlad.datasets.readers.npy_lists import as_indices, read_list
from netvlad.datasets.readers.npy_truth import refuse_zone
from netvlad.datasets.readers.published import note_on_counts
from netvlad.errors import DataError
from netvlad.storage import read_json
from netvlad.types import ImageSet, Neighbours, PlaceDataset

LAYOUT = (
    "query/, ref/ and ground_truth_new.npy or gt.json (query number -> reference numbers), in the "
    "folder or in <split>/"
)

PUBLISHED_CORRIDOR = {"test": (111, 111)}

_JSON, _NPY = "gt.json", "ground_truth_new.npy"


def read_paired_folders(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open a test set in the layout of VPR-Bench.

    Images are numbered in the order of the numbers in their names, from 0. Without a list of what
    is correct, reference k shows the place of query k. Positions are unknown.

    Args:
        root: the folder that holds ``query/`` and ``ref/``, or a folder ``<split>`` with them.
        split: the split's name.
        utm_zone: None; there are no positions.

    Raises:
        DataError: a folder is missing or empty, or the list does not belong to the images.
        SettingsError: ``utm_zone`` is given.
    """
    return _read(root, split, "vpr-bench", utm_zone)


def read_corridor(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open Corridor, two walks down one (Milford 2013); see :func:`read_paired_folders`."""
    return _read(root, split, "corridor", utm_zone)


def _read(root: Path, split: str, name: str, utm_zone: str | None) -> PlaceDataset:
    refuse_zone(name, utm_zone)
    prefix = f"{split}/" if (root / split / "query").is_dir() else ""
    queries = frames_in(root, f"{prefix}query", LAYOUT)
    database = frames_in(root, f"{prefix}ref", LAYOUT)
    positives, notes = _truth(root / prefix, len(queries), len(database))
    published = PUBLISHED_CORRIDOR if name == "corridor" else {}
    return PlaceDataset(
        name=name,
        split=split,
        database=ImageSet(root, database, times=np.arange(len(database), dtype=np.float64)),
        queries=ImageSet(root, queries, times=np.arange(len(queries), dtype=np.float64)),
        positives=positives,
        notes=(*notes, *note_on_counts(name, split, (len(database), len(queries)), published)),
    )


def _truth(folder: Path, num_queries: int, num_database: int) -> tuple[Neighbours, tuple[str, ...]]:
    path = folder / _JSON
    if path.exists():
        listed = read_json(path, error=DataError)
        if not isinstance(listed, dict | list):
            raise DataError(f"{path}: must hold one list of references for each query")
        pairs = list(listed.items() if isinstance(listed, dict) else enumerate(listed))
    elif (path := folder / _NPY).exists():
        pairs = _numbered(path, read_list(path))
    elif num_queries == num_database:
        frames = np.arange(num_queries, dtype=np.int64)
        note = f"No {_JSON} or {_NPY}: image k of ref shows the place of image k of query."
        return neighbours_within_frames(frames, frames, 0), (note,)
    else:
        raise DataError(
            f"{path}: no such file, and {num_queries} queries and {num_database} references "
            f"cannot be paired one by one; expected {LAYOUT}"
        )
    rows: list[Any] = [np.zeros(0, np.int64)] * num_queries
    for query, references in pairs:
        number = int(query) if str(query).isdecimal() else -1
        if not 0 <= number < num_queries:
            raise DataError(f"{path}: names query {query!r} but there are {num_queries} queries")
        rows[number] = as_indices(path, references)
    return neighbours_from_rows(rows, num_database, path), ()


def _numbered(path: Path, listed: list[Any]) -> list[tuple[Any, Any]]:
    pairs = [tuple(row) if isinstance(row, list) else () for row in listed]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{path}: each row must be a query's number and a list of references")
    return [(query, references) for query, references in pairs]
