import numpy as np
import pytest

from netvlad.search import rows as scanning
from netvlad.search.rows import Scanner


@pytest.mark.parametrize("scores_bytes", [1, 2**20])
@pytest.mark.parametrize("piece_bytes", [1000, 2**30])
def test_the_true_nearest_are_among_the_candidates(
    monkeypatch, stored, views, brute_force, piece_bytes, scores_bytes
):
    monkeypatch.setattr(scanning, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(scanning, "SCORES_BYTES", scores_bytes)
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
