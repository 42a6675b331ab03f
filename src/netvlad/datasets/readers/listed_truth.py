"""Which database images are correct, where a list or a tolerance of frames says so."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netvlad.errors import DataError
from netvlad.types import Neighbours


def neighbours_from_rows(rows: Sequence[ArrayLike], num_database: int, path: Path) -> Neighbours:
    """Ground truth from Q lists of database indices, in any order, possibly repeated or empty.

    Raises:
        DataError: an index names no database image; the message names ``path``.
    """
    listed = [np.asarray(row, np.int64).ravel() for row in rows]
    lengths = np.array([len(row) for row in listed], np.int64)
    queries = np.repeat(np.arange(len(rows)), lengths)
    indices = np.concatenate([np.zeros(0, np.int64), *listed])
    wrong = np.flatnonzero((indices < 0) | (indices >= num_database))
    if len(wrong):
        said = f"database image {indices[wrong[0]]} is correct for query {queries[wrong[0]]}"
        told = f"says that {said}, but there are {num_database} database images"
        raise DataError(f"{path}: {told}; the lists do not belong together")
    return Neighbours.from_pairs(queries, indices, len(rows))


def neighbours_within_frames(
    queries: NDArray[np.int64], database: NDArray[np.int64], tolerance: int
) -> Neighbours:
    """Ground truth of two traverses of one route by their frame numbers, (Q,) and (N,).

    A database image at most ``tolerance`` frames away is correct.
    """
    order = np.argsort(database, kind="stable")
    ordered = database[order]
    first = np.searchsorted(ordered, queries - tolerance, side="left")
    counts = np.searchsorted(ordered, queries + tolerance, side="right") - first
    rows = np.repeat(np.arange(len(queries)), counts)
    steps = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Neighbours.from_pairs(rows, order[np.repeat(first, counts) + steps], len(queries))


def neighbours_of_one_place(
    queries: NDArray[np.generic], database: NDArray[np.generic]
) -> Neighbours:
    """Ground truth where images say which place they show: (Q,) and (N,) names or numbers."""
    _, places = np.unique(np.concatenate([queries, database]), return_inverse=True)
    wanted, given = places[: len(queries)], places[len(queries) :]
    return neighbours_within_frames(wanted.astype(np.int64), given.astype(np.int64), 0)
