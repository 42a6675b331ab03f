"""Fetching a data set: what is open is downloaded, verified and unpacked, the rest is explained.

Nothing that is unpacked leaves the folder, and nothing is overwritten.
"""

import filecmp
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from netvlad.datasets.registry import DATASETS
from netvlad.downloading import RemoteFile, download
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.storage import Journal, locked, require_space
from netvlad.types import Note, Progress, Reporter, counted, silent

_JOURNAL = ".netvlad-get.json"
_LOCK = ".netvlad-get.lock"

_Member = tuple[str, int, Callable[[], Any]]
"""A regular file of an archive: its name, its length, and what opens it."""


@dataclass(frozen=True)
class Source:
    """Where a data set is to be had.

    Attributes:
        files: what anyone may fetch.
        by_hand: what a person has to do for the rest, a step each; empty when there is no rest,
            and None when the data set's record says it.
    """

    files: tuple[RemoteFile, ...] = ()
    by_hand: tuple[str, ...] | None = None


# The lists of Pittsburgh and Tokyo, from the authors of NetVLAD. No SHA-256 is published.
_LISTS = RemoteFile(
    url="https://www.di.ens.fr/willow/research/netvlad/data/netvlad_v100_datasets.tar.gz",
    name="netvlad_v100_datasets.tar.gz",
)
_ASK = (
    "The images are given out on request: write to R. Arandjelović, as told at "
    "https://github.com/Relja/netvlad/issues/42."
)
_PITTSBURGH = Source(
    (_LISTS,),
    (
        _ASK,
        "Unpack 000.tar … 010.tar and queries_real.tar in the data folder, so that 000/ … 010/, "
        "queries_real/ and datasets/ lie side by side.",
    ),
)

_GSV_CITIES = (
    "https://raw.githubusercontent.com/amaralibey/gsv-cities/"
    "77ffffc23115e5ba966e108895343693ec49cbb2/datasets"
)
# Name, length and SHA-256, as far as they are known, of the lists that gsv-cities keeps in its
# repository, at one commit, so that they never change.
_GSV_FILES = """
msls_val_dbImages.npy
msls_val_qImages.npy 260084 e0fed29d6e7f3dcf49b0a369208117ca1dbc96abb2b333bbfc2faaea862a52f8
msls_val_qIdx.npy 6048 86450683428acb010038137355748049b665ab86e68d2a09d5a3631de251a382
msls_val_pIdx.npy 103297 96dfa5b174c8cb805992a70aa28f8eaf48fd7fac2c44e93dac248ee23ab84427
Nordland_dbImages.npy 1655648 57ddf16a7db2cbb6fb3933faa60df25f881a002232ddf8ffe5bbdac3a5247050
Nordland_qImages.npy 187808 44c19608e365283b92abdcc38a725b113dfc48f0614da26fcfa9849b60b31b33
Nordland_gt.npy 214898 0d523784bb8fb2f12adf228b445463da62f46245a5648fbe8a3d84e3d1090ea9
SPED_dbImages.npy 36548 8984239ca9924a5267f8534d6799ec90b521911a6decf5e4a501acf1397e0aab
SPED_qImages.npy 41404 ef5dc51d06e4703a2cbb4216a7a78f83847af0da605ef7d198994887bf5de4b1
SPED_gt.npy 4984 8db70792fb609b49c052baab76f81e4f651b52e682fd92b32c079e3de444ea5a
ESSEX_dbImages.npy 12728 4ce1508b3c76d1248ece802b8bbec796830728922978c6e7a2fedf90b15d0e5b
ESSEX_qImages.npy 14408 1d6f43589e368f5363539f5b48c6aa4d1d13632afb697ddfc99df15f214b64ed
ESSEX_gt.npy 1808 2f2ee766f2ea2fb3a113825ba8343dc3b3f00f09baf7d1fc1b170c7ebda0f1ee
pitts30k_val_dbImages.npy 1080128 af6dace3f36daa9e1088911876bdbb731c84d44299589193f4416578176e5ce4
pitts30k_val_qImages.npy 1217408 5ac592c9ebf3a8ed56098870b476b22c7cadc086db9ba51f3eda8eef4933c01b
pitts30k_val_gt.npy
pitts30k_test_dbImages.npy 1080128 cbb45fa79154ad85da86e9f4500469e1363b173b68ff8569c82c2739ac68506d
pitts30k_test_qImages.npy 1090688 7e26a66c2e3a855622e8cfa5cff66d0b79fe90c64aa4261a7b4cb42363b979cf
pitts30k_test_gt.npy
"""


def _of_gsv_cities(folder: str, prefix: str) -> Source:
    files = []
    for name, *known in map(str.split, _GSV_FILES.strip().splitlines()):
        if name.startswith(f"{prefix}_"):
            size, sha256 = (int(known[0]), known[1]) if known else (None, None)
            url = f"{_GSV_CITIES}/{folder}/{name}"
            files.append(RemoteFile(url=url, name=name, size_bytes=size, sha256=sha256))
    return Source(tuple(files))


