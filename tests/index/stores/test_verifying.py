import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from netvlad.errors import StorageError
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.manifest import (
    MANIFEST,
    parsed_manifest,
    read_manifest,
    write_manifest,
)
from netvlad.index.stores.verifying import verify
from netvlad.index.stores.writer import writing

PRESENT = [*range(10), *range(20, 100)]


def test_leftovers_are_notes_and_go_with_the_next_writer(index, content):
    (index / "places-000003.parquet").write_bytes(b"half")
    (index / ".rows-000003.npy.ab_1cd.tmp").write_bytes(b"half")
    (index / ".manifest.json.ab_1cd.tmp").write_bytes(b"half")
    (index / ".model-000003.ab_1cd.tmp" / "run").mkdir(parents=True)
    (index / "model-000003").mkdir()
    (index / "model-000003" / "checkpoint.json").write_bytes(b"half")
    with (index / read_manifest(index).matrix).open("ab") as file:
        file.write(b"unfinished")
    others = ("features/rows-000009.npy", "notes.txt", "places-old.parquet", "model-000007/mine")
    for name in others:
        (index / name).parent.mkdir(exist_ok=True)
        (index / name).write_bytes(b"mine")
    found = verify(index)
    assert found.problems == ()
    assert len(found.notes) == 7
    assert sum("10 bytes after the last row" in note for note in found.notes) == 1
    assert content(index) == PRESENT
    with writing(index, "sweeping"):
        pass
    assert [(index / name).read_bytes() for name in others] == [b"mine"] * 4
    expected = {MANIFEST, "rows-000002.npy", "places-000002.parquet", "structure-000002.faiss"}
    expected |= {"descriptors-000001.f16", "model-000001", "model-000007", ".lock"}
    expected |= {"features", "notes.txt", "places-old.parquet"}
    assert {path.name for path in index.iterdir()} | {".lock"} == expected
    assert verify(index).problems == ()


def test_a_flipped_byte_in_any_file_is_found(index, state, flip):
    intact = state(index)
    assert len(intact) == 8  # manifest, places, rows, descriptors, structure, the model's three
    for name, raw in intact.items():
        for position in {0, len(raw) // 3, len(raw) // 2, len(raw) - 1}:
            flip(index / name, position)
            problems = verify(index).problems
            assert len(problems) == 1, (name, position)
            assert str(index / name) in problems[0]
            assert "\n" not in problems[0]
            (index / name).write_bytes(raw)
    assert verify(index).problems == ()


def test_a_flip_of_every_byte_of_the_manifest_is_found(index):
    path = index / MANIFEST
    raw = path.read_bytes()
    assert parsed_manifest(raw, path) == read_manifest(index)
    flipped = [
        raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]
        for at in range(len(raw))
        for mask in (1 << at % 8, 0x20, 0xFF)
    ]
    # White space does not matter to JSON, and matters here.
    flipped += [raw.replace(b"\n", b"\r", 1), raw + b"\n", raw[:-1], b" " + raw]
    # A number that was changed by hand.
    edited = json.loads(raw) | {"count": 89}
    flipped.append(json.dumps(edited, indent=2, ensure_ascii=False).encode() + b"\n")
    for damaged in flipped:
        with pytest.raises(StorageError, match=r"manifest\.json: (is damaged|was written in)"):
            parsed_manifest(damaged, path)


def test_a_missing_a_short_and_a_long_file_are_found(index, state):
    intact = state(index)
    matrix = read_manifest(index).matrix
    for name, raw in intact.items():
        if name == MANIFEST:
            continue
        for damaged in (None, b"", raw[:-1], raw + b"x"):
            (index / name).unlink()
            if damaged is not None:
                (index / name).write_bytes(damaged)
            found = verify(index)
            if name == matrix and damaged == raw + b"x":
                assert found.problems == () and len(found.notes) == 1
            else:
                assert len(found.problems) == 1 and str(index / name) in found.problems[0]
                with pytest.raises(StorageError, match=r"is (missing|damaged)"):
                    FolderStore.open(index)
            (index / name).write_bytes(raw)
    shutil.rmtree(index / read_manifest(index).model)
    assert len(verify(index).problems) == 3


def test_whole_files_that_do_not_belong_together_are_found(index):
    manifest = read_manifest(index)
    rows = np.load(index / manifest.rows.name)
    swapped, high = rows.copy(), rows.copy()
    swapped[[3, 4]], high[-1] = swapped[[4, 3]], 100
    for wrong in (rows[:-1], swapped, high, rows.astype(np.int32), rows - 1):
        replace_rows(index, manifest, wrong)
        (problem,) = verify(index).problems
        assert str(index / manifest.rows.name) in problem
        with pytest.raises(StorageError, match="is damaged"):
            _ = FolderStore.open(index).rows
    replace_rows(index, manifest, rows)
    assert verify(index).problems == ()
    write_manifest(index, replace(manifest, structure={"rows": 101}))
    (problem,) = verify(index).problems
    assert "covers 101 rows of a matrix of 100; `netvlad index optimize`" in problem
    write_manifest(index, replace(manifest, count=91))
    assert len(verify(index).problems) == 2


def replace_rows(index, manifest, rows):
    path = index / manifest.rows.name
    np.save(path, rows)
    raw = path.read_bytes()
    record = replace(manifest.rows, size_bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
    write_manifest(index, replace(manifest, rows=record))


def test_damage_that_is_met_in_reading_is_named(index, flip):
    manifest = read_manifest(index)
    flip(index / manifest.places.name, 40)
    flip(index / f"{manifest.model}/model.safetensors", 5_000_000)
    with FolderStore.open(index) as store:
        with pytest.raises(StorageError, match=r"places-000002.parquet"):
            _ = store.places
        with pytest.raises(StorageError, match=r"model.safetensors: is damaged: its checksum"):
            store.load_model()


def test_verify_reports_how_far_it_is(index):
    steps = []
    verify(index, steps.append)
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert steps[-1].done == steps[-1].total > 0
