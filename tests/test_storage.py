import errno
import subprocess
import sys

import pytest

from netvlad import storage
from netvlad.errors import StorageError
from netvlad.storage import (
    fingerprint,
    folder_written_beside,
    locked,
    read_json,
    require_space,
    write_json,
    written_beside,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), written_beside(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"old": 1}
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match=r"a\.json: cannot be written: No space left"):
        write_json(tmp_path / "a.json", 1)
    with (
        pytest.raises(StorageError, match="No space left"),
        folder_written_beside(tmp_path / "b") as f,
    ):
        (f / "x").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_files_get_ordinary_permissions(tmp_path):
    write_json(tmp_path / "a.json", 1)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert (tmp_path / "a.json").stat().st_mode == plain.stat().st_mode


def test_a_folder_appears_whole(tmp_path):
    with folder_written_beside(tmp_path / "c") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "c").exists()
    assert (tmp_path / "c" / "x").read_text() == "1"


def test_a_second_writer_is_told(tmp_path):
    code = (
        "import sys, pathlib; from netvlad.storage import locked\n"
        "from netvlad.errors import StorageError\n"
        "try:\n  with locked(pathlib.Path(sys.argv[1]), 'training'): pass\n"
        "except StorageError as e: print(e)"
    )
    with locked(tmp_path, "training"):
        said = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert "another process is training here" in said.stdout
    with locked(tmp_path, "training"):
        pass  # free again


def test_bad_json_names_the_file(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StorageError, match=r"a\.json: is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(StorageError, match=r"b\.json: cannot be read"):
        read_json(tmp_path / "b.json")


def test_space_is_checked_with_the_figure(tmp_path):
    require_space(tmp_path / "not" / "there", 1, "a cache")
    with pytest.raises(StorageError, match=r"a cache needs 1000000000\.00 GB"):
        require_space(tmp_path, 10**18, "a cache")


def test_fingerprints_do_not_run_together():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("ab", b"c") == fingerprint(b"ab", "c")
