import numpy as np
import pytest

from netvlad.search import rows as module
from netvlad.search.rows import Scanner, as_float32, rescore


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_become_float32_in_memory_of_their_own(tmp_path, dtype):
    np.save(tmp_path / "rows.npy", np.arange(12, dtype=dtype).reshape(3, 4) / 7)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for source in (mapped, mapped[::-1], np.array(mapped)):
        converted = as_float32(source)
        assert converted.dtype == np.float32
        np.testing.assert_array_equal(converted, source.astype(np.float32))
        converted[:] = 0
    assert mapped[2, 3] > 1


@pytest.mark.parametrize("room", [1, 700, 2**25])
@pytest.mark.parametrize("k", [0, 3, 12, 50])
def test_rescoring_is_brute_force_over_the_candidates(
    monkeypatch, stored, views, brute_force, room, k
):
    monkeypatch.setattr(module, "RESCORED_BYTES", room)
    queries = views(5, 1)
    random = np.random.default_rng(2)
    candidates = np.stack([random.choice(400, 12, replace=False) for _ in queries])
    candidates[1, 3:9] = -1
    candidates[4] = -1
    matches = rescore(queries, stored[:400], candidates, k)
    for i, query in enumerate(queries):
        allowed = np.isin(np.arange(400), candidates[i])
        true, squared = brute_force(query[None], stored[:400], k, allowed)
        np.testing.assert_array_equal(matches.indices[i], true[0])
        np.testing.assert_allclose(matches.squared_distances[i], squared[0], rtol=1e-4)


def test_what_is_not_finite_is_left_out():
    matrix = np.array([[0, 1], [np.nan, 0], [1, 0], [0, 1], [np.inf, 0]], np.float32)
    everything = np.tile(np.arange(5), (2, 1))
    queries = np.array([[0, 1], [np.nan, 0]], np.float32)
    matches = rescore(queries, matrix, everything, 5)
    np.testing.assert_array_equal(matches.indices, [[0, 3, 2, -1, -1], [-1] * 5])
    np.testing.assert_array_equal(matches.squared_distances[0], [0, 0, 2, np.inf, np.inf])


@pytest.mark.parametrize("scores_bytes", [1, 2**20])
@pytest.mark.parametrize("piece_bytes", [1000, 2**30])
def test_the_true_nearest_are_among_the_candidates(
    monkeypatch, stored, views, brute_force, piece_bytes, scores_bytes
):
    monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(module, "SCORES_BYTES", scores_bytes)
    matrix, queries = stored[:700], views(4, 1)
    chosen = np.flatnonzero(np.arange(700) % 3 == 0)
    for source in (matrix, np.array(matrix), np.asarray(matrix, np.float32)):
        scanner = Scanner(source)
        for rows in (slice(0, 700), slice(13, 600), chosen):
            mask = np.zeros(700, bool)
            mask[rows] = True
            true, _ = brute_force(queries, matrix, 10, mask)
            for _ in range(2):  # the second time with the lengths kept
                found = scanner.candidates(queries, 10, rows)
                assert found.shape[1] <= 12
                for found_row, true_row in zip(found, true, strict=True):
                    assert set(true_row) <= set(found_row)
                    assert mask[found_row[found_row >= 0]].all()


def test_lengths_of_rows_count(brute_force):
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 8)).astype(np.float32) * random.uniform(0.1, 3, (500, 1))
    rows = rows.astype(np.float32)
    queries = random.normal(size=(6, 8)).astype(np.float32)
    found = Scanner(rows).candidates(queries, 5, slice(0, 500))
    true, _ = brute_force(queries, rows, 5)
    assert all(set(t) <= set(f) for t, f in zip(true, found, strict=True))
    assert found.shape[1] < 10


def test_all_copies_of_the_last_one_come_along():
    rows = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    found = Scanner(rows).candidates(np.eye(4, dtype=np.float32)[1:2], 3, slice(0, 200))
    np.testing.assert_array_equal(found, [range(50, 100)])
