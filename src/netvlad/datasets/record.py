"""What is known about a data set before it is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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
        part: what may follow a split and a colon to open a part of it, such as ``city`` in
            ``val:sf``; empty where nothing may.
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
    part: str = ""

    def has_split(self, split: str) -> bool:
        """Whether ``split`` can be asked for; what its part may be is the reader's business."""
        known = split.partition(":")[0] if self.part else split
        return not self.splits or known in self.splits
