from pathlib import Path

import numpy as np

from netvlad.training.batches import assemble, tuple_batches
from netvlad.training.mining import MinedQuery
from netvlad.types import ImageSet, PlaceDataset


def images(eastings):
    positions = np.array([[e, 0.0] for e in eastings])
    return ImageSet(Path(), tuple(f"{e}.jpg" for e in eastings), positions)


DATASET = PlaceDataset("x", "train", images([0, 5, 100, 120, 200]), images([1, 101, np.nan]))
TUPLES = (
    MinedQuery(0, np.array([1, 0]), np.array([2, 4])),
    MinedQuery(1, np.array([2]), np.array([4, 0, 1])),
)


def test_every_image_stands_once_and_triplets_name_it():
    batch = assemble(TUPLES, DATASET)
    # Database 0, 1, 2, 4, then queries 0 and 1, which are images 5 and 6.
    assert batch.images.tolist() == [0, 1, 2, 4, 5, 6]
    named = batch.images[batch.triplets.numpy()]
    assert named.tolist() == [
        [5, 1, 2],
        [5, 1, 4],
        [5, 0, 2],
        [5, 0, 4],
        [6, 2, 4],
        [6, 2, 0],
        [6, 2, 1],
    ]


def test_pairs_are_symmetric_and_by_distance():
    batch = assemble(TUPLES, DATASET)
    positive = {tuple(batch.images[[i, j]]) for i, j in batch.positive_pairs.nonzero().tolist()}
    assert positive == {(5, 1), (1, 5), (5, 0), (0, 5), (6, 2), (2, 6)}
    where = np.array([0, 5, 100, 200, 1, 101])
    far = np.abs(where[:, None] - where) > 25
    np.testing.assert_array_equal(batch.negative_pairs.numpy(), far)


def test_an_unknown_position_is_never_far():
    batch = assemble((MinedQuery(2, np.array([0]), np.array([4])),), DATASET)
    row = batch.images.tolist().index(7)
    assert not batch.negative_pairs[row].any()


def test_the_last_batch_may_be_smaller():
    sizes = [len(np.unique(b.triplets[:, 0])) for b in tuple_batches(TUPLES * 1, DATASET, 1)]
    assert sizes == [1, 1]
    assert len(list(tuple_batches(TUPLES, DATASET, 3))) == 1
