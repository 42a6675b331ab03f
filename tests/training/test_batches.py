from pathlib import Path

import numpy as np
import pytest

from netvlad.training.batches import PlaceViews, assemble, in_batches
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
    batches = [assemble(part, DATASET) for part in in_batches(TUPLES, 1)]
    assert [len(np.unique(batch.triplets[:, 0])) for batch in batches] == [1, 1]
    assert len(list(in_batches(TUPLES, 3))) == 1


# Images 0 to 6 are the database, 7 to 9 the queries.
PLACES = PlaceDataset("x", "train", images([0, 5, 20, 100, 105, 200, np.nan]), images([1, 101, 30]))
MINED_OF_PLACES = (
    MinedQuery(0, np.array([0]), np.array([3, 5])),
    MinedQuery(1, np.array([3]), np.array([0])),
)
READABLE = np.ones(10, dtype=bool)
WHERE = np.array([0, 5, 20, 100, 105, 200, np.nan, 1, 101, 30])


def assembled(views=2, tuples=MINED_OF_PLACES, readable=READABLE, seed=0, radius_m=10.0):
    places = PlaceViews(PLACES, radius_m=radius_m, views=views)
    return places.assemble(tuples, np.random.default_rng(seed), readable)


def test_negatives_bring_views_of_their_place():
    batch = assembled(views=9)
    # Around the query at 1: 0, 5. Around 100: 105 and the query at 101. Nothing is near 200.
    assert batch.images.tolist() == [0, 1, 3, 4, 5, 7, 8]


@pytest.mark.parametrize("seed", range(20))
def test_views_are_other_images_within_the_radius(seed):
    batch = assembled(views=1, tuples=MINED_OF_PLACES[1:], seed=seed)
    chosen = set(batch.images.tolist())
    assert {8, 0} < chosen
    (first,) = chosen & {3, 4}
    (second,) = chosen & {1, 7}
    assert chosen == {8, 0, first, second}


def test_all_views_are_drawn_sooner_or_later():
    drawn = {image for seed in range(20) for image in assembled(views=1, seed=seed).images.tolist()}
    assert drawn == {0, 1, 3, 4, 5, 7, 8}


def test_pairs_are_by_distance():
    batch = assembled(views=9, tuples=(MinedQuery(0, np.array([0]), np.array([2, 3])),))
    where = WHERE[batch.images]
    apart = np.abs(where[:, None] - where)
    near = (apart <= 10) & ~np.eye(len(where), dtype=bool)
    np.testing.assert_array_equal(batch.positive_pairs.numpy(), near)
    np.testing.assert_array_equal(batch.negative_pairs.numpy(), apart > 25)
    assert ((apart > 10) & (apart <= 25)).any()  # some are neither


def test_triplets_are_query_view_negative():
    batch = assembled(views=9)
    named = batch.images[batch.triplets.numpy()].tolist()
    assert sorted(named) == sorted(
        [[7, 0, 3], [7, 1, 3], [7, 0, 5], [7, 1, 5], [8, 3, 0], [8, 4, 0]]
    )


def test_what_cannot_be_read_is_not_drawn():
    readable = READABLE.copy()
    readable[[1, 4]] = False
    assert assembled(views=9, readable=readable).images.tolist() == [0, 3, 5, 7, 8]


def test_a_negative_without_a_position_stands_alone():
    batch = assembled(tuples=(MinedQuery(0, np.array([0]), np.array([6])),), views=9)
    row = batch.images.tolist().index(6)
    assert batch.images.tolist() == [0, 1, 6, 7]
    assert not batch.negative_pairs[row].any() and not batch.positive_pairs[row].any()


def test_the_same_random_numbers_draw_the_same_batches():
    places = PlaceViews(PLACES, radius_m=10, views=1)

    def chosen(seed):
        random = np.random.default_rng(seed)
        return [
            places.assemble(part, random, READABLE).images.tolist()
            for part in in_batches(MINED_OF_PLACES, 1)
        ]

    assert len(chosen(0)) == 2
    assert chosen(0) == chosen(0)
    assert len({str(chosen(seed)) for seed in range(10)}) > 1
