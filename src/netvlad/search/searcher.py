"""Search in a stored matrix: approximate where that pays, and exact in what it answers."""

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import ModelError, SettingsError
from netvlad.search.approximate import Structure, widened
from netvlad.search.exact import search_exact
from netvlad.search.rows import Scanner, as_float32, rescore
from netvlad.types import Matches

FEW_QUERIES = 8  # up to here a product with each is faster than the product of matrices
# Where a filter leaves at most so many rows, or this share of them, they are searched exactly: a
# graph would have to visit fifty times as many rows as without a filter.
FEW_ROWS, FEW_ROWS_SHARE = 20_000, 0.02
FEW_NEIGHBOURS = 100  # may be asked of a structure of any size; more up to FEW_ROWS_SHARE of it
COPIED_BYTES = 256 * 2**20  # a matrix of at most so many as float32 is copied for exact search
GATHERED_BYTES = 256 * 2**20  # of filtered rows held at once; where there are more it streams


class Searcher:
    """Finds the nearest rows of a matrix, of which some are removed and some are new.

    Candidates come from the structure for the rows that it covers and from an exact search for
    those that were appended since, and all are compared by their exact distances. Without a
    structure, or where a filter leaves few rows, everything is exact.

    Attributes:
        matrix: (R, D) descriptors.
        alive: (R,) False for removed rows.
        structure: over the first rows of the matrix, or None.
    """

    def __init__(
        self,
        matrix: NDArray[np.floating],
        alive: NDArray[np.bool_] | NDArray[np.int64] | None = None,
        structure: Structure | None = None,
    ) -> None:
        """Search in a matrix, L2-normalised float16 or float32, usually memory-mapped.

        ``alive`` may be the rows that are not removed, too; None is all.

        Raises:
            SettingsError: ``alive`` or the structure does not belong to such a matrix.
        """
        self.matrix = matrix
        self.alive = _mask(alive, len(matrix))
        self.structure = structure
        if structure is not None and (
            structure.rows > len(matrix) or structure.dimension != matrix.shape[1]
        ):
            raise SettingsError(
                f"the search structure covers {structure.rows} rows of {structure.dimension} "
                f"dimensions, but the matrix is {matrix.shape[0]} × {matrix.shape[1]}; rebuild it"
            )
        self._scanner: Scanner | None = None
        self._copy: NDArray[np.floating] | None = None

    def search(
        self, queries: NDArray[np.floating], k: int, *, allowed: NDArray[np.bool_] | None = None
    ) -> Matches:
        """The ``k`` nearest rows of each query, best first.

        Of rows at equal distance the lower one comes first. Distances are the exact ones also where
        the candidates were approximate. A row that is not finite is never returned; a query that is
        not finite gets nothing.

        Args:
            queries: (Q, D), L2-normalised.
            k: how many; beyond the number of rows that may be returned stand -1 and inf.
            allowed: (R,) False for rows that must not be returned to these queries; None is all.

        Raises:
            ModelError: queries of another dimension.
            SettingsError: ``allowed`` of another length.
        """
        if queries.ndim != 2 or queries.shape[1] != self.matrix.shape[1]:
            raise ModelError(
                f"queries of shape {queries.shape} cannot be searched in a matrix of shape "
                f"{self.matrix.shape}: describe them by the index's own model"
            )
        asked = as_float32(queries)
        usable = self.alive if allowed is None else self.alive & _mask(allowed, len(self.matrix))
        if k < 1 or len(asked) == 0:
            return rescore(asked, self.matrix, np.empty((len(asked), 0), np.int64), max(k, 0))
        parts, tail = [], 0
        if self.structure is not None and self._pays(self.structure, usable, k):
            tail = self.structure.rows
            parts.append(self._near(self.structure, asked, k, usable[:tail]))
        parts.append(self._exact(asked, k, usable, tail))
        return rescore(asked, self._rows(), np.concatenate(parts, axis=1), k)

    def _pays(self, structure: Structure, usable: NDArray[np.bool_], k: int) -> bool:
        """Whether the structure is worth asking, and not slower than an exact search."""
        left = int(np.count_nonzero(usable[: structure.rows]))
        few = max(FEW_ROWS, FEW_ROWS_SHARE * structure.rows)
        # Without a filter small structures are asked too: their owner chose to have them.
        filtered = left < np.count_nonzero(self.alive[: structure.rows])
        if filtered and left <= few:
            return False
        return 2 * k <= left and k <= max(FEW_NEIGHBOURS, FEW_ROWS_SHARE * left)

    def _near(
        self, structure: Structure, queries: NDArray[np.float32], k: int, usable: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """(Q, C) candidates among the rows of the structure."""
        count = max(structure.rescored, k + k // 2)
        found = structure.candidates(queries, count, None if usable.all() else usable)
        short = np.flatnonzero(found[:, k - 1] < 0)
        if len(short):
            # What is near such a query is not allowed, or the lists that were visited are short.
            within = np.zeros(len(self.matrix), dtype=np.bool_)
            within[: len(usable)] = usable
            exact = self._exact(queries[short], k, within, 0)
            width = max(found.shape[1], exact.shape[1])
            found = widened(found, width)
            found[short] = widened(exact, width)
        return found

    def _exact(
        self, queries: NDArray[np.float32], k: int, usable: NDArray[np.bool_], start: int
    ) -> NDArray[np.int64]:
        """(Q, C) the k nearest usable rows from ``start`` on, and perhaps some as near."""
        count = int(np.count_nonzero(usable[start:]))
        if count == 0:
            return np.empty((len(queries), 0), dtype=np.int64)
        everything = count == len(usable) - start
        if len(queries) <= FEW_QUERIES:
            rows = slice(start, len(usable)) if everything else _chosen(usable, start)
            return self._scan().candidates(queries, k, rows)
        matrix = self._rows()
        if count * matrix.shape[1] * matrix.itemsize <= GATHERED_BYTES and not everything:
            chosen = _chosen(usable, start)
            found = search_exact(queries, matrix[chosen], min(k, count)).indices
            return np.where(found < 0, -1, chosen[found])
        rest, mask = matrix[start:], usable[start:]
        found = search_exact(queries, rest, min(k, count), database_mask=mask).indices
        return np.where(found < 0, -1, found + start)

    def _scan(self) -> Scanner:
        if self._scanner is None:
            self._scanner = Scanner(self._rows())
        return self._scanner

    def _rows(self) -> NDArray[np.floating]:
        """The matrix, or a float32 copy in memory where it is small and searched exactly.

        A vector product with float32 rows in memory takes about half the time of one with float16
        rows, which are converted each time.
        """
        if self._copy is None:
            small = 4 * self.matrix.size <= COPIED_BYTES and self.structure is None
            there = self.matrix.dtype == np.float32 and not isinstance(self.matrix, np.memmap)
            self._copy = as_float32(self.matrix) if small and not there else self.matrix
        return self._copy


def _chosen(usable: NDArray[np.bool_], start: int) -> NDArray[np.int64]:
    return start + np.flatnonzero(usable[start:])


def _mask(rows: NDArray[np.bool_] | NDArray[np.int64] | None, count: int) -> NDArray[np.bool_]:
    """(count,) which rows are meant."""
    if rows is None:
        return np.ones(count, dtype=np.bool_)
    if rows.dtype == np.bool_:
        if rows.shape != (count,):
            raise SettingsError(f"a mask of shape {rows.shape} for a matrix of {count} rows")
        return rows.astype(np.bool_, copy=False)
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise SettingsError(f"rows {rows.min()} to {rows.max()} of a matrix of {count} rows")
    mask = np.zeros(count, dtype=np.bool_)
    mask[rows] = True
    return mask
