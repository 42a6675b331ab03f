"""Unpacking archives from the network: nothing leaves the folder, nothing is overwritten."""

import filecmp
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from netvlad.errors import DataError, StorageError
from netvlad.storage import require_space
from netvlad.types import Progress, Reporter, silent

_Member = tuple[str, int, Callable[[], Any]]
"""A regular file of an archive: its name, its length, and what opens it."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar archive that :func:`unpack` can unpack."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path, *, report: Reporter = silent) -> int:
    """Unpack a zip or a tar archive (plain, gzip, bzip2 or xz).

    Files appear when all of them could be unpacked. One that is there already is left alone when
    it is the same, and otherwise nothing is unpacked: no image is ever overwritten.

    Args:
        archive: the archive.
        folder: where to; made if need be.
        report: progress in files.

    Returns:
        how many files it holds.

    Raises:
        DataError: it is no archive or damaged; a member would lie outside ``folder``, is a link or
            no regular file; or another file of that name exists.
        StorageError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as name:
            temporary = Path(name)
            with _opened(archive) as members:
                require_space(folder, sum(size for _, size, _ in members), "unpacking")
                for done, (member, _, opened) in enumerate(members, 1):
                    target = temporary / member
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with _errors_of(archive), opened() as source, target.open("xb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
                    report(Progress(f"Unpacking {archive.name}", done, len(members), "files"))
            _move_all(temporary, folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return len(members)


@contextmanager
def _opened(path: Path) -> Iterator[list[_Member]]:
    """The members of an open archive."""
    with ExitStack() as stack:
        with _errors_of(path):
            if zipfile.is_zipfile(path):
                members = _zip_members(path, stack.enter_context(zipfile.ZipFile(path)))
            elif tarfile.is_tarfile(path):
                members = _tar_members(path, stack.enter_context(tarfile.open(path)))
            else:
                raise DataError(f"{path}: is neither a zip nor a tar archive; fetch it again")
        yield members


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """What the readers of archives raise on damaged ones, as one error."""
    try:
        yield
    except (DataError, StorageError, KeyboardInterrupt):
        raise
    except OSError as error:
        # A full disk is no fault of the archive; a damaged stream has no error number.
        if error.errno is not None:
            raise
        raise DataError(f"{path}: is damaged ({error}); delete it and fetch it again") from error
    except Exception as error:  # zlib, lzma, struct, RuntimeError of a password, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be unpacked ({reason})") from error


def _zip_members(path: Path, archive: zipfile.ZipFile) -> list[_Member]:
    members: list[_Member] = []
    for entry in archive.infolist():
        mode = stat.S_IFMT(entry.external_attr >> 16)
        _check(path, entry.filename, mode in (0, stat.S_IFREG, stat.S_IFDIR))
        if not entry.is_dir():
            members.append((entry.filename, entry.file_size, partial(archive.open, entry)))
    return members


def _tar_members(path: Path, archive: tarfile.TarFile) -> list[_Member]:
    members: list[_Member] = []
    for entry in archive.getmembers():
        _check(path, entry.name, entry.isreg() or entry.isdir())
        if entry.isreg():
            members.append((entry.name, entry.size, partial(archive.extractfile, entry)))
    return members


def _check(path: Path, name: str, is_plain: bool) -> None:
    """Refuse links, devices, and names that lead out of the folder on any system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{path}: {name!r} would be unpacked outside the folder; do not trust it")
    if not is_plain:
        raise DataError(f"{path}: {name} is a link or a device; unpack it by hand")


def _move_all(source: Path, folder: Path) -> None:
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    fresh = [file for file in files if not os.path.lexists(folder / file)]
    for file in sorted(set(files) - set(fresh)):
        there = folder / file
        if not there.is_file() or not filecmp.cmp(source / file, there, shallow=False):
            raise DataError(
                f"{there}: exists already and is another file than the archive's; move it away"
            )
    for file in fresh:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # A folder of the data set may be a link to another disk, where a rename does not reach.
        shutil.move(source / file, folder / file)
