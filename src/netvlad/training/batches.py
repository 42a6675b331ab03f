"""What one optimiser step works on: mined tuples, or places that stand for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from netvlad.training.mining import MinedQuery
from netvlad.types import PlaceDataset


@dataclass(frozen=True, eq=False)
class TupleBatch:
    """What one step works on. Images are numbered database first, then queries.

    Attributes:
        images: (U,) distinct image numbers, ascending.
        triplets: (T, 3) rows of ``images``: query, positive, negative.
        positive_pairs: (U, U) bool, symmetric. Of mined tuples each query with its positives;
            other pairs of one place are left out, for they may look in different directions. Of
            places (:class:`PlaceViews`) every pair of one place.
        negative_pairs: (U, U) bool, pairs farther apart than the data set's radius; symmetric.
    """

    images: NDArray[np.int64]
    triplets: Tensor
    positive_pairs: Tensor
    negative_pairs: Tensor


def in_batches(tuples: Sequence[MinedQuery], size: int) -> Iterator[Sequence[MinedQuery]]:
    """``size`` tuples at a time, in the order given; the last may be fewer."""
    return (tuples[start : start + size] for start in range(0, len(tuples), size))


def assemble(tuples: Sequence[MinedQuery], dataset: PlaceDataset) -> TupleBatch:
    """One batch of mined tuples as they are."""
    num_database = len(dataset.database)
    triplets = [
        (num_database + t.query, positive, negative)
        for t in tuples
        for positive in t.positives.tolist()
        for negative in t.negatives.tolist()
    ]
    images, inverse = np.unique(np.array(triplets, dtype=np.int64), return_inverse=True)
    rows = torch.from_numpy(inverse.reshape(-1, 3))
    near = torch.zeros((len(images), len(images)), dtype=torch.bool)
    near[rows[:, 0], rows[:, 1]] = True
    far = torch.from_numpy(distances(images, dataset) > dataset.radius_m)
    return TupleBatch(images, rows, near | near.T, far)


def distances(images: NDArray[np.int64], dataset: PlaceDataset) -> NDArray[np.float64]:
    """Metres (U, U) between images, database first; NaN, neither near nor far, where unknown."""
    assert dataset.database.positions is not None
    assert dataset.queries.positions is not None
    num_database = len(dataset.database)
    in_database = images < num_database
    where = np.empty((len(images), 2))
    where[in_database] = dataset.database.positions[images[in_database]]
    where[~in_database] = dataset.queries.positions[images[~in_database] - num_database]
    apart: NDArray[np.float64] = np.linalg.norm(where[:, None] - where[None], axis=-1)
    return apart


class PlaceViews:
    """Draws further images of the places that mined tuples speak of."""

    def __init__(self, dataset: PlaceDataset, *, radius_m: float, views: int) -> None:
        """Index the positions of ``dataset``; memory grows with the number of images.

        Args:
            dataset: with positions on both sides.
            radius_m: how far apart two images of one place may be.
            views: how many images are drawn to stand by each.
        """
        self._dataset, self._radius_m, self._views = dataset, radius_m, views
        positions = dataset.database.joined(dataset.queries).positions
        assert positions is not None
        self._positions = positions
        self._known = np.flatnonzero(np.isfinite(positions).all(axis=1))
        self._tree = cKDTree(positions[self._known])

    def assemble(
        self,
        tuples: Sequence[MinedQuery],
        random: np.random.Generator,
        readable: NDArray[np.bool_],
    ) -> TupleBatch:
        """One batch; its triplets are each query with its views and its negatives.

        Args:
            tuples: queries with their negatives; their positives are not looked at.
            random: draws the views.
            readable: (N,) False for images that cannot be drawn, database first.
        """
        num_database = len(self._dataset.database)
        chosen: list[int] = []
        triplets: list[tuple[int, int, int]] = []
        for mined in tuples:
            query, negatives = num_database + mined.query, mined.negatives.tolist()
            views = self._draw(query, random, readable)
            triplets += [(query, view, negative) for view in views for negative in negatives]
            chosen += [query, *views, *negatives]
            for negative in negatives:
                chosen += self._draw(negative, random, readable)
        images = np.unique(np.array(chosen, dtype=np.int64))
        apart = distances(images, self._dataset)
        near = apart <= self._radius_m
        np.fill_diagonal(near, False)
        far = apart > self._dataset.radius_m
        rows = np.searchsorted(images, np.array(triplets, dtype=np.int64).reshape(-1, 3))
        return TupleBatch(images, *(torch.from_numpy(array) for array in (rows, near, far)))

    def _draw(
        self, image: int, random: np.random.Generator, readable: NDArray[np.bool_]
    ) -> list[int]:
        """At most ``views`` other images near ``image``, none of them twice."""
        position = self._positions[image]
        if not np.isfinite(position).all():
            return []
        near = self._known[
            self._tree.query_ball_point(position, self._radius_m, return_sorted=True)
        ]
        near = near[(near != image) & readable[near]]
        drawn = random.choice(near, size=min(self._views, len(near)), replace=False)
        return [int(view) for view in drawn]
