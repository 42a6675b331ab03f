import json

import faiss
import numpy as np
import pytest

from netvlad.errors import ModelError, SettingsError, StorageError
from netvlad.search.approximate import KINDS, build_structure, read_structure
from netvlad.types import Progress


@pytest.fixture(scope="module")
def covered(stored):
    return stored[:15_000]


def test_candidates_hold_the_true_neighbours(structure, covered, views, brute_force, recall):
    queries = views(100, 1)
    true, _ = brute_force(queries, covered, 20)
    found = structure.with_effort(128, 400).candidates(queries, 400)
    assert found.shape == (100, 400)
    assert found.dtype == np.int64
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found)
    assert recall(found, true) >= 0.99
    assert recall(structure.with_effort(1, 400).candidates(queries, 20), true) < 0.99


@pytest.mark.parametrize("share", [0.9, 0.2])
def test_a_filter_costs_no_recall_and_is_kept(
    structure, covered, views, brute_force, recall, share
):
    queries = views(50, 2)
    allowed = np.random.default_rng(0).random(len(covered)) < share
    true, _ = brute_force(queries, covered, 20, allowed)
    found = structure.with_effort(128, 300).candidates(queries, 300, allowed)
    assert found.shape == (50, 300)
    assert allowed[found[found >= 0]].all()
    # -1 stands behind the rows and nowhere else.
    assert ((found >= 0)[:, 1:] <= (found >= 0)[:, :-1]).all()
    assert recall(found, true) >= 0.99


def test_a_query_amid_forbidden_rows_gets_few_instead_of_wrong_ones(structure, covered, views):
    query = views(1, 3)
    near = np.asarray(covered, np.float32) @ query[0]
    allowed = near < np.quantile(near, 0.5)
    assert (structure.candidates(query, 40, allowed) < 0).any()
    assert (structure.candidates(query, 40, np.zeros(len(covered), bool)) == -1).all()


def test_a_structure_comes_back_from_its_file(structure, covered, views, tmp_path):
    path = tmp_path / "search.faiss"
    with path.open("wb") as file:
        structure.write(file)
    assert path.stat().st_size == structure.size_bytes()
    about = json.loads(json.dumps(structure.about()))
    read = read_structure(path, about)
    assert (read.kind, read.rows, read.dimension) == (structure.kind, 15_000, 64)
    assert (read.breadth, read.rescored) == (structure.breadth, structure.rescored)
    queries = views(30, 4)
    allowed = np.arange(15_000) % 3 > 0
    for mask in (None, allowed):
        np.testing.assert_array_equal(
            read.candidates(queries, 50, mask), structure.candidates(queries, 50, mask)
        )


def test_damaged_missing_and_other_files_are_refused(structure, tmp_path):
    path = tmp_path / "search.faiss"
    about = structure.about()
    with pytest.raises(StorageError, match=r"search\.faiss: .* missing; rebuild it"):
        read_structure(path, about)
    with path.open("wb") as file:
        structure.write(file)
    for wrong in ({"rows": 5}, {"dimension": 32}, {"kind": "x"}):
        with pytest.raises(StorageError, match=r"search\.faiss: holds 15000 rows"):
            read_structure(path, {**about, **wrong})
    with pytest.raises(StorageError, match=r"search\.faiss: its description lacks 'rows'"):
        read_structure(path, {k: v for k, v in about.items() if k != "rows"})
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100], b"", b"not faiss" + whole):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=r"search\.faiss: is damaged") as caught:
            read_structure(path, about)
        assert "\n" not in str(caught.value)


def test_a_full_disk_is_a_storage_error(structure):
    class Full:
        name = "place.faiss"

        def write(self, _):
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"place\.faiss: cannot be written: No space left"):
        structure.write(Full())


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_nothing_else(kind, stored, tmp_path):
    def written(seed, name):
        with (tmp_path / name).open("wb") as file:
            build_structure(kind, stored, rows=1500, seed=seed, threads=1).write(file)
        return (tmp_path / name).read_bytes()

    first = written(7, "a")
    np.random.default_rng().random()
    assert written(7, "b") == first
    assert written(8, "c") != first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [37, 600])
def test_any_dimension_and_rows_that_are_not_finite(kind, dimension, recall, brute_force):
    random = np.random.default_rng(5)
    rows = random.normal(size=(1200, 6)) @ random.normal(size=(6, dimension)) + 0.5
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    rows[[3, 700]] = np.nan
    structure = build_structure(kind, rows, threads=1).with_effort(200, 200)
    queries = rows[100:130]
    finite = np.isfinite(rows).all(axis=1)
    true, _ = brute_force(queries, rows, 10, finite)
    assert recall(structure.candidates(queries, 200, finite), true) >= 0.98
    broken = np.full((1, dimension), np.nan, np.float32)
    assert structure.candidates(broken, 5).shape == (1, 5)


def test_it_covers_the_first_rows_and_tells_its_progress(stored, views):
    seen = []
    threads = faiss.omp_get_max_threads()
    structure = build_structure("hnsw", stored, rows=300, threads=1, report=seen.append)
    assert faiss.omp_get_max_threads() == threads
    assert structure.candidates(views(20, 6), 300).max() == 299
    assert structure.candidates(views(3, 6), 500).shape == (3, 500)
    assert all(isinstance(item, Progress) for item in seen)
    assert (seen[-1].done, seen[-1].total) == (300, 300)


def test_what_cannot_be_built_or_asked_is_refused(structure, stored):
    with pytest.raises(SettingsError, match="choose one of hnsw, ivf-pq"):
        build_structure("lsh", stored)
    with pytest.raises(SettingsError, match="at least 1000"):
        build_structure("ivf-pq", stored, rows=999)
    with pytest.raises(SettingsError, match="20001 of 20000"):
        build_structure("hnsw", stored, rows=20_001)
    with pytest.raises(SettingsError, match="from 1 on"):
        structure.with_effort(0, 10)
    with pytest.raises(ModelError, match="64 dimensions"):
        structure.candidates(np.zeros((1, 32), np.float32), 5)
