"""Fetching a data set: what is open is downloaded, verified and unpacked, the rest is explained."""

from dataclasses import dataclass
from pathlib import Path

from netvlad.datasets.registry import DATASETS
from netvlad.datasets.sources import SOURCES, Source
from netvlad.datasets.unpacking import is_archive, unpack
from netvlad.downloading import RemoteFile, download
from netvlad.errors import SettingsError
from netvlad.storage import Journal, locked
from netvlad.types import Note, Reporter, counted, silent

_JOURNAL = ".netvlad-get.json"
_LOCK = ".netvlad-get.lock"


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
        raise SettingsError(
            f"there is no data set called {name}; netvlad datasets list shows which there are"
        )
    found, record = SOURCES.get(name, Source()), DATASETS[name]
    if found.by_hand is not None:
        return found
    if not record.source:
        raise SettingsError(
            f"{name} is a format for your own images, not something to fetch; they should lie as "
            f"{record.layout}"
        )
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
        wait_s: before a broken connection is taken up again.

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
            _get_file(file, data_dir, keep_archives, report, wait_s)
            journal.add({"url": file.url, "sha256": file.sha256})
            fetched.append(file.name)
    return Got(tuple(fetched), tuple(had), found.by_hand or ())


def _get_file(
    file: RemoteFile, data_dir: Path, keep_archive: bool, report: Reporter, wait_s: float
) -> None:
    path = download(file, data_dir, report=report, wait_s=wait_s)
    if not is_archive(path):
        return
    count = unpack(path, data_dir / file.into, report=report)
    report(Note(f"{file.name}: {counted(count, 'files')} unpacked into {data_dir / file.into}."))
    if not keep_archive:
        path.unlink()
