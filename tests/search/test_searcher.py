import numpy as np
import pytest

from netvlad.errors import ModelError, SettingsError
from netvlad.search import searcher as module
from netvlad.search.approximate import build_structure
from netvlad.search.searcher import Searcher

COVERED = 15_000
"""Rows in the structure; the others were appended since."""


@pytest.fixture
def alive():
    return np.random.default_rng(11).random(20_000) < 0.9


def assert_equal(matches, truth):
    np.testing.assert_array_equal(matches.indices, truth[0])
    np.testing.assert_allclose(matches.squared_distances, truth[1], rtol=1e-4, atol=1e-6)
    assert matches.indices.dtype == np.int64
    assert matches.squared_distances.dtype == np.float32


@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_without_a_structure_it_is_brute_force(
    monkeypatch, stored, views, brute_force, alive, count, copied, dtype
):
    monkeypatch.setattr(module, "COPIED_BYTES", 2**30 if copied else 0)
    matrix = stored if dtype == np.float16 else np.asarray(stored, np.float32)
    queries = views(count, 1)
    assert_equal(Searcher(matrix).search(queries, 20), brute_force(queries, matrix, 20))
    searcher = Searcher(matrix, alive)
    assert_equal(searcher.search(queries, 20), brute_force(queries, matrix, 20, alive))
    for share in (0.5, 0.01):
        allowed = np.random.default_rng(2).random(len(matrix)) < share
        assert_equal(
            searcher.search(queries, 20, allowed=allowed),
            brute_force(queries, matrix, 20, alive & allowed),
        )


def test_a_filter_over_more_than_can_be_gathered_streams(
    monkeypatch, stored, views, brute_force, alive
):
    monkeypatch.setattr(module, "GATHERED_BYTES", 1000)
    queries = views(20, 3)
    assert_equal(Searcher(stored, alive).search(queries, 9), brute_force(queries, stored, 9, alive))


def test_alive_may_be_row_numbers(stored, views, brute_force):
    rows = np.array([4, 17, 9000, 19_999])
    mask = np.isin(np.arange(len(stored)), rows)
    queries = views(3, 4)
    assert_equal(Searcher(stored, rows).search(queries, 6), brute_force(queries, stored, 6, mask))


def test_the_structure_finds_what_exact_search_finds(
    structure, stored, views, brute_force, recall, alive
):
    queries = views(100, 5)
    true, distances = brute_force(queries, stored, 20, alive)
    searcher = Searcher(stored, alive, structure)
    matches = searcher.search(queries, 20)
    assert recall(matches.indices, true) >= 0.99
    assert alive[matches.indices].all()
    assert (matches.indices >= COVERED).any()
    # Distances are the exact ones, wherever the candidate came from.
    found = matches.indices == true
    np.testing.assert_allclose(matches.squared_distances[found], distances[found], rtol=1e-4)
    assert (np.diff(matches.squared_distances, axis=1) >= 0).all()
    for i in range(5):
        one = searcher.search(queries[i : i + 1], 20)
        np.testing.assert_array_equal(one.indices[0], matches.indices[i])
        np.testing.assert_array_equal(one.squared_distances[0], matches.squared_distances[i])


def test_appended_rows_are_always_found(structure, stored, brute_force):
    queries = np.asarray(stored[COVERED : COVERED + 30], np.float32)
    matches = Searcher(stored, None, structure).search(queries, 1)
    np.testing.assert_array_equal(matches.indices, brute_force(queries, stored, 1)[0])


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_filters_keep_their_recall_in_the_structure(
    monkeypatch, structure, stored, views, brute_force, recall, clustered, share
):
    monkeypatch.setattr(module, "FEW_ROWS", 100)
    monkeypatch.setattr(type(structure), "candidates", _counted(type(structure).candidates))
    random = np.random.default_rng(6)
    # A clustered filter leaves one side of the world: half of the queries stand on the other.
    side = np.asarray(stored, np.float32) @ random.normal(size=64).astype(np.float32)
    chance = side if clustered else random.random(len(stored))
    allowed = chance < np.quantile(chance, share)
    queries = views(60, 7)
    true, _ = brute_force(queries, stored, 20, allowed)
    _counted.calls = 0
    matches = Searcher(stored, None, structure).search(queries, 20, allowed=allowed)
    assert _counted.calls == 1
    assert allowed[matches.indices].all()
    assert recall(matches.indices, true) >= 0.99


def _counted(method):
    def counting(*arguments):
        _counted.calls += 1
        return method(*arguments)

    return counting


