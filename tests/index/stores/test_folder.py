from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from netvlad.errors import SettingsError, StorageError
from netvlad.index.stores import folder
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.manifest import (
    FORMAT,
    MANIFEST,
    read_manifest,
    write_manifest,
)
from netvlad.index.stores.verifying import verify
from netvlad.index.stores.writer import writing
from netvlad.loading import load_model

PRESENT = [*range(10), *range(20, 100)]
REAL_MANIFEST = read_manifest


def test_what_was_written_is_read(index, model, content, state):
    assert content(index) == PRESENT
    with FolderStore.open(index) as store:
        manifest = store.manifest
        assert (manifest.generation, manifest.dim, manifest.storage) == (2, 8, "16")
        assert (manifest.count, manifest.matrix_rows) == (90, 100)
        assert store.matrix.dtype == np.float16
        assert isinstance(store.matrix, np.memmap)
        assert not store.matrix.flags.writeable
        assert manifest.model_fingerprint == "fingerprint of the model"
        assert manifest.structure == {"rows": 100}
        assert manifest.documents == {"settings": {"threshold": 0.5}}
        assert store.structure_path().read_bytes() == b"structure" * 50
        for again in (store.load_model(), load_model(index / manifest.model)):
            assert again.spec == model.spec
            assert not again.training
            for key, tensor in model.state_dict().items():
                assert torch.equal(again.state_dict()[key], tensor), key
    found = verify(index)
    assert found.problems == found.notes == ()
    sizes = [len(raw) for name, raw in state(index).items() if name != MANIFEST]
    assert found.checked_bytes == sum(sizes)


def test_a_reader_keeps_its_generation_when_a_writer_removes_its_files(index, model, state):
    early = FolderStore.open(index)
    names = set(state(index))
    with writing(index, "rewriting") as writer:
        writer.rewrite([np.full((90, 4), 7.0)], 4, "32")
        writer.put_structure(lambda file: file.write(b"new"), {"rows": 90})
        writer.remove(np.arange(80))
        writer.put_model(model, "another")
        writer.commit()
    assert set(state(index)) & names == {MANIFEST}
    assert early.places.images() == [f"{n}.jpg" for n in PRESENT]
    np.testing.assert_array_equal(early.matrix[early.rows][:, 0], PRESENT)
    assert early.structure_path().read_bytes() == b"structure" * 50
    assert early.load_model().spec == model.spec
    with FolderStore.open(index) as late:
        assert (late.manifest.count, late.manifest.dim, late.manifest.storage) == (10, 4, "32")
        assert late.manifest.model_fingerprint == "another"


def test_a_reader_that_a_writer_overtakes_starts_again(index, monkeypatch, content):
    stale = read_manifest(index)
    with writing(index, "removing") as writer:
        writer.remove(np.arange(10))
        writer.commit()
    answers = [stale]
    monkeypatch.setattr(
        folder, "read_manifest", lambda path: answers.pop() if answers else REAL_MANIFEST(path)
    )
    assert content(index) == PRESENT[10:]
    answers.append(stale)
    assert verify(index).problems == ()


def test_there_must_be_an_index_or_none(index, tmp_path):
    with (
        pytest.raises(StorageError, match="already holds an index; use `netvlad index add`"),
        writing(index, "building", create=True, dim=8),
    ):
        pass
    for wrong in ({"dim": None}, {"dim": 0}, {"dim": 8, "storage": "8"}):
        with (
            pytest.raises(SettingsError),
            writing(tmp_path / "new", "building", create=True, **wrong),
        ):
            pass
    (tmp_path / "empty").mkdir()
    for path, reason in ((tmp_path / "nowhere", "does not exist"), (tmp_path / "empty", "is not")):
        with pytest.raises(StorageError, match=f"{path}: {reason}.*`netvlad index build`"):
            FolderStore.open(path)
        with pytest.raises(StorageError, match=reason), writing(path, "adding"):
            pass
        assert len(verify(path).problems) == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_newer_format_and_a_forged_manifest_are_refused(index):
    manifest = read_manifest(index)
    write_manifest(index, replace(manifest, format=FORMAT + 1))
    with pytest.raises(StorageError, match=r"format 3, this version reads 2; install a newer"):
        FolderStore.open(index)
    record = replace(manifest.rows, name="../rows-000001.npy")
    for wrong in (
        {"rows": record},
        {"matrix": "/etc/passwd"},
        {"model": ".."},
        {"storage": "64"},
        {"dim": 0},
        {"count": -1},
        {"count": "many"},
    ):
        write_manifest(index, replace(manifest, **wrong))
        with pytest.raises(StorageError, match=r"manifest.json: is damaged"):
            FolderStore.open(index)
    for text in ("", "[]", "{}", "null", '{"format": NaN}', '{"format": 1}', "[" * 100_000):
        (index / MANIFEST).write_text(text)
        with pytest.raises(StorageError, match=r"manifest.json: is damaged"):
            FolderStore.open(index)
        assert len(verify(index).problems) == 1


def test_the_manifest_is_read_as_it_was_written(index):
    manifest = read_manifest(index)
    write_manifest(index, manifest)
    assert asdict(read_manifest(index)) == asdict(manifest)
