"""Files that are either whole or absent: atomic writes, locks, free space, fingerprints."""

import contextlib
import glob
import hashlib
import json
import mmap
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
from numpy.typing import NDArray

from netvlad.errors import StorageError


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    The content reaches the disk before the rename, so after a crash ``path`` is the old file or
    the new one, never half of one. When the block fails the temporary file is removed.

    Raises:
        StorageError: the file cannot be written (no space, no permission); ``path`` is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = _beside(path, "tmp")
        # tempfile makes private files; results are ordinary ones, as the process's umask has them.
        beside.touch(mode=0o666, exist_ok=False)
        temporary = beside
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_beside(path: Path) -> Iterator[Path]:
    """Like :func:`written_beside` for a folder with several files: all of them appear, or none.

    An existing folder of that name is replaced. No system renames over a folder that has files, so
    the old one is renamed first and removed last: whenever a kill comes, one of them is whole, and
    :func:`recovered` finds it.

    Raises:
        StorageError: a file cannot be written; ``path`` is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        recovered(path)
        beside = _beside(path, "tmp")
        beside.mkdir()
        temporary = beside
        yield temporary
        for file in temporary.iterdir():
            _flush_to_disk(file)
        old = _beside(path, "old")
        if path.exists():
            path.replace(old)
        try:
            temporary.replace(path)
        finally:
            recovered(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def recovered(path: Path) -> Path:
    """Put a folder back that a kill, while it was replaced, has left under another name; ``path``.

    Raises:
        OSError: the folder cannot be renamed.
    """
    if not path.exists():
        for old in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
            return old.replace(path)
    return path


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, *, error: Callable[[str], Exception] = StorageError) -> Any:
    """Read a JSON file.

    Raises:
        error: the file is missing, unreadable or not JSON (:class:`StorageError` unless told).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as trouble:
        raise error(f"{path}: cannot be read: {trouble.strerror or trouble}") from trouble
    except ValueError as trouble:
        raise error(f"{path}: is not valid JSON ({trouble})") from trouble


@contextlib.contextmanager
def locked(
    folder: Path,
    purpose: str,
    *,
    name: str = ".lock",
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold ``folder``, made if need be, for one writer; a second one is refused at once, or waits.

    ``purpose`` is what the holder does, for the message (``"training"``); ``name`` the lock's file,
    where a folder has several. ``waiting`` is called once before a wait for the present holder,
    which lasts as long as that one lives; None does not wait.
    Raises:
        StorageError: another process holds the folder.
    """
    lock = filelock.FileLock(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if waiting is None:
                raise
            waiting()
            lock.acquire(poll_interval=0.5)
    except filelock.Timeout as error:
        raise StorageError(
            f"{folder}: another process is {purpose} here; wait for it or choose another folder"
        ) from error
    except OSError as error:
        raise StorageError(f"{folder}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def require_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Check for disk space before long work instead of failing at its end.

    Raises:
        StorageError: less than ``needed_bytes`` are free on the disk of ``folder``.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise StorageError(
            f"{folder}: {purpose} needs {_size(needed_bytes)} but only {_size(free)} are free; "
            "free some space or choose another folder"
        )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: bytes | str) -> str:
    """A short stable name (16 hex digits of SHA-256) for the given parts, in that order."""
    digest = hashlib.sha256()
    for part in parts:
        # A file's name need not be UTF-8.
        data = part.encode(errors="surrogateescape") if isinstance(part, str) else part
        # Lengths first, so that ("ab", "c") differs from ("a", "bc").
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


class Journal:
    """What long work has finished so far, one JSON line for each part, so that it can be resumed.

    A line is added after what it tells about has reached the disk. A line that a crash has cut off
    is dropped, and so is everything when the work's identity is another one.

    Attributes:
        entries: the parts finished before and since, in their order.
    """

    def __init__(self, path: Path, identity: Any) -> None:
        """Open the journal at ``path``, or begin one; its folder exists.

        ``identity`` is what the work depends on, as JSON types.

        Raises:
            StorageError: the file cannot be read or written.
        """
        self.path = path
        self._header = json.dumps({"identity": identity})
        try:
            lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
            if not lines or lines[0] != self._header.encode():
                lines = [self._header.encode()]
            self.entries: list[Any] = []
            for line in lines[1:]:
                try:
                    self.entries.append(json.loads(line))
                except ValueError:
                    break
            kept = b"".join(line + b"\n" for line in lines[: len(self.entries) + 1])
            with written_beside(path) as temporary:
                temporary.write_bytes(kept)
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error

    def add(self, entry: Any, *, of: IO[bytes] | None = None) -> None:
        """Note a finished part, as JSON types, once the open file ``of`` it is on the disk.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            if of is not None:
                of.flush()
                os.fsync(of.fileno())
            with self.path.open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.path}: cannot be written: {error.strerror or error}"
            ) from error
        self.entries.append(entry)

    def remove(self) -> None:
        """Forget everything: the work is finished, or no use any more."""
        self.path.unlink(missing_ok=True)


def drop_pages(array: NDArray[Any]) -> None:
    """Take the pages of a memory-mapped array out of this process; they stay in the file.

    A mapping counts as the process's memory once it was touched, though the system could take it
    back at any time. Whoever reads through a large file calls this after every block. Does
    nothing for ordinary arrays, and where the system has no such call.
    """
    # A private mapping (mode "c") would lose what was changed in it.
    if isinstance(array, np.memmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapping: mmap.mmap = array._mmap  # type: ignore[attr-defined]
        mapping.madvise(mmap.MADV_DONTNEED)


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.1 * scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count / 1e3:.2f} kB"


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _beside(path: Path, suffix: str) -> Path:
    """A hidden name beside ``path`` that nobody else takes."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{suffix}")
