import numpy as np
import pytest

from netvlad.errors import ModelError
from netvlad.search import search_exact


def brute_force(queries, database, k):
    squared = ((queries[:, None].astype(np.float64) - database[None]) ** 2).sum(-1)
    order = np.argsort(squared, axis=1)[:, :k]
    return order, np.take_along_axis(squared, order, axis=1)


def test_equals_brute_force_whatever_the_blocks():
    random = np.random.default_rng(0)
    queries = random.normal(size=(37, 16)).astype(np.float32)
    database = random.normal(size=(211, 16)).astype(np.float32)
    indices, squared = brute_force(queries, database, 7)
    for block in (5, 64, 1000):
        matches = search_exact(queries, database, 7, database_block=block)
        np.testing.assert_array_equal(matches.indices, indices)
        np.testing.assert_allclose(matches.squared_distances, squared, rtol=1e-4)


def test_masked_rows_are_never_returned_and_masked_queries_get_nothing():
    random = np.random.default_rng(1)
    queries = random.normal(size=(4, 8)).astype(np.float32)
    database = random.normal(size=(10, 8)).astype(np.float32)
    usable = np.ones(10, dtype=bool)
    usable[[2, 5]] = False
    asked = np.array([True, False, True, True])
    matches = search_exact(queries, database, 10, query_mask=asked, database_mask=usable)
    assert set(matches.indices[0][:8]) == set(range(10)) - {2, 5}
    assert (matches.indices[0][8:] == -1).all()
    assert (matches.indices[1] == -1).all()
    assert np.isinf(matches.squared_distances[1]).all()


def test_a_small_database_leaves_the_rest_empty():
    matches = search_exact(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 20)
    np.testing.assert_array_equal(matches.indices[:, :2], [[0, 1], [1, 0]])
    assert (matches.indices[:, 2:] == -1).all()


def test_other_dimensions_are_refused():
    with pytest.raises(ModelError, match="one dimension"):
        search_exact(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32), 1)