SOURCES: Mapping[str, Source] = {
    "pitts30k": _PITTSBURGH,
    "pitts250k": _PITTSBURGH,
    "tokyo247": Source(
        (_LISTS,),
        (
            _ASK,
            "Unpack 03814.tar … 03829.tar in a folder images/ of the data folder, and "
            "247query_subset_v2.zip (the version that papers use) in the data folder itself.",
        ),
    ),
    "tokyo-time-machine": Source(
        (_LISTS,), (_ASK, "Unpack them so that they lie in a folder images/ of the data folder.")
    ),
    "msls": Source(
        by_hand=(
            "Log in at https://www.mapillary.com/dataset/places, accept the terms, and download "
            "all archives of Mapillary Street-Level Sequences.",
            "Unpack metadata.zip, the patch of version 1.1 if there is one, and the archives of "
            "images in the data folder, so that train_val/ and test/ lie side by side.",
        ),
    ),
    "msls-lists": _of_gsv_cities("msls_val", "msls_val"),
    "nordland": _of_gsv_cities("Nordland", "Nordland"),
    "sped": _of_gsv_cities("SPED", "SPED"),
    "essex3in1": _of_gsv_cities("ESSEX", "ESSEX"),
    "pitts30k-lists": _of_gsv_cities("Pittsburgh", "pitts30k"),
}
"""By the name of the data set."""


@dataclass(frozen=True)
class Got:
    """What fetching a data set came to.

    Attributes:
        fetched: the names of the files that were fetched and unpacked now.
        had: those that an earlier call had fetched and unpacked.
        by_hand: what is left to do for a person, a step each.
    """

    fetched: tuple[str, ...]
    had: tuple[str, ...]
    by_hand: tuple[str, ...]


def source_of(name: str) -> Source:
    """Where a data set is to be had.

    Raises:
        SettingsError: there is no data set of that name, or it is a mere format.
    """
    if name not in DATASETS:
        remedy = "netvlad datasets list shows which there are"
        raise SettingsError(f"there is no data set called {name}; {remedy}")
    found, record = SOURCES.get(name, Source()), DATASETS[name]
    if found.by_hand is not None:
        return found
    if not record.source:
        told = "a format for your own images, not something to fetch"
        raise SettingsError(f"{name} is {told}; they should lie as {record.layout}")
    by_hand = (
        f"Get the images from: {record.source}.",
        f"Let them lie in the data folder as {record.layout}.",
    )
    return Source(found.files, by_hand)


def get_dataset(
    name: str,
    data_dir: Path,
    *,
    source: Source | None = None,
    keep_archives: bool = False,
    report: Reporter = silent,
    wait_s: float = 2.0,
) -> Got:
    """Fetch and unpack what is open of a data set; repeat the call to resume where it stopped.

    Args:
        name: the data set.
        data_dir: its folder; made if need be.
        source: where it is to be had; None takes :func:`source_of`.
        keep_archives: leave archives there after unpacking.
        report: called with the progress.
        wait_s: seconds before a broken connection is taken up again.

    Raises:
        SettingsError: there is no such data set, or nothing to fetch.
        DataError: a file cannot be fetched, is not the published one, or cannot be unpacked.
        StorageError: it cannot be written, or another process is fetching into this folder.
    """
    found = source if source is not None else source_of(name)
    if not found.files:
        return Got((), (), found.by_hand or ())
    fetched, had = [], []
    with locked(data_dir, "downloading", name=_LOCK):
        journal = Journal(data_dir / _JOURNAL, "netvlad datasets get")
        done = {(entry["url"], entry["sha256"]) for entry in journal.entries}
        for file in found.files:
            if (file.url, file.sha256) in done:
                had.append(file.name)
                continue
            path = download(file, data_dir, report=report, wait_s=wait_s)
            if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
                into = data_dir / file.into
                count = unpack(path, into, report=report)
                report(Note(f"{file.name}: {counted(count, 'files')} unpacked into {into}."))
                if not keep_archives:
                    path.unlink()
            journal.add({"url": file.url, "sha256": file.sha256})
            fetched.append(file.name)
    return Got(tuple(fetched), tuple(had), found.by_hand or ())


def unpack(archive: Path, folder: Path, *, report: Reporter = silent) -> int:
    """Unpack a zip or a tar archive (plain, gzip, bzip2 or xz); how many files it holds.

    Files appear when all of them could be unpacked. One that is there already is left alone when
    it is the same, and otherwise nothing is unpacked: no image is ever overwritten. The folder is
    made if need be.

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
            told = "exists already and is another file than the archive's"
            raise DataError(f"{there}: {told}; move it away")
    for file in fresh:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # A folder of the data set may be a link to another disk, where a rename does not reach.
        shutil.move(source / file, folder / file)
