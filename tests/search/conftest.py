"""Descriptors with the structure that places have: few degrees of freedom, several views each."""

from collections.abc import Callable

import numpy as np
import pytest

from netvlad.search.approximate import KINDS, Structure, build_structure

PLACES = 2500
DIMENSION = 64


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def views() -> Callable[[int, int], np.ndarray]:
    """Give ``count`` views of random places, (count, 64) float32 unit rows: a different seed gives
    other views of the same places."""
    world = np.random.default_rng(1234)
    places = world.normal(size=(PLACES, 10)) @ world.normal(size=(10, DIMENSION)) / np.sqrt(10)
    change = world.normal(size=(12, DIMENSION)) / np.sqrt(12)

    def make(count: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        rows = np.tanh(places[random.integers(0, PLACES, count)])
        rows = rows + 0.3 * random.normal(size=(count, 12)) @ change
        return unit(rows + 0.03 * random.normal(size=rows.shape)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def stored(views, tmp_path_factory) -> np.ndarray:
    """20,000 views as a mapped float16 matrix."""
    path = tmp_path_factory.mktemp("stored") / "descriptors.npy"
    np.save(path, views(20_000, 0).astype(np.float16))
    return np.load(path, mmap_mode="r")


@pytest.fixture(scope="session")
def structures(stored) -> dict[str, Structure]:
    """One of each kind over the first 15,000 rows of ``stored``; 5,000 count as appended since."""
    return {kind: build_structure(kind, stored, rows=15_000, threads=1) for kind in KINDS}


@pytest.fixture(params=KINDS)
def structure(request, structures) -> Structure:
    return structures[request.param]


@pytest.fixture(scope="session")
def brute_force() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """(indices, squared distances) of the k nearest allowed rows by sorting all distances in
    float64; the lower row first where they are equal, -1 and inf behind the last."""

    def search(queries, matrix, k, allowed=None):
        rows = np.arange(len(matrix)) if allowed is None else np.flatnonzero(allowed)
        indices = np.full((len(queries), k), -1)
        distances = np.full((len(queries), k), np.inf)
        kept = np.asarray(matrix)[rows].astype(np.float64)
        for i, query in enumerate(queries.astype(np.float64)):
            squared = ((kept - query) ** 2).sum(axis=1)
            order = np.argsort(squared, kind="stable")[:k]
            indices[i, : len(order)], distances[i, : len(order)] = rows[order], squared[order]
        return indices, distances

    return search


@pytest.fixture(scope="session")
def recall() -> Callable[[np.ndarray, np.ndarray], float]:
    """The share of the true indices that were found; rows of both are queries."""

    def share(found, true):
        hits = [len(set(a) & set(b[b >= 0])) for a, b in zip(found, true, strict=True)]
        return sum(hits) / (true >= 0).sum()

    return share
