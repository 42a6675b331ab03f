import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from netvlad.errors import ModelError
from netvlad.search import exact, search_exact

SMALL_TILE = (64, 96)
BLOCKS = (5, 100, 500, None)


def brute_force(queries, database, k):
    """(indices, squared distances) in float64; of equal distances the lower index first."""
    squared = np.stack(
        [((query - database.astype(np.float64)) ** 2).sum(-1) for query in queries.astype(float)]
    )
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(squared, order, axis=1)


def assert_same(matches, others):
    np.testing.assert_array_equal(matches.indices, others.indices)
    np.testing.assert_array_equal(matches.squared_distances, others.squared_distances)


@pytest.mark.parametrize("query_type", ["float16", "float32", "float64"])
@pytest.mark.parametrize("database_type", ["float16", "float32", "float64"])
def test_equals_brute_force_whatever_the_blocks(monkeypatch, query_type, database_type):
    monkeypatch.setattr(exact, "CPU_TILE", SMALL_TILE)
    random = np.random.default_rng(0)
    queries = random.normal(size=(137, 16)).astype(query_type)
    database = random.normal(size=(811, 16)).astype(database_type)
    indices, squared = brute_force(queries, database, 7)
    for block in BLOCKS:
        matches = search_exact(queries, database, 7, database_block=block)
        np.testing.assert_array_equal(matches.indices, indices)
        np.testing.assert_allclose(matches.squared_distances, squared, rtol=1e-4)
        assert matches.indices.dtype == np.int64
        assert matches.squared_distances.dtype == np.float32


def test_equals_brute_force_when_the_queries_do_not_fit_at_once(monkeypatch):
    random = np.random.default_rng(1)
    queries, database = random.normal(size=(300, 40)), random.normal(size=(1000, 40))
    usable, asked = random.random(1000) < 0.8, random.random(300) < 0.8
    masks = {"query_mask": asked, "database_mask": usable}
    at_once = search_exact(queries, database, 20, **masks)
    monkeypatch.setattr(exact, "QUERY_BYTES", 64 * 40 * 4)
    assert_same(search_exact(queries, database, 20, **masks), at_once)
    indices, _ = brute_force(queries[asked], database[usable], 20)
    np.testing.assert_array_equal(at_once.indices[asked], np.flatnonzero(usable)[indices])


def test_copies_of_a_row_come_in_the_order_of_their_indices(monkeypatch):
    random = np.random.default_rng(2)
    queries = random.normal(size=(70, 50)).astype(np.float32)
    database = random.normal(size=(500, 50)).astype(np.float32)[random.integers(0, 500, 1100)]
    indices, _ = brute_force(queries, database, 30)
    first = search_exact(queries, database, 30)
    np.testing.assert_array_equal(first.indices, indices)
    for tile in ((32, 32), (64, 96)):
        monkeypatch.setattr(exact, "CPU_TILE", tile)
        for block in BLOCKS:
            assert_same(search_exact(queries, database, 30, database_block=block), first)


def test_different_rows_at_equal_distance_come_in_the_order_of_their_indices(monkeypatch):
    # Small whole numbers: every distance is exact, and many are equal.
    random = np.random.default_rng(3)
    queries = random.integers(-2, 3, size=(70, 6)).astype(np.float32)
    database = random.integers(-2, 3, size=(1500, 6)).astype(np.float16)
    indices, squared = brute_force(queries, database, 25)
    monkeypatch.setattr(exact, "CPU_TILE", SMALL_TILE)
    for block in BLOCKS:
        matches = search_exact(queries, database, 25, database_block=block)
        np.testing.assert_array_equal(matches.indices, indices)
        np.testing.assert_array_equal(matches.squared_distances, squared)


def test_equal_reported_distances_come_in_the_order_of_their_indices():
    # Far from the origin the sums round, and distances that differ on paper become equal.
    random = np.random.default_rng(4)
    queries = (random.normal(size=(50, 8)) + 100).astype(np.float32)
    database = (random.normal(size=(4000, 8)) + 100).astype(np.float32)
    matches = search_exact(queries, database, 50)
    steps = np.diff(matches.squared_distances, axis=1)
    assert (steps >= 0).all()
    assert (steps == 0).any()
    assert (np.diff(matches.indices, axis=1)[steps == 0] > 0).all()


def test_a_database_of_copies_gives_its_first_rows():
    matches = search_exact(np.ones((3, 4)), np.ones((5000, 4)), 6)
    np.testing.assert_array_equal(matches.indices, [range(6)] * 3)
    np.testing.assert_array_equal(matches.squared_distances, 0.0)


