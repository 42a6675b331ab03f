"""What is known about a data set before it is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from netvlad.errors import DataError
from netvlad.types import PlaceDataset


class Reader(Protocol):
    """Opens one split of one format; a record binds what is peculiar to its data set."""

    def __call__(
        self, record: "DatasetRecord", root: Path, split: str, utm_zone: str | None
    ) -> PlaceDataset:
        """Read what is at ``root``; whether the images exist is not checked.

        Args:
            record: the data set's: its name, and its layout for errors.
            root: the folder it lies in.
            split: one of its splits, perhaps with a part of it behind a colon.
            utm_zone: the zone to bring positions to, or the one they are in where the format does
                not say; None leaves it to the reader. Never given where there are no positions.

        Raises:
            DataError: files are missing, damaged or contradict each other.
            SettingsError: ``utm_zone`` is not a zone, or there is no such part of the split.
        """


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
        has_positions: whether images have positions; else lists or frames say what is correct.
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
    has_positions: bool = True

    def has_split(self, split: str) -> bool:
        """Whether ``split`` can be asked for; what its part may be is the reader's business."""
        known = split.partition(":")[0] if self.part else split
        return not self.splits or known in self.splits

    def error(self, path: Path, trouble: str) -> DataError:
        """An error that names a file or a folder, and shows how the files should lie."""
        return DataError(f"{path}: {trouble}; expected {self.layout}")

    def found(self, *places: Path, folder: bool = False) -> Path:
        """The first of some places at which there is a file, or a folder.

        Raises:
            DataError: there is none; the first is named.
        """
        for place in places:
            if place.is_dir() if folder else place.exists():
                return place
        raise self.error(places[0], f"no such {'folder' if folder else 'file'}")
