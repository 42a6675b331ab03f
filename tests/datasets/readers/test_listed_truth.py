from pathlib import Path

import numpy as np
import pytest

from netvlad.datasets.readers.listed_truth import (
    neighbours_from_rows,
    neighbours_of_one_place,
    neighbours_within_frames,
)
from netvlad.errors import DataError


def rows_of(neighbours):
    return [neighbours.row(i).tolist() for i in range(len(neighbours))]


def test_rows_are_sorted_and_without_repetitions():
    assert rows_of(neighbours_from_rows([[2, 0, 2], [], [1]], 3, Path("x"))) == [[0, 2], [], [1]]
    assert len(neighbours_from_rows([], 3, Path("x"))) == 0


def test_rows_that_name_no_database_image():
    for index in (3, -1):
        with pytest.raises(DataError, match=f"gt.npy: says that database image {index} .* query 2"):
            neighbours_from_rows([[0], [], [1, index]], 3, Path("gt.npy"))


def test_frames_against_every_pair():
    random = np.random.default_rng(0)
    queries, database = random.integers(0, 40, 30), random.integers(0, 40, 50)
    for tolerance in (0, 1, 7):
        near = np.abs(queries[:, None] - database[None]) <= tolerance
        expected = [np.flatnonzero(row).tolist() for row in near]
        assert rows_of(neighbours_within_frames(queries, database, tolerance)) == expected


def test_places_against_every_pair():
    random = np.random.default_rng(1)
    queries = random.integers(0, 9, 20).astype(str)
    database = random.integers(3, 12, 30).astype(str)
    expected = [np.flatnonzero(row).tolist() for row in queries[:, None] == database[None]]
    assert rows_of(neighbours_of_one_place(queries, database)) == expected
