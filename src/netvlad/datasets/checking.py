"""Is a data set what it should be? Files, pictures, positions, and what splits must not share."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from netvlad.datasets.checking_images import (
    duplicate_findings,
    examine_images,
    image_findings,
    listed_images,
)
from netvlad.datasets.checking_positions import position_findings, shared_places
from netvlad.datasets.findings import Checkup, Finding, finding, worst_first
from netvlad.datasets.registry import DATASETS, DatasetRecord, open_dataset
from netvlad.errors import DataError, SettingsError
from netvlad.types import PlaceDataset, Reporter, silent

_USES = ("train", "val", "test", "")


def check_dataset(
    name: str,
    data_dir: Path,
    *,
    split: str | None = None,
    utm_zone: str | None = None,
    fast: bool = False,
    threads: int = 8,
    report: Reporter = silent,
) -> Checkup:
    """Check a data set: every image, every position, and that no place is in two splits.

    Args:
        name, data_dir, utm_zone: see :func:`netvlad.datasets.open_dataset`.
        split: one split; None checks all that are there, and compares them.
        fast: read the headers of images only, instead of decoding them.
        threads: how many read images at once.
        report: called with the progress.

    Raises:
        SettingsError: there is no such data set or split, or no split can be found to check.
        DataError: the split asked for cannot be opened, or none can.
    """
    if threads < 1:
        raise SettingsError(f"threads is {threads}; give 1 or more")
    more: list[Finding] = []
    if split is None:
        datasets, more = _open_all(name, Path(data_dir), utm_zone)
    else:
        datasets = [open_dataset(name, data_dir, split, utm_zone=utm_zone)]
        if len(splits_on_disk(name, Path(data_dir))) > 1:
            what = f"only {split} was checked, so it was not compared with other splits"
            more = [finding("not-compared", split, what)]
    checkup = check_splits(
        datasets, record=DATASETS[name], fast=fast, threads=threads, report=report
    )
    return replace(checkup, findings=worst_first([*checkup.findings, *more]))


def check_splits(
    datasets: Sequence[PlaceDataset],
    *,
    record: DatasetRecord | None = None,
    fast: bool = False,
    threads: int = 8,
    report: Reporter = silent,
) -> Checkup:
    """Check one or more open splits of one data set, as :func:`check_dataset` does.

    ``record`` is what was published about it, to compare the counts with.
    """
    findings: list[Finding] = []
    for dataset in datasets:
        findings += [finding("reader", dataset.split, note.rstrip(".")) for note in dataset.notes]
        findings += _counts(dataset, record) + position_findings(dataset)
    for first, second in combinations(datasets, 2):
        if are_apart(first.split, second.split):
            findings += shared_places(first, second)
    rows = [row for dataset in datasets for row in listed_images(dataset)]
    places = {path: i for i, path in enumerate(dict.fromkeys(row.path for row in rows))}
    states = examine_images(list(places), fast=fast, threads=threads, report=report)
    of_rows = [states[places[row.path]] for row in rows]
    findings += image_findings(rows, of_rows)
    findings += duplicate_findings(rows, of_rows, apart=are_apart)
    return Checkup(
        dataset=datasets[0].name,
        splits=tuple(dataset.split for dataset in datasets),
        database=sum(len(dataset.database) for dataset in datasets),
        queries=sum(len(dataset.queries) for dataset in datasets),
        findings=worst_first(findings),
    )


def are_apart(first: str, second: str) -> bool:
    """Whether two splits must not share places: those of train, val and test by their names.

    Splits of one use may share places, and so may those whose names tell no use, such as the
    traverses of one route.

    Examples:
        >>> are_apart("train", "test-night"), are_apart("test", "test250k")
        (True, False)
    """
    uses = use_of(first), use_of(second)
    return uses[0] != uses[1] and "" not in uses


def use_of(split: str) -> str:
    """``train``, ``val`` or ``test`` by how the split's name begins; else ``""``."""
    return next(use for use in _USES if split.startswith(use))


def splits_on_disk(name: str, data_dir: Path) -> tuple[str, ...]:
    """The splits of a data set: those of its record, or those that the files show.

    Files that show a split are tables with the columns image and role; else folders with a folder
    ``database``; else folders with a list ``database.txt``.

    Raises:
        DataError: there is no such folder.
    """
    record = DATASETS[name]
    if record.splits:
        return record.splits
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; {name} is expected there as {record.layout}")
    # A reader knows but one of these; whoever has several of them has to name a split.
    found = (
        {path.stem for path in data_dir.glob("*.csv") if _lists_roles(path)}
        or {path.parent.name for path in data_dir.glob("*/database") if path.is_dir()}
        | {path.parent.name for path in data_dir.glob("images/*/database") if path.is_dir()}
        or {path.parent.name for path in data_dir.glob("*/database.txt")}
    )
    return tuple(sorted(found, key=lambda split: (_USES.index(use_of(split)), split)))


def _open_all(
    name: str, data_dir: Path, utm_zone: str | None
) -> tuple[list[PlaceDataset], list[Finding]]:
    """Every split that can be opened, and findings on those that cannot."""
    if name not in DATASETS:
        open_dataset(name, data_dir, "test")  # tells which there are
    splits = splits_on_disk(name, data_dir)
    if not splits:
        raise SettingsError(f"{data_dir}: shows no splits of {name}; name one with --split")
    datasets, findings = [], []
    first: DataError | None = None
    for split in splits:
        try:
            datasets.append(open_dataset(name, data_dir, split, utm_zone=utm_zone))
        except DataError as error:
            first = first or error
            # Many people have only some of the splits; a damaged one is another matter.
            kind = "not-there" if ": no such " in str(error) else "cannot-be-opened"
            findings.append(finding(kind, split, str(error)))
    if not datasets and first is not None:
        raise first
    return datasets, findings


def _lists_roles(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(10_000).lower()
    except (OSError, UnicodeDecodeError):
        return False
    return "image" in header and "role" in header


def _counts(dataset: PlaceDataset, record: DatasetRecord | None) -> list[Finding]:
    counts = len(dataset.database), len(dataset.queries)
    published = record.counts.get(dataset.split, counts) if record else counts
    # Who opened it by its name has been told.
    known = any(note.startswith(f"{counts[0]} database and ") for note in dataset.notes)
    if known or counts == published:
        return []
    what = f"{counts[0]} database images and {counts[1]} queries"
    told = f"{what}; published were {published[0]} and {published[1]}"
    return [finding("counts", dataset.split, told)]
