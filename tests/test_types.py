from pathlib import Path

import numpy as np
import pytest

from netvlad.errors import DataError
from netvlad.evaluation import positives_of
from netvlad.types import ImageSet, Neighbours, PlaceDataset


def test_labels_follow_their_images() -> None:
    first = ImageSet(Path("a"), ("1", "2"), labels={"city": np.array(["sf", "cph"])})
    second = ImageSet(Path("a"), ("3",), labels={"condition": np.array(["night"])})
    both = first.joined(second).subset([2, 0])
    assert both.names == ("3", "1")
    assert both.labels["city"].tolist() == ["", "sf"]
    assert both.labels["condition"].tolist() == ["night", ""]
    with pytest.raises(DataError, match=r"city of shape \(1,\)"):
        ImageSet(Path(), ("1", "2"), labels={"city": np.array(["sf"])})


def test_a_list_of_positives_wins_over_the_radius() -> None:
    near = ImageSet(Path(), ("a", "b"), np.zeros((2, 2)))
    listed = Neighbours(np.array([0, 1, 1]), np.array([1]))
    dataset = PlaceDataset("x", "test", near, near, positives=listed)
    assert [positives_of(dataset).row(i).tolist() for i in range(2)] == [[1], []]
    by_radius = PlaceDataset("x", "test", near, near)
    assert [positives_of(by_radius).row(i).tolist() for i in range(2)] == [[0, 1], [0, 1]]
    with pytest.raises(DataError, match="positives of 2 queries, but 1 queries"):
        positives_of(PlaceDataset("x", "test", near, near.subset([0]), positives=listed))


def test_neighbours_are_pairs_sorted_and_counted_once() -> None:
    rng = np.random.default_rng(0)
    queries, database = rng.integers(0, 9, 60), rng.integers(0, 12, 60)
    near = Neighbours.from_pairs(queries, database, 11)
    slow = [
        sorted({d for q, d in zip(queries.tolist(), database.tolist(), strict=True) if q == row})
        for row in range(11)
    ]
    assert [near.row(i).tolist() for i in range(11)] == slow
    assert near.offsets.dtype == near.indices.dtype == np.int64
    again = Neighbours.from_pairs(*near.pairs(), len(near))
    assert np.array_equal(again.offsets, near.offsets)
    assert np.array_equal(again.indices, near.indices)
    for chosen in (np.array([8, 10, 0, 8]), np.arange(11) % 3 == 0, np.array([], np.int64)):
        rows = near.subset(chosen)
        wanted = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        assert [rows.row(i).tolist() for i in range(len(rows))] == [slow[i] for i in wanted]
    none = Neighbours.from_pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), 2)
    assert none.counts().tolist() == [0, 0]
