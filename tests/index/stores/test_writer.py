import hashlib
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from netvlad.errors import StorageError
from netvlad.index.places import Places
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.manifest import (
    read_manifest,
)
from netvlad.index.stores.verifying import verify
from netvlad.index.stores.writer import writing

PRESENT = [*range(10), *range(20, 100)]


@pytest.mark.parametrize("storage", ["16", "32"])
def test_many_changes_give_what_a_plain_list_gives(
    tmp_path, model, numbered, monkeypatch, storage, content
):
    monkeypatch.setattr("netvlad.index.stores.manifest.CHUNK_ROWS", 16)
    random = np.random.default_rng(3)
    index, expected, following = tmp_path / "my.index", [], 0
    with writing(index, "building", create=True, dim=8, storage=storage) as writer:
        writer.put_model(model, "m")
        writer.commit()
    for step in range(20):
        with writing(index, "changing") as writer:
            kind = random.choice(["append", "append", "append", "remove", "rewrite"])
            if kind == "append":
                places, rows = numbered(following, following + int(random.integers(0, 30)))
                writer.append(places, np.array_split(rows, 3))
                expected += range(following, following + len(places))
                following += len(places)
            elif kind == "remove":
                gone = np.flatnonzero(random.random(len(expected)) < 0.2)
                writer.remove(gone)
                expected = [n for i, n in enumerate(expected) if i not in set(gone)]
            else:
                writer.rewrite([writer.matrix[writer.rows]], 8, storage)
            writer.commit()
        assert content(index) == expected, step
        assert verify(index).problems == ()
    manifest = read_manifest(index)
    # The checksums are those of the bytes, and their number stays small.
    raw = (index / manifest.matrix).read_bytes()
    for chunk in manifest.chunks:
        end = chunk.rows * manifest.descriptors.row_bytes
        part, raw = raw[:end], raw[end:]
        assert chunk.sha256 == hashlib.sha256(part).hexdigest()
    assert raw == b""
    assert max(chunk.rows for chunk in manifest.chunks) <= 16


def test_single_appends_leave_few_checksums(tmp_path, model, numbered):
    with writing(tmp_path / "i", "building", create=True, dim=8) as writer:
        writer.put_model(model, "m")
        for n in range(50):
            places, rows = numbered(n, n + 1)
            writer.append(places, [rows])
        writer.commit()
    assert [chunk.rows for chunk in read_manifest(tmp_path / "i").chunks] == [32, 16, 2]
    assert verify(tmp_path / "i").problems == ()


def test_appending_to_damaged_rows_does_not_seal_the_damage(index, numbered, flip):
    matrix = index / read_manifest(index).matrix
    flip(matrix, 11)
    places, rows = numbered(100, 200)
    with writing(index, "adding") as writer:
        writer.append(places, [rows])
        writer.commit()
    (problem,) = verify(index).problems
    assert str(matrix) in problem and "rows 0 to 99" in problem


def test_uncommitted_changes_never_happened(index, numbered, state):
    before = state(index)
    with writing(index, "trying") as writer:
        places, rows = numbered(200, 300)
        writer.append(places, [rows])
        writer.remove(np.arange(5))
        writer.put_structure(lambda file: file.write(b"x"), {"rows": 200})
    assert state(index) == before
    with pytest.raises(KeyboardInterrupt), writing(index, "trying") as writer:
        writer.rewrite([rows[:90]], 8, "32")
        writer.append(places, interrupted(rows))
    assert state(index) == before


def interrupted(rows):
    yield rows[:50]
    raise KeyboardInterrupt


def test_a_writer_may_commit_again_and_again(index, numbered, content):
    with writing(index, "adding") as writer:
        assert writer.commit() == 2  # nothing has changed
        for first in (100, 110):
            places, rows = numbered(first, first + 10)
            writer.append(places, [rows])
            writer.commit()
            assert content(index)[-1] == first + 9
        assert writer.base.manifest.generation == 4
        assert writer.commit() == 4
    assert content(index) == [*PRESENT, *range(100, 120)]


def test_the_structure_stays_until_the_matrix_is_rewritten(index, numbered):
    places, rows = numbered(100, 105)
    with writing(index, "changing") as writer:
        writer.append(places, [rows])
        writer.remove(np.array([0]))
        writer.commit()
        assert writer.base.manifest.structure == {"rows": 100}
        writer.rewrite([writer.matrix[writer.rows]], 8, "16")
        writer.commit()
        assert writer.base.manifest.structure is None
        assert writer.base.structure_path() is None
        for wrong in ({"rows": 95}, {"rows": -1}, {"kind": "hnsw"}):
            with pytest.raises(StorageError, match="does not fit a matrix of 94"):
                writer.put_structure(lambda file: file.write(b""), wrong)
    assert not list(index.glob("structure-*"))


