"""What a check of a data set finds: faults, which someone should mend, and notes."""

from collections.abc import Sequence
from dataclasses import dataclass

EXAMPLES = 5
"""How many of the images concerned a finding names."""

# Worst first: what keeps the data set from being used, what makes its figures wrong, what leaks.
FAULTS = {
    "cannot-be-opened": "",
    "missing": "unpack all archives, or correct --data-dir",
    "undecodable": "fetch these files again",
    "no-positives-at-all": "look whether database and queries have their positions in the same "
    "zone",
    "positions-unknown": "fill them in, or remove these images",
    "positions-equal": "look at what the positions were read from",
    "positions-are-degrees": "name the columns latitude and longitude, or convert them to UTM "
    "metres",
    "positions-swapped": "swap the two back",
    "positions-outside-zone": "correct them, or give the right zone with --utm-zone",
    "positions-far": "correct them, or split the data set by city",
    "image-in-two-splits": "remove them from one: what is trained on must not be tested on",
    "query-in-database": "remove them from one of the two: finding the same picture proves nothing",
    "place-in-two-splits": "leave a gap between splits (netvlad datasets split makes one)",
}
"""The kinds of faults, worst first, and what to do about each."""

_NOTES = ("no-ground-truth", "queries-without-positives", "counts", "repeated", "not-there")
_REMEDIES = {
    **FAULTS,
    **dict.fromkeys(_NOTES, ""),
    "not-compared": "leave --split out",
    "reader": "",
}
"""The same with notes behind them, in the order in which they are told."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: a key of :data:`FAULTS`, or that of a note.
        split: the split, or the two splits ("train, test"), that it concerns.
        count: how many images, pictures or queries it concerns; 0 where nothing is counted.
        of: how many there are in all; 0 where that says nothing.
        what: what was found, without its count: "images that are not there", or a sentence.
        remedy: what to do about it; empty for what needs nothing.
        examples: the first few images concerned.
    """

    kind: str
    split: str
    count: int
    of: int
    what: str
    remedy: str = ""
    examples: tuple[str, ...] = ()

    @property
    def is_fault(self) -> bool:
        """Whether it makes the data set fail its check."""
        return self.kind in FAULTS


@dataclass(frozen=True)
class Checkup:
    """What a check found.

    Attributes:
        dataset: the data set's name.
        splits: the splits that could be opened and were checked.
        database: how many database images they list together.
        queries: how many queries.
        findings: worst first.
    """

    dataset: str
    splits: tuple[str, ...]
    database: int
    queries: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether no fault was found; notes do not count."""
        return not any(finding.is_fault for finding in self.findings)


def finding(
    kind: str,
    split: str,
    what: str,
    concerned: Sequence[str] = (),
    *,
    count: int | None = None,
    of: int = 0,
) -> Finding:
    """A finding with the remedy of its kind; it counts the images concerned, and names a few."""
    count = len(concerned) if count is None else count
    return Finding(kind, split, count, of, what, _REMEDIES[kind], tuple(concerned[:EXAMPLES]))


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Faults before notes, by their kind, and the more frequent first."""
    order = list(_REMEDIES)
    return tuple(sorted(findings, key=lambda found: (order.index(found.kind), -found.count)))
