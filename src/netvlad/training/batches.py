"""From mined tuples to one optimiser step: each image of a batch is described once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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
            places (:mod:`netvlad.training.places`) every pair of one place.
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
