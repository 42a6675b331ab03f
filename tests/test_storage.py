import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from netvlad import storage
from netvlad.errors import StorageError
from netvlad.storage import (
    Journal,
    drop_pages,
    fingerprint,
    folder_written_beside,
    locked,
    read_json,
    recovered,
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


def test_a_journal_remembers_what_was_finished(tmp_path):
    journal = Journal(tmp_path / "journal", {"of": "this"})
    assert journal.entries == []
    journal.add({"part": 1})
    journal.add([2, 3])
    assert Journal(tmp_path / "journal", {"of": "this"}).entries == [{"part": 1}, [2, 3]]
    assert Journal(tmp_path / "journal", {"of": "that"}).entries == []
    # The other work has taken the file over.
    assert Journal(tmp_path / "journal", {"of": "this"}).entries == []
    journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b'{"part"', b"\xff\xff\n", b'[4]\n{"par'])
def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path, damage):
    path = tmp_path / "journal"
    Journal(path, 1).add("whole")
    with path.open("ab") as file:
        file.write(damage)
    again = Journal(path, 1)
    whole = ["whole", [4]] if damage.startswith(b"[4]") else ["whole"]
    assert again.entries == whole
    again.add("next")
    assert Journal(path, 1).entries == [*whole, "next"]


def test_pages_of_a_mapped_file_are_given_back(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4096, 1024), np.float32))  # 16 MB
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    process = psutil.Process()
    assert mapped[7:].sum() == 4089 * 1024
    held = process.memory_info().rss
    drop_pages(mapped[7:])
    assert process.memory_info().rss < held - 12e6
    assert mapped.sum() == 4096 * 1024


def test_dropping_pages_loses_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(1000))
    for mode in ("r+", "c"):
        mapped = np.load(tmp_path / "a.npy", mmap_mode=mode)
        mapped[:] += 1
        drop_pages(mapped)
        assert mapped.min() == mapped.max() == (1 if mode == "r+" else 2)
    drop_pages(np.ones(3))


def test_waiting_for_a_lock(tmp_path):
    order = []
    held, told = threading.Event(), threading.Event()

    def first():
        with locked(tmp_path, "testing"):
            held.set()
            told.wait(20)
            order.append("first is done")

    def waiting():
        order.append("second waits")
        told.set()

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(20)
    with locked(tmp_path, "testing", waiting=waiting):
        order.append("second holds it")
    thread.join()
    assert order == ["second waits", "first is done", "second holds it"]


def content(folder):
    return {f.name: f.read_text() for f in folder.iterdir()}


def test_a_kill_while_a_folder_is_replaced_loses_neither(tmp_path, monkeypatch):
    """A kill after each of the steps that change the disk: old or new, and nothing in between."""
    steps = []

    def counted(change):
        def counting(*arguments, **named):
            steps.append(1)
            if len(steps) > allowed:
                raise KeyboardInterrupt
            return change(*arguments, **named)

        return counting

    for method in ("replace", "rename"):
        monkeypatch.setattr(Path, method, counted(getattr(Path, method)))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    for limit in range(8):
        allowed = limit
        place = tmp_path / str(limit) / "c"
        place.mkdir(parents=True)
        (place / "x").write_text("old")
        steps.clear()
        # As a kill: whatever clean-up would change the disk does not run either.
        with contextlib.suppress(KeyboardInterrupt), folder_written_beside(place) as folder:
            (folder / "x").write_text("new")
        finished = len(steps) <= limit
        allowed = 99
        found = content(recovered(place))
        assert found == {"x": "new"} if finished else found in ({"x": "old"}, {"x": "new"})
        with folder_written_beside(place) as folder:
            (folder / "x").write_text("newest")
        assert content(place) == {"x": "newest"}
        if finished:
            break
    assert finished and len(steps) >= 3


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "c").mkdir()
    (tmp_path / "c/x").write_text("old")
    replace = Path.replace

    def failing(self, target):
        if self.suffix == ".tmp":
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with (
        pytest.raises(StorageError, match="Input/output error"),
        folder_written_beside(tmp_path / "c") as folder,
    ):
        (folder / "x").write_text("new")
    assert content(tmp_path / "c") == {"x": "old"}
    assert [f.name for f in tmp_path.iterdir()] == ["c"]


def test_the_umask_holds_and_is_never_touched(tmp_path, monkeypatch):
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask of the whole process"))
    try:
        write_json(tmp_path / "a.json", 1)
        with folder_written_beside(tmp_path / "c") as folder:
            (folder / "x").write_text("")
        modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.json", "c", "c/x")]
        assert modes == [0o640, 0o750, 0o640]
    finally:
        monkeypatch.undo()
        os.umask(before)
