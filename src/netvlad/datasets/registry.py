"""Every data set that can be opened by name: a new one is one reader and one record."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from netvlad.datasets.format_records import FORMAT_RECORDS
from netvlad.datasets.published_records import PUBLISHED_RECORDS
from netvlad.datasets.record import DatasetRecord, Reader
from netvlad.errors import DataError, SettingsError
from netvlad.types import PlaceDataset

__all__ = ["DATASETS", "DatasetRecord", "Reader", "open_dataset"]

DATASETS: dict[str, DatasetRecord] = {
    record.name: record for record in (*PUBLISHED_RECORDS, *FORMAT_RECORDS)
}
"""All records by their name."""


def open_dataset(
    name: str,
    data_dir: str | Path,
    split: str,
    *,
    utm_zone: str | None = None,
    radius_m: float | None = None,
) -> PlaceDataset:
    """Open one split of a data set by name. No image is read, nor checked for.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> table = "image,role,easting,northing\\na.jpg,database,0,0\\nb.jpg,query,9,0\\n"
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "test.csv").write_text(table)
        ...     dataset = open_dataset("csv", folder, "test")
        >>> dataset.database.names, dataset.queries.names, dataset.radius_m
        (('a.jpg',), ('b.jpg',), 25.0)

    Args:
        name: a key of :data:`DATASETS`.
        data_dir: the folder it lies in.
        split: one of its splits, perhaps with a part of it behind a colon, see the record.
        utm_zone: the zone of its positions, where the format does not say; see the readers.
        radius_m: what counts as correct, in metres; None takes the data set's own.

    Raises:
        SettingsError: there is no such data set or split, or a setting has no valid value.
        DataError: files are missing or contradict each other; the message names them.
    """
    if name not in DATASETS:
        raise SettingsError(f"there is no data set called {name}{_choose(name, DATASETS)}")
    record = DATASETS[name]
    if not record.has_split(split):
        asked = split.partition(":")[0] if record.part else split
        raise SettingsError(f"{name} has no split {asked}{_choose(asked, record.splits)}")
    if not split or "/" in split or split in (".", ".."):
        raise SettingsError(f"{split!r} cannot be the name of a split; it names a file or a folder")
    if radius_m is not None and not (math.isfinite(radius_m) and radius_m > 0):
        raise SettingsError(f"radius_m is {radius_m}; give a number of metres above 0")
    if utm_zone and not record.has_positions:
        raise SettingsError(f"utm_zone is {utm_zone} but {name} has no positions; leave it out")
    root = Path(data_dir)
    try:
        if not root.is_dir():
            trouble = "is not a folder" if root.exists() else "no such folder"
            raise DataError(f"{root}: {trouble}; {name} is expected there as {record.layout}")
        dataset = record.read(record, root, split, utm_zone)
    except OSError as error:
        place = error.filename or root
        raise DataError(f"{place}: cannot be read: {error.strerror or error}") from error
    dataset = replace(dataset, notes=(*_note_on_counts(record, dataset), *dataset.notes))
    if radius_m is None:
        return dataset
    if dataset.positives is not None:
        told = f"{name} says image by image what is correct"
        raise SettingsError(f"radius_m is {radius_m} but {told}; leave it out")
    return replace(dataset, radius_m=radius_m, train_radius_m=min(dataset.train_radius_m, radius_m))


def _note_on_counts(record: DatasetRecord, dataset: PlaceDataset) -> tuple[str, ...]:
    """A note when the numbers differ; a count is never a reason not to open a data set."""
    found = len(dataset.database), len(dataset.queries)
    published = record.counts.get(dataset.split.partition(":")[0], found)
    if found == published:
        return ()
    return (
        f"{found[0]} database and {found[1]} query images; the published split {dataset.split} of "
        f"{record.name} has {published[0]} and {published[1]}.",
    )


def _choose(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    suggestion = f"did you mean {close[0]}? " if close else ""
    return f"; {suggestion}choose from {', '.join(known)}"
