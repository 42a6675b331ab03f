import numpy as np
import pytest

from netvlad.search import rows
from netvlad.search.rows import as_float32, rescore


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
    monkeypatch.setattr(rows, "RESCORED_BYTES", room)
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