def test_few_allowed_rows_are_searched_exactly(structure, stored, views, brute_force, alive):
    searcher = Searcher(stored, alive, structure.with_effort(1, 20))
    queries = views(50, 8)
    for share in (0.5, 0.001):
        allowed = np.random.default_rng(9).random(len(stored)) < share
        truth = brute_force(queries, stored, 20, alive & allowed)
        assert_equal(searcher.search(queries, 20, allowed=allowed), truth)


@pytest.mark.parametrize("with_structure", [False, True])
def test_where_k_is_more_than_there_is_the_rest_is_empty(
    structure, stored, views, brute_force, with_structure
):
    searcher = Searcher(stored, None, structure if with_structure else None)
    allowed = np.isin(np.arange(len(stored)), [3, 14_000, 16_000])
    for count in (2, 30):
        queries = views(count, 10)
        matches = searcher.search(queries, 7, allowed=allowed)
        assert_equal(matches, brute_force(queries, stored, 7, allowed))
        assert (matches.indices[:, 3:] == -1).all()
        assert np.isinf(matches.squared_distances[:, 3:]).all()
        nothing = searcher.search(queries, 7, allowed=np.zeros(len(stored), bool))
        assert (nothing.indices == -1).all()
        assert np.isinf(nothing.squared_distances).all()


def test_very_many_neighbours_are_exact(structure, stored, views, brute_force):
    queries = views(2, 12)
    matches = Searcher(stored, None, structure).search(queries, 18_000)
    # Rows at almost equal distance may swap where float32 rounds.
    truth = brute_force(queries, stored, 18_000)
    np.testing.assert_allclose(matches.squared_distances, truth[1], rtol=1e-4, atol=1e-6)
    assert (np.sort(matches.indices) == np.sort(truth[0])).mean() > 0.999


@pytest.mark.parametrize("count", [1, 30])
def test_copies_come_in_the_order_of_their_rows(views, count):
    rows = np.repeat(views(50, 13), 40, axis=0)
    rows = rows[np.random.default_rng(14).permutation(len(rows))]
    queries = views(count, 15)
    whole = rows.astype(np.float64)
    expected = np.stack([np.argsort(((whole - q) ** 2).sum(1), kind="stable") for q in queries])
    structure = build_structure("hnsw", rows, rows=1000, threads=1)
    for searcher in (Searcher(rows), Searcher(rows.astype(np.float16))):
        assert (searcher.search(queries, 90).indices == expected[:, :90]).all()
    # A graph may return any of the copies, but in their order.
    found = Searcher(rows, None, structure).search(queries, 30)
    steps = np.diff(found.squared_distances, axis=1)
    assert (steps == 0).any()
    assert (np.diff(found.indices, axis=1)[steps == 0] > 0).all()


@pytest.mark.parametrize("count", [1, 12])
def test_what_is_not_finite_is_never_returned_and_gets_nothing(
    structure, stored, views, brute_force, count
):
    matrix = np.array(stored)
    matrix[[5, 16_000], 2] = np.nan
    matrix[7] = np.inf
    finite = np.isfinite(matrix).all(axis=1)
    queries = views(count + 1, 16)
    queries[-1, 3] = np.nan
    for searcher in (Searcher(matrix), Searcher(matrix, None, structure)):
        matches = searcher.search(queries, 20)
        assert (matches.indices[-1] == -1).all()
        assert finite[matches.indices[:-1]].all()
        alone = searcher.search(queries[-1:], 20)
        assert (alone.indices == -1).all()
    matches = Searcher(matrix).search(queries[:-1], 20)
    assert_equal(matches, brute_force(queries[:-1], matrix, 20, finite))


def test_empty_sides(stored, views, structure):
    assert Searcher(stored).search(views(0, 1), 5).indices.shape == (0, 5)
    assert Searcher(stored, None, structure).search(views(0, 1), 5).indices.shape == (0, 5)
    nothing = Searcher(stored[:0]).search(views(2, 1), 5)
    assert (nothing.indices == -1).all()
    assert nothing.indices.shape == (2, 5)
    assert Searcher(stored).search(views(2, 1), 0).indices.shape == (2, 0)


def test_what_does_not_belong_together_is_refused(stored, structure):
    with pytest.raises(ModelError, match="own model"):
        Searcher(stored).search(np.zeros((1, 32), np.float32), 5)
    with pytest.raises(SettingsError, match="covers 15000 rows"):
        Searcher(stored[:1000], None, structure)
    with pytest.raises(SettingsError, match=r"mask of shape \(7,\)"):
        Searcher(stored, np.ones(7, bool))
    with pytest.raises(SettingsError, match=r"mask of shape \(7,\)"):
        Searcher(stored).search(np.zeros((1, 64), np.float32), 5, allowed=np.ones(7, bool))
    with pytest.raises(SettingsError, match="rows 3 to 20000"):
        Searcher(stored, np.array([3, 20_000]))
