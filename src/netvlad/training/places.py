"""Batches of places: hard negatives stand for their place, with other views of it.

A mined negative is an image that is too near in descriptor space. With random other images of its
place beside it, it is an anchor as much as the query is, and a step learns to tell apart two places
rather than one query from one image. The idea of a batch as places with several images each is
that of Ali-bey et al., "GSV-Cities", Neurocomputing 2022, section 3; which places meet is mined
here, as in the NetVLAD paper.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from netvlad.training.batches import TupleBatch, distances
from netvlad.training.mining import MinedQuery
from netvlad.types import PlaceDataset


class Places:
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
