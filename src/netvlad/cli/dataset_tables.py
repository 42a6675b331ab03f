"""What ``netvlad datasets`` prints."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from netvlad.cli.console import table_of
from netvlad.datasets import DATASETS, DatasetRecord
from netvlad.datasets.checking import use_of
from netvlad.datasets.findings import Checkup, Finding
from netvlad.datasets.getting import Source, source_of
from netvlad.reports.printable import printable
from netvlad.types import counted


def list_table() -> Table:
    """All data sets, a row each."""
    rows = (
        (
            one.name,
            one.description,
            f"{_images(one):,}" if one.counts else "",
            one.licence,
            one.source,
        )
        for one in DATASETS.values()
    )
    columns = ("name", "what it is", "images", "licence", "where to get it")
    return table_of("Data sets", columns, rows, right=("images",))


def record_figures(record: DatasetRecord) -> dict[str, Any]:
    """All that is known about a data set before it is opened, as JSON types."""
    source = source_of(record.name) if record.source else Source()
    return {
        "name": record.name,
        "description": record.description,
        "splits": list(record.splits),
        "part": record.part or None,
        "counts": {
            split: {"database": database, "queries": queries}
            for split, (database, queries) in record.counts.items()
        },
        "citation": record.citation,
        "licence": record.licence,
        "source": record.source,
        "layout": record.layout,
        "files": [file.url for file in source.files],
        "by_hand": list(source.by_hand or ()),
    }


def record_lines(record: DatasetRecord) -> Iterator[str]:
    """All that is known about a data set, for people."""
    yield f"{record.name}: {record.description}"
    splits = ", ".join(record.splits) if record.splits else "those that the files show"
    if record.part:
        splits += f" (or one {record.part} of a split: {record.splits[0]}:{record.part.upper()})"
    yield f"splits    {splits}"
    for split, (database, queries) in record.counts.items():
        yield f"  {split}: {counted(database, 'database images')}, {counted(queries, 'queries')}"
    for title, text in (
        ("citation", record.citation),
        ("licence", record.licence),
        ("source", record.source),
    ):
        if text:
            yield f"{title:<9} {text}"
    yield "the files should lie like this:"
    yield f"  {record.layout}"
    if record.source:
        source = source_of(record.name)
        if source.files:
            yield f"netvlad datasets get {record.name} fetches:"
            yield from (f"  {file.url}" for file in source.files)
        if source.by_hand:
            yield "and by hand:" if source.files else "by hand:"
            yield from by_hand_lines(source.by_hand)


def by_hand_lines(steps: tuple[str, ...]) -> Iterator[str]:
    """What a person has to do, numbered."""
    yield from (f"  {number}. {step}" for number, step in enumerate(steps, 1))


def checkup_figures(checkup: Checkup, data_dir: Path) -> dict[str, Any]:
    """A checkup as JSON types."""
    return {
        "dataset": checkup.dataset,
        "data_dir": str(data_dir),
        "splits": list(checkup.splits),
        "database": checkup.database,
        "queries": checkup.queries,
        "sound": checkup.is_sound,
        "findings": [
            {
                **asdict(finding),
                "examples": [printable(name) for name in finding.examples],
                "what": printable(finding.what),
                "fault": finding.is_fault,
            }
            for finding in checkup.findings
        ],
    }


def checkup_table(checkup: Checkup) -> Table:
    """What was found, worst first; the images concerned follow in :func:`example_lines`."""
    rows = (
        (
            "fault" if finding.is_fault else "note",
            finding.split,
            _count(finding),
            printable(finding.what),
            finding.remedy,
        )
        for finding in checkup.findings
    )
    title = f"{checkup.dataset}: what was found, worst first"
    columns = ("", "split", "how many", "what", "what to do")
    return table_of(title, columns, rows, right=("how many",))


def example_lines(checkup: Checkup) -> Iterator[str]:
    """The first few images of each finding."""
    for finding in checkup.findings:
        if finding.examples:
            yield f"{finding.split}: {printable(finding.what)}"
            yield from (f"  {printable(name)}" for name in finding.examples)
            if finding.count > len(finding.examples):
                yield f"  and {finding.count - len(finding.examples)} more"


def verdict(checkup: Checkup) -> str:
    """One line for the end."""
    faults = sum(finding.is_fault for finding in checkup.findings)
    return (
        f"{checkup.dataset}: {', '.join(checkup.splits)}: "
        f"{counted(checkup.database, 'database images')} and "
        f"{counted(checkup.queries, 'queries')}: "
        f"{counted(faults, 'faults') if faults else 'all is well'}"
    )


def _images(record: DatasetRecord) -> int:
    """Published images; of several splits of one use, which share theirs, the first counts."""
    first: dict[str, tuple[int, int]] = {}
    for split, counts in record.counts.items():
        first.setdefault(use_of(split), counts)
    return sum(map(sum, first.values()))


def _count(finding: Finding) -> str:
    if not finding.count:
        return ""
    return f"{finding.count} of {finding.of}" if finding.of else str(finding.count)
