"""Two folders ``query`` and ``ref`` with a list of what is correct: the layout of VPR-Bench.

Source: Zaffar et al., VPR-Bench, IJCV 2021, whose ``ground_truth_new.npy`` holds one row
``[query, [references]]`` for each query.
"""

from pathlib import Path
from typing import Any

import numpy as np

from netvlad.datasets.readers.listed_truth import neighbours_from_rows, neighbours_within_frames
from netvlad.datasets.readers.names import frames_in
from netvlad.datasets.readers.npy_lists import as_indices, read_list
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.storage import read_json
from netvlad.types import ImageSet, Neighbours, PlaceDataset

LAYOUT = (
    "query/, ref/ and ground_truth_new.npy or gt.json (query number -> reference numbers), in the "
    "folder or in <split>/"
)

_JSON, _NPY = "gt.json", "ground_truth_new.npy"


def read_paired_folders(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open a test set in the layout of VPR-Bench.

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
