"""What a check of a data set finds: faults, which someone should mend, and notes."""

from collections.abc import Sequence
from dataclasses import dataclass

EXAMPLES = 5
"""How many of the images concerned a finding names."""

# Worst first: what keeps the data set from being used, what makes its figures wrong, what leaks.
FAULTS = (
    "cannot-be-opened",
    "missing",
    "undecodable",
    "no-positives-at-all",
    "positions-unknown",
    "positions-equal",
    "positions-are-degrees",
    "positions-swapped",
    "positions-outside-zone",
    "positions-far",
    "image-in-two-splits",
    "query-in-database",
    "place-in-two-splits",
)
"""The kinds of faults, worst first."""

NOTES = (
    "no-ground-truth",
    "queries-without-positives",
    "counts",
    "repeated",
    "not-there",
    "not-compared",
    "reader",
)
"""The kinds of notes, in the order in which they are told."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: a word of :data:`FAULTS` or :data:`NOTES`.
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


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Faults before notes, by their kind, and the more frequent first."""
    order = {kind: place for place, kind in enumerate((*FAULTS, *NOTES))}
    return tuple(sorted(findings, key=lambda found: (order[found.kind], -found.count)))