def test_tables_and_documents_are_replaced(index):
    with writing(index, "telling") as writer:
        writer.update_places(Places.of([f"new {n}" for n in range(90)]))
        writer.put_document("settings", None)
        writer.put_document("calibration", {"a": [1, 2.5, "ä"]})
        writer.commit()
        with pytest.raises(StorageError, match="has 90 places, not 1"):
            writer.update_places(Places.of(["one"]))
        for wrong in (float("nan"), {1, 2}, "\ud800"):
            with pytest.raises(StorageError, match="document 'd' cannot be kept as JSON"):
                writer.put_document("d", wrong)
        with pytest.raises(StorageError, match="no place 90 to remove"):
            writer.remove(np.array([3, 90]))
    with FolderStore.open(index) as store:
        assert store.places.image(89) == "new 89"
        assert store.manifest.documents == {"calibration": {"a": [1, 2.5, "ä"]}}


def test_an_index_may_be_empty(tmp_path, model, numbered, content):
    index = tmp_path / "deep" / "my.index"
    with writing(index, "building", create=True, dim=8, storage="32") as writer:
        with pytest.raises(StorageError, match="needs the model"):
            writer.commit()
        writer.put_model(model, "m")
        assert writer.commit() == 1
    assert content(index) == []
    assert verify(index).problems == ()
    with writing(index, "changing") as writer:
        places, rows = numbered(0, 3)
        writer.append(places, [rows])
        writer.remove(np.arange(3))
        writer.commit()
    assert content(index) == []
    with writing(index, "changing") as writer:
        writer.rewrite([], 8, "16")
        writer.commit()
    assert content(index) == []
    assert verify(index).problems == ()


def test_wrong_descriptors_are_refused_and_leave_nothing(index, numbered, content, state):
    before = state(index)
    places, rows = numbered(200, 210)
    nan, large = rows.copy(), rows.copy()
    nan[3, 2], large[4, 1] = np.nan, 1e6
    with writing(index, "adding") as writer:
        for blocks, reason in (
            ([rows[:4], rows[4:9]], "given 9 of 10 rows"),
            ([rows, rows[:1]], "more than 10 rows"),
            ([rows[:, :7]], r"length 8, but was given an array of shape \(10, 7\)"),
            ([rows[:2], nan[2:]], "descriptor 3 .* not finite"),
            ([large], "descriptor 4 .* not finite in 16 bits"),
        ):
            with pytest.raises(StorageError, match=reason):
                writer.append(places, blocks)
        assert state(index) == before
        # None of them stands in the way of the right ones.
        writer.append(places, [rows])
        writer.commit()
    assert content(index) == [*PRESENT, *range(200, 210)]


@contextmanager
def files_up_to(size_bytes):
    """The system refuses to make a file longer: what a write on a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_gets_full_leaves_the_last_generation(index, numbered, content, state):
    before = state(index)
    places, rows = numbered(100, 2000)
    with writing(index, "adding") as writer:
        # In the middle of the rows,
        with files_up_to(10_000), pytest.raises(StorageError, match="cannot be written") as told:
            writer.append(places, np.array_split(rows, 7))
        assert "\n" not in str(told.value)
        assert state(index) == before
        # and of each file of the commit: the table of places, then that of rows, the manifest.
        for size, name in ((100, "places-000003.parquet"), (15_500, "rows-000003.npy")):
            writer.append(places, [rows])
            with files_up_to(size), pytest.raises(StorageError, match=f"{name}: cannot be written"):
                writer.commit()
            assert content(index) == PRESENT
            assert verify(index).problems == ()
            writer.discard()
            assert state(index) == before
        with files_up_to(3000), pytest.raises(StorageError, match=r"manifest.json: cannot be"):
            writer.put_document("long", "x" * 5000)
            writer.commit()
    assert state(index) == before


def test_too_little_space_is_said_before_the_work(index, numbered, monkeypatch):
    places, _ = numbered(100, 200)
    usage = shutil.disk_usage(index)._replace(free=1000)
    with writing(index, "adding 100 photos") as writer:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(StorageError, match=r"adding 100 photos needs 16\.51 kB"):
            writer.append(places, iter_must_not_start())
        with pytest.raises(StorageError, match="needs"):
            writer.rewrite(iter_must_not_start(), 8, "16")


def iter_must_not_start():
    raise AssertionError("the descriptors were computed")
    yield


def test_one_writer(index):
    with (
        writing(index, "adding"),
        pytest.raises(StorageError, match="another process is writing here"),
        writing(index, "removing"),
    ):
        pass
