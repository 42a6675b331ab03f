"""Exact search for one query or a few: matrix-vector products over the wanted rows."""

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.storage import drop_pages

PIECE_BYTES = 2 * 2**20
"""Of rows converted at once: small enough to stay in the processor's cache."""

SCORES_BYTES = 128 * 2**20
"""Of distances held at once."""

SLACK = 1e-5
"""More than the rounding of a float32 product of two vectors, as a share of their lengths."""


class Scanner:
    """Walks over rows of one matrix for a few queries.

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
            rows: the rows to look at: a slice with a step of 1, or ascending indices.

        Returns:
            (Q, C) rows in ascending order, -1 behind them; C is at most the number of rows.
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
