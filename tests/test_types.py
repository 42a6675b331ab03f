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
