"""Rows of a stored matrix as float32, and their exact distances to queries."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.types import Matches

RESCORED_BYTES = 32 * 2**20
"""Of gathered rows held at once while distances are computed, as float32."""


def as_float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows in C order as float32, in memory."""
    # torch converts half precision many times faster than numpy does. A copy first: torch warns of
    # read-only arrays, and a mapped page is read only once this way.
    if rows.dtype == np.float16:
        converted: NDArray[np.float32] = torch.from_numpy(np.array(rows, order="C")).float().numpy()
        return converted
    return np.array(rows, dtype=np.float32, order="C")


def rescore(
    queries: NDArray[np.float32],
    matrix: NDArray[np.floating],
    candidates: NDArray[np.int64],
    k: int,
) -> Matches:
    """The ``k`` candidates with the smallest squared L2 distance to each query, best first.

    Distances are summed over squared differences, row by row in one order, so that they depend on
    the two vectors alone: copies of a row are equally far, and come in the order of their indices.
    A row that is not finite is never returned; a query that is not finite gets nothing.

    Args:
        queries: (Q, D).
        matrix: (N, D) float16 or float32, usually memory-mapped; only candidates are read.
        candidates: (Q, C) rows of the matrix, each at most once per query; -1 for none.
        k: how many to return; -1 and inf where there are fewer.
    """
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    distances = np.full((len(queries), k), np.inf, dtype=np.float32)
    width = candidates.shape[1]
    block = max(1, RESCORED_BYTES // (4 * max(width * matrix.shape[1], 1)))
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        squared = _squared_distances(queries[part], matrix, candidates[part])
        rows = np.where(np.isfinite(squared), candidates[part], -1)
        order = np.lexsort((rows, squared), axis=-1)[:, :k]
        kept = order.shape[1]
        indices[part, :kept] = np.take_along_axis(rows, order, axis=1)
        distances[part, :kept] = np.take_along_axis(squared, order, axis=1)
    return Matches(indices=indices, squared_distances=distances)


def _squared_distances(
    queries: NDArray[np.float32], matrix: NDArray[np.floating], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(B, C) float32; inf where there is no candidate or the distance is not finite."""
    squared = np.full(candidates.shape, np.inf, dtype=np.float32)
    # One query with very many candidates (copies of one row) is cut in pieces.
    piece = max(1, RESCORED_BYTES // (4 * max(len(queries) * matrix.shape[1], 1)))
    for start in range(0, candidates.shape[1], piece):
        columns = slice(start, start + piece)
        query, column = np.nonzero(candidates[:, columns] >= 0)
        differences = as_float32(matrix[candidates[query, start + column]])
        with np.errstate(invalid="ignore", over="ignore"):
            differences -= queries[query]
            found = np.square(differences, out=differences).sum(axis=1)
        squared[query, start + column] = np.where(np.isfinite(found), found, np.inf)
    return squared
