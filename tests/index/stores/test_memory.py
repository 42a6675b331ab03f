import numpy as np
import pytest

from netvlad.index.places import Places
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.where import Where


def unit_rows(count: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(query: np.ndarray, rows: np.ndarray, allowed: np.ndarray, k: int) -> list[int]:
    order = sorted(
        (i for i in range(len(rows)) if allowed[i]), key=lambda i: -float(rows[i] @ query)
    )
    return (order + [-1] * k)[:k]


@pytest.fixture
def filled() -> tuple[MemoryStore, np.ndarray]:
    rows = unit_rows(700, 16, 0)
    store = MemoryStore(16)
    for i, row in enumerate(rows[:400]):
        store.append_one(
            row, f"frame-{i}", {"time": float(i), "latitude": 52.0, "longitude": i / 9}
        )
    names = [f"photo-{i}" for i in range(400, 700)]
    columns = {"time": np.arange(400.0, 700.0), "mtime_ns": np.full(300, 1_700_000_000_123_456_789)}
    store.append(Places.of(names, columns, tags=[("a",)] * 300), [rows[400:500], rows[500:]])
    return store, rows


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("k", [1, 7, 900])
def test_search_is_brute_force(filled, queries: int, k: int) -> None:
    store, rows = filled
    asked = unit_rows(queries, 16, 1)
    odd = Where(after=100.0, before=430.5)
    for where in (None, odd, Where(tags=("a",))):
        found = store.search(asked, k, where)
        usable = np.ones(700, bool)
        if where == odd:
            usable = (np.arange(700) >= 100) & (np.arange(700) <= 430)
        elif where is not None:
            usable = np.arange(700) >= 400
        for query, indices, squared in zip(
            asked, found.indices, found.squared_distances, strict=True
        ):
            assert indices.tolist() == brute_force(query, rows, usable, k)
            there = indices >= 0
            direct = ((rows[indices[there]] - query) ** 2).sum(axis=1)
            np.testing.assert_allclose(squared[there], direct, atol=1e-5)
            assert np.isinf(squared[~there]).all()


def test_an_empty_store_answers_with_nothing() -> None:
    found = MemoryStore(4).search(unit_rows(1, 4, 0), 3)
    assert (found.indices == -1).all()


def test_what_was_put_in_comes_out_while_it_grows(filled) -> None:
    store, rows = filled
    assert len(store) == 700
    np.testing.assert_array_equal(store.matrix, rows)
    before = store.place(650), store.place(3)
    table = store.places
    assert (table.row(650), table.row(3)) == before
    assert before[0]["image"] == "photo-650" and before[0]["tags"] == ["a"]
    # Nanoseconds survive, which a float would not hold.
    assert before[0]["mtime_ns"] == 1_700_000_000_123_456_789
    assert before[1]["latitude"] == 52.0 and before[1]["altitude"] is None


def test_removed_places_are_gone_and_the_others_keep_their_order(filled) -> None:
    store, rows = filled
    chosen = np.array([0, 1, 399, 400, 699])
    assert store.remove(lambda places: chosen) == 5
    kept = np.setdiff1d(np.arange(700), chosen)
    np.testing.assert_array_equal(store.matrix, rows[kept])
    assert store.places.image(0) == "frame-2"
    assert store.place(len(store) - 1)["image"] == "photo-698"
    store.append_one(rows[0], "again", {})
    assert store.search(rows[:1], 1).indices[0, 0] == len(store) - 1
