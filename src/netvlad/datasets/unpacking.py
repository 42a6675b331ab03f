"""Unpacking archives from the network: nothing leaves the folder, nothing is overwritten."""

import filecmp
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from netvlad.errors import DataError, StorageError
from netvlad.storage import require_space
from netvlad.types import Progress, Reporter, silent


class _Member(NamedTuple):
    """A regular file of an archive: its name, its length, and the entry itself."""

    name: str
    size: int
    entry: tarfile.TarInfo | zipfile.ZipInfo


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
            with _opened(archive) as (members, open_member):
                require_space(folder, sum(member.size for member in members), "unpacking")
                for done, member in enumerate(members, 1):
                    target = temporary / member.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with _errors_of(archive), open_member(member) as source:
                        _write(source, target)
                    report(Progress(f"Unpacking {archive.name}", done, len(members), "files"))
            _move_all(temporary, folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return len(members)


class _Opener:
    """Opens members of one archive."""

    def __init__(self, archive: tarfile.TarFile | zipfile.ZipFile) -> None:
        self.archive = archive

    def __call__(self, member: _Member) -> IO[bytes]:
        if isinstance(self.archive, zipfile.ZipFile):
            assert isinstance(member.entry, zipfile.ZipInfo)
            return self.archive.open(member.entry)
        assert isinstance(member.entry, tarfile.TarInfo)
        source = self.archive.extractfile(member.entry)
        assert source is not None  # only regular files are listed
        return source


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[_Member], _Opener]]:
    with _errors_of(path):
        zipped = zipfile.is_zipfile(path)
        if not zipped and not tarfile.is_tarfile(path):
            raise DataError(f"{path}: is neither a zip nor a tar archive; fetch it again")
    with ExitStack() as stack:
        with _errors_of(path):
            if zipped:
                zip_file = stack.enter_context(zipfile.ZipFile(path))
                found = _zip_members(path, zip_file), _Opener(zip_file)
            else:
                tar_file = stack.enter_context(tarfile.open(path))
                found = _tar_members(path, tar_file), _Opener(tar_file)
        yield found


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
    members = []
    for entry in archive.infolist():
        _check_name(path, entry.filename)
        mode = entry.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{path}: {entry.filename} is a link or a device; unpack it by hand")
        if not entry.is_dir():
            members.append(_Member(entry.filename, entry.file_size, entry))
    return members


def _tar_members(path: Path, archive: tarfile.TarFile) -> list[_Member]:
    members = []
    for entry in archive.getmembers():
        _check_name(path, entry.name)
        if not (entry.isreg() or entry.isdir()):
            raise DataError(f"{path}: {entry.name} is a link or a device; unpack it by hand")
        if entry.isreg():
            members.append(_Member(entry.name, entry.size, entry))
    return members


def _check_name(path: Path, name: str) -> None:
    """Refuse names that lead out of the folder, on any system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts and name.strip("./") == "":
        return  # the folder itself
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{path}: {name!r} would be unpacked outside the folder; do not trust it")


def _write(source: IO[bytes], target: Path) -> None:
    with target.open("xb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def _move_all(source: Path, folder: Path) -> None:
    files = [
        (Path(where) / name).relative_to(source)
        for where, _, names in os.walk(source)
        for name in names
    ]
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
