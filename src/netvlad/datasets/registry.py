"""Every data set that can be opened by name: a new one is one reader and one record here."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from netvlad.datasets.readers import csv_table, pittsburgh, tokyo, utm_names
from netvlad.errors import DataError, SettingsError
from netvlad.types import PlaceDataset


class Reader(Protocol):
    """Opens one split of one format."""

    def __call__(self, root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
        """Read what is at ``root``; see the readers."""


@dataclass(frozen=True)
class DatasetRecord:
    """What is known about a data set before it is opened.

    Attributes:
        name: what it is called on the command line.
        splits: the splits it has; empty when the files on disk decide.
        read: opens one of them.
        description: one line for people.
        layout: one line that shows how its files should lie.
        citation: the paper, with its year.
        licence: what its owners allow, in a few words; empty for a mere format.
        source: where it is to be had: an address, and whether anyone may fetch it.
        counts: by split, how many (database, query) images its owners published.
    """

    name: str
    splits: tuple[str, ...]
    read: Reader
    description: str
    layout: str
    citation: str = ""
    licence: str = ""
    source: str = ""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


DATASETS: dict[str, DatasetRecord] = {
    record.name: record
    for record in (
        DatasetRecord(
            "pitts30k",
            ("train", "val", "test", "test250k"),
            pittsburgh.read_pitts30k,
            "Pittsburgh, Street View, 30,000 images (Arandjelović et al. 2016)",
            pittsburgh.LAYOUT,
        ),
        DatasetRecord(
            "pitts250k",
            ("train", "val", "test"),
            pittsburgh.read_pitts250k,
            "Pittsburgh, Street View, 250,000 images (Torii et al. 2013)",
            pittsburgh.LAYOUT,
        ),
        DatasetRecord(
            "tokyo247",
            ("test",),
            tokyo.read_tokyo247,
            "Tokyo by day, at sunset and by night, taken with phones (Torii et al. 2015)",
            tokyo.LAYOUT_247,
        ),
        DatasetRecord(
            "tokyo-time-machine",
            ("train", "val"),
            tokyo.read_tokyo_time_machine,
            "Tokyo, Street View of several years (Arandjelović et al. 2016)",
            tokyo.LAYOUT_TIME_MACHINE,
        ),
        DatasetRecord(
            "utm-names",
            (),
            utm_names.read_utm_names,
            "any images whose file names carry UTM positions (Berton et al. 2022)",
            utm_names.LAYOUT,
        ),
        DatasetRecord(
            "csv",
            (),
            csv_table.read_csv_table,
            "any images listed in a table with their positions",
            csv_table.LAYOUT,
        ),
    )
}


def open_dataset(
    name: str,
    data_dir: Path,
    split: str,
    *,
    utm_zone: str | None = None,
    radius_m: float | None = None,
) -> PlaceDataset:
    """Open one split of a data set by name. No image is read, nor checked for.

    Args:
        name: a key of :data:`DATASETS`.
        data_dir: the folder it lies in.
        split: one of its splits.
        utm_zone: the zone of its positions, where the format does not say; see the readers.
        radius_m: what counts as correct, in metres; None takes the data set's own.

    Raises:
        SettingsError: there is no such data set or split, or a setting has no valid value.
        DataError: files are missing or contradict each other; the message names them.
    """
    if name not in DATASETS:
        raise SettingsError(f"there is no data set called {name}{_choose(name, DATASETS)}")
    record = DATASETS[name]
    if record.splits and split not in record.splits:
        raise SettingsError(f"{name} has no split {split}{_choose(split, record.splits)}")
    if not split or "/" in split or split in (".", ".."):
        raise SettingsError(f"{split!r} cannot be the name of a split; it names a file or a folder")
    if radius_m is not None and not (math.isfinite(radius_m) and radius_m > 0):
        raise SettingsError(f"radius_m is {radius_m}; give a number of metres above 0")
    root = Path(data_dir)
    try:
        if not root.is_dir():
            trouble = "is not a folder" if root.exists() else "no such folder"
            raise DataError(f"{root}: {trouble}; {name} is expected there as {record.layout}")
        dataset = record.read(root, split, utm_zone=utm_zone)
    except OSError as error:
        place = error.filename or root
        raise DataError(f"{place}: cannot be read: {error.strerror or error}") from error
    if radius_m is None:
        return dataset
    return replace(dataset, radius_m=radius_m, train_radius_m=min(dataset.train_radius_m, radius_m))


def _choose(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    suggestion = f"did you mean {close[0]}? " if close else ""
    return f"; {suggestion}choose from {', '.join(known)}"
