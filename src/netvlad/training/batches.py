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
            places (:mod:`netvlad.training.batches`) every pair of one place.
        negative_pairs: (U, U) bool, pairs farther apart than the data set's radius; symmetric.
    """

    images: NDArray[np.int64]
    triplets: Tensor
    positive_pairs: Tensor
    negative_pairs: Tensor


def tuple_batches(
    tuples: Sequence[MinedQuery], dataset: PlaceDataset, batch_size: int
) -> Iterator[TupleBatch]:
    """Batches of ``batch_size`` queries, in the order given; the last may be smaller."""
    for start in range(0, len(tuples), batch_size):
        yield assemble(tuples[start : start + batch_size], dataset)


def assemble(tuples: Sequence[MinedQuery], dataset: PlaceDataset) -> TupleBatch:
    """One batch; see :class:`TupleBatch`."""
    num_database = len(dataset.database)
    pairs = [
        (num_database + t.query, positive) for t in tuples for positive in t.positives.tolist()
    ]
    triplets = [
        (num_database + t.query, positive, negative)
        for t in tuples
        for positive in t.positives.tolist()
        for negative in t.negatives.tolist()
    ]
    images, rows = np.unique(np.array(triplets, dtype=np.int64), return_inverse=True)
    rows = rows.reshape(-1, 3)
    query_rows, positive_rows = np.searchsorted(images, np.array(pairs, dtype=np.int64)).T
    positive_pairs = np.zeros((len(images), len(images)), dtype=np.bool_)
    positive_pairs[query_rows, positive_rows] = True
    positive_pairs |= positive_pairs.T
    far = distances(images, dataset) > dataset.radius_m
    return TupleBatch(
        images=images,
        triplets=torch.from_numpy(rows),
        positive_pairs=torch.from_numpy(positive_pairs),
        negative_pairs=torch.from_numpy(far),
    )


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

    def batches(
        self,
        tuples: Sequence[MinedQuery],
        batch_size: int,
        random: np.random.Generator,
        readable: NDArray[np.bool_],
    ) -> Iterator[TupleBatch]:
        """Batches of ``batch_size`` tuples, in the order given; the last may be smaller.

        Args:
            tuples: queries with their negatives; their positives are not looked at.
            batch_size: queries per batch.
            random: draws the views.
            readable: (N,) False for images that cannot be drawn, database first.
        """
        for start in range(0, len(tuples), batch_size):
            yield self.assemble(tuples[start : start + batch_size], random, readable)

    def assemble(
        self,
        tuples: Sequence[MinedQuery],
        random: np.random.Generator,
        readable: NDArray[np.bool_],
    ) -> TupleBatch:
        """One batch; its triplets are each query with its views and its negatives."""
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
        rows = np.searchsorted(images, np.array(triplets, dtype=np.int64).reshape(-1, 3))
        return TupleBatch(
            images=images,
            triplets=torch.from_numpy(rows),
            positive_pairs=torch.from_numpy(near),
            negative_pairs=torch.from_numpy(apart > self._dataset.radius_m),
        )

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
        views: list[int] = random.choice(
            near, size=min(self._views, len(near)), replace=False
        ).tolist()
        return views
