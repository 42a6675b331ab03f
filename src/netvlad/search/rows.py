"""Rows of a stored matrix: as float32, their exact distances, and scanned for a few queries."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.storage import drop_pages
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


PIECE_BYTES = 2 * 2**20  # of rows converted at once: small enough for the processor's cache
SCORES_BYTES = 128 * 2**20  # of distances held at once
SLACK = 1e-5  # more than a float32 product of two vectors is rounded, as a share of their lengths


class Scanner:
    """Reads rows of one matrix for a few queries.

    :func:`netvlad.search.exact.search_exact` multiplies matrices, which pays for many queries; for
    one, a product with a vector reads each row once and is ten times faster. The squared lengths of
    rows are kept once they were computed, 4 bytes per row of the matrix.
    """

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        self.matrix = matrix
        self._norms: NDArray[np.float32] | None = None

    def candidates(
        self, queries: NDArray[np.float32], k: int, rows: slice | NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The rows that are among the ``k`` nearest to each query, with all that may be as near.

        Rounding may swap rows at almost equal distances, so a few more than ``k`` may come back:
        the caller computes their distances and takes the best.

        Args:
            queries: (Q, D).
            k: how many are wanted, at least 1.
            rows: those to look at: a slice with a step of 1, or ascending indices.

        Returns:
            (Q, C) rows in ascending order, -1 after them; C is at most the number of rows.
        """
        count = len(rows) if isinstance(rows, np.ndarray) else rows.stop - rows.start
        found: list[NDArray[np.int64]] = []
        group = max(1, SCORES_BYTES // (4 * max(count, 1)))
        for start in range(0, len(queries), group):
            some = queries[start : start + group]
            for query, scores in zip(some, self._scores(some, rows, count), strict=True):
                chosen = _within_reach(scores, float(query @ query), k)
                found.append(
                    rows[chosen] if isinstance(rows, np.ndarray) else chosen + int(rows.start)
                )
        width = max((len(chosen) for chosen in found), default=0)
        padded = np.full((len(queries), width), -1, dtype=np.int64)
        for line, chosen in zip(padded, found, strict=True):
            line[: len(chosen)] = chosen
        return padded

    def _scores(
        self, queries: NDArray[np.float32], rows: slice | NDArray[np.int64], count: int
    ) -> NDArray[np.float32]:
        """(Q, count) ‖d‖² − 2 q·d, without ‖q‖²; inf for rows that are not finite."""
        scores = np.empty((len(queries), count), dtype=np.float32)
        piece = max(1, min(count, PIECE_BYTES // (4 * max(self.matrix.shape[1], 1))))
        stored = np.empty((piece, self.matrix.shape[1]), dtype=self.matrix.dtype)
        room = torch.empty(stored.shape)
        vectors = [torch.from_numpy(query) for query in queries]
        for start in range(0, count, piece):
            part = slice(start, min(start + piece, count))
            at: slice | NDArray[np.int64]
            if isinstance(rows, np.ndarray):
                at = rows[part]
            else:
                at = slice(rows.start + part.start, rows.start + part.stop)
            block = self._block(at, stored[: part.stop - start], room)
            norms = self._squared_lengths(block, at)
            for line, vector in zip(scores, vectors, strict=True):
                products = torch.mv(block, vector).numpy()
                with np.errstate(invalid="ignore"):
                    line[part] = norms - 2.0 * products
        scores[~np.isfinite(scores)] = np.inf
        return scores

    def _block(
        self, at: slice | NDArray[np.int64], stored: NDArray[np.floating], room: torch.Tensor
    ) -> torch.Tensor:
        """The rows ``at`` as float32, by way of ``stored`` (P, D) and ``room`` where need be."""
        if isinstance(at, np.ndarray):
            # The default mode would go through a buffer.
            np.take(self.matrix, at, axis=0, out=stored, mode="clip")
        elif self.matrix.dtype == np.float32 and not isinstance(self.matrix, np.memmap):
            return torch.from_numpy(self.matrix[at])
        else:
            np.copyto(stored, self.matrix[at])
        drop_pages(self.matrix)
        if stored.dtype == np.float32:
            return torch.from_numpy(stored)
        # torch converts half precision many times faster than numpy does.
        return room[: len(stored)].copy_(torch.from_numpy(stored))

    def _squared_lengths(
        self, block: torch.Tensor, at: slice | NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(P,) of the rows ``at``, which ``block`` holds; inf where not finite."""
        if self._norms is None:
            # NaN: not computed yet.
            self._norms = np.full(len(self.matrix), np.nan, dtype=np.float32)
        norms = self._norms[at]
        if np.isnan(norms).any():
            computed = torch.linalg.vector_norm(block, dim=1).square_().numpy()
            norms = np.where(np.isfinite(computed), computed, np.float32(np.inf))
            self._norms[at] = norms
        return norms


def _within_reach(scores: NDArray[np.float32], length: float, k: int) -> NDArray[np.int64]:
    """Where a score is among the ``k`` smallest, or too near to them to tell."""
    if not np.isfinite(length):
        return np.empty(0, dtype=np.int64)
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    limit = float(np.partition(scores, k - 1)[k - 1])
    # A row is no longer than the query and their distance together: ‖d‖² ≤ 2 (‖q‖² + ‖q − d‖²).
    squared = max(limit + length, 0.0)
    reach = limit + SLACK * (length + squared) if np.isfinite(limit) else np.inf
    return np.flatnonzero((scores <= reach) & np.isfinite(scores))
