"""The original's mining: for each query its candidates' descriptors are read from the HDF5 file.

The original then asks scikit-learn's ``NearestNeighbors``, fitted anew for every query, for the
nearest ones. In float32 that is slow: scikit-learn computes distances in float64, block by block.
``with_numpy`` is the same search without that, to tell what is due to the file alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from netvlad.training.mining import MinedQuery
from netvlad.types import Neighbours

Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]
Search = Callable[[NDArray[np.float32], NDArray[np.float32], int], Nearest]
"""From a point (D,), rows (N, D) and k to the k nearest rows: distances and numbers, ascending."""


def with_scikit_learn(point: NDArray[np.float32], rows: NDArray[np.float32], k: int) -> Nearest:
    """As the original does it."""
    fitted = NearestNeighbors(n_jobs=-1).fit(rows)
    distances, order = fitted.kneighbors(point[None], min(k, len(rows)))
    return distances[0], order[0]


def with_numpy(point: NDArray[np.float32], rows: NDArray[np.float32], k: int) -> Nearest:
    """One matrix product in float32."""
    squared = np.einsum("ij,ij->i", rows, rows) - 2 * (rows @ point) + point @ point
    order = np.argsort(squared, kind="stable")[:k]
    return np.sqrt(np.maximum(squared[order], 0)), order


@dataclass(frozen=True, eq=False)
class OriginalMiner:
    """What mining knows of a train split.

    Attributes:
        features: the open HDF5 dataset (N + Q, D), database first.
        num_database: N.
        positives: per query, database images within 10 m.
        negatives: per query, all database images beyond 25 m, as a list of its own.
        pool: random negatives looked at per query; 0 looks at all of them.
        count: negatives kept per query.
        margin: of the loss.
        search: finds the nearest of some rows.
    """

    features: h5py.Dataset
    num_database: int
    positives: Neighbours
    negatives: Sequence[NDArray[np.int64]]
    pool: int = 1000
    count: int = 10
    margin: float = 0.1
    search: Search = with_scikit_learn

    def mine(
        self, query: int, kept: NDArray[np.int64] | None, random: np.random.Generator
    ) -> MinedQuery | None:
        """The nearest positive and the hardest violating negatives; None where there are none."""
        possible = self.positives.row(query)
        if len(possible) == 0:
            return None
        point = self.features[self.num_database + query]
        (nearest,), (which,) = self.search(point, self.features[possible], 1)
        candidates = self._candidates(query, kept, random)
        away, order = self.search(point, self.features[candidates], self.count)
        hardest = candidates[order[away < nearest + self.margin**0.5]]
        if len(hardest) == 0:
            return None
        return MinedQuery(query, possible[which][None], hardest)

    def _candidates(
        self, query: int, kept: NDArray[np.int64] | None, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Sorted and distinct, as h5py wants its rows."""
        allowed = self.negatives[query]
        if self.pool == 0:
            return allowed
        drawn = random.choice(allowed, size=min(self.pool, len(allowed)), replace=False)
        if kept is not None:
            drawn = np.concatenate([drawn, kept])
        return np.unique(drawn)


def negative_lists(not_negatives: Neighbours, num_database: int) -> list[NDArray[np.int64]]:
    """For each query all database images that are far from it: Q lists of nearly N numbers."""
    everything = np.arange(num_database)
    return [
        np.setdiff1d(everything, not_negatives.row(query), assume_unique=True)
        for query in range(len(not_negatives))
    ]