@pytest.mark.parametrize("direction", [1, -1])
def test_every_row_may_be_nearer_or_farther_than_all_before(monkeypatch, direction):
    monkeypatch.setattr(exact, "CPU_TILE", SMALL_TILE)
    database = np.zeros((1500, 2), np.float32)
    database[:, 0] = np.arange(1500)[::direction]
    queries = np.zeros((40, 2), np.float32)
    queries[:, 1] = np.arange(40)
    indices, squared = brute_force(queries, database, 9)
    for block in BLOCKS:
        matches = search_exact(queries, database, 9, database_block=block)
        np.testing.assert_array_equal(matches.indices, indices)
        np.testing.assert_array_equal(matches.squared_distances, squared)


def test_masked_rows_are_never_returned_and_masked_queries_get_nothing():
    random = np.random.default_rng(5)
    queries = random.normal(size=(4, 8)).astype(np.float32)
    database = random.normal(size=(10, 8)).astype(np.float32)
    usable = np.ones(10, dtype=bool)
    usable[[2, 5]] = False
    asked = np.array([True, False, True, True])
    matches = search_exact(queries, database, 10, query_mask=asked, database_mask=usable)
    assert set(matches.indices[0][:8]) == set(range(10)) - {2, 5}
    assert (matches.indices[0][8:] == -1).all()
    assert np.isinf(matches.squared_distances[0][8:]).all()
    assert (matches.indices[1] == -1).all()
    assert np.isinf(matches.squared_distances[1]).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e30])
def test_rows_that_are_not_finite_spoil_nothing_else(monkeypatch, broken):
    monkeypatch.setattr(exact, "CPU_TILE", SMALL_TILE)
    random = np.random.default_rng(6)
    queries = random.normal(size=(100, 12)).astype(np.float32)
    database = random.normal(size=(700, 12)).astype(np.float32)
    good_queries, good = random.random(100) < 0.9, random.random(700) < 0.9
    expected = search_exact(
        queries, database, 15, query_mask=good_queries, database_mask=good, database_block=64
    )
    queries[~good_queries, 3] = broken
    database[~good, 7] = broken
    assert_same(search_exact(queries, database, 15, database_block=64), expected)


def test_a_small_database_leaves_the_rest_empty():
    matches = search_exact(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 20)
    np.testing.assert_array_equal(matches.indices[:, :2], [[0, 1], [1, 0]])
    assert (matches.indices[:, 2:] == -1).all()
    assert np.isinf(matches.squared_distances[:, 2:]).all()


@pytest.mark.parametrize(("queries", "rows", "k"), [(0, 5, 3), (5, 0, 3), (0, 0, 3), (5, 5, 0)])
def test_where_there_is_nothing_there_is_nothing_to_return(queries, rows, k):
    matches = search_exact(np.zeros((queries, 4)), np.zeros((rows, 4)), k)
    assert matches.indices.shape == matches.squared_distances.shape == (queries, k)
    assert (matches.indices == -1).all()
    assert np.isinf(matches.squared_distances).all()


def test_other_dimensions_are_refused():
    with pytest.raises(ModelError, match="one dimension"):
        search_exact(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32), 1)


def test_arrays_may_be_mapped_read_only_or_strided(tmp_path):
    random = np.random.default_rng(7)
    queries = random.normal(size=(20, 10)).astype(np.float32)
    database = random.normal(size=(400, 10)).astype(np.float16)
    expected = search_exact(queries, database, 5)
    np.save(tmp_path / "queries.npy", queries)
    np.save(tmp_path / "database.npy", database)
    mapped = [np.load(tmp_path / f"{side}.npy", mmap_mode="r") for side in ("queries", "database")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(search_exact(*mapped, 5), expected)
        assert_same(search_exact(queries[::-1][::-1], np.asfortranarray(database), 5), expected)
    np.testing.assert_array_equal(mapped[1], database)


PEAK = """
import sys
from pathlib import Path
import numpy as np
from netvlad.search import search_exact
queries = np.ones((64, 512), np.float32)
search_exact(queries, np.load(sys.argv[1], mmap_mode="r"), 20)
status = Path("/proc/self/status").read_text()
print(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_the_peak_memory_does_not_grow_with_a_mapped_database(tmp_path, storage):
    peaks = []
    for megabytes in (50, 400):
        path = tmp_path / f"{megabytes}.npy"
        rows = megabytes * 10**6 // (512 * np.dtype(storage).itemsize)
        # Nothing is written, so the file takes no space; read, its zeros take memory all the same.
        np.lib.format.open_memmap(path, mode="w+", dtype=storage, shape=(rows, 512)).flush()
        # Not getrusage's ru_maxrss, which begins with what this process had when it started that.
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
        )
        path.unlink()
        peaks.append(int(done.stdout) * 1024)
    assert peaks[1] - peaks[0] < 60e6
