"""Sections that arrive in any order, for a file whose journal wants them in theirs."""

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.descriptors.rows import FileRows
from netvlad.images import Unreadable


class SectionsInAnyOrder:
    """Writes the rows of sections as they come.

    Rows go to their place in the file at once, so nothing piles up in memory. The journal is told
    of a section when all before it are there: a kill costs those that had run ahead.
    """

    def __init__(self, rows: FileRows, total: int, section: int) -> None:
        """Go on with a file.

        Args:
            rows: where rows go.
            total: N, images in all.
            section: images of each section, but perhaps the last.
        """
        self._rows, self._total, self._section = rows, total, section
        self._next = rows.sections_done
        self._ahead: dict[int, list[Unreadable]] = {}
        self.done = min(self._next * section, total)

    def missing(self) -> list[range]:
        """The images of each section that is not there."""
        first = range(self._next * self._section, self._total, self._section)
        return [
            range(begin, min(begin + self._section, self._total))
            for begin in first
            if begin // self._section not in self._ahead
        ]

    def put(self, begin: int, values: NDArray[np.floating], unreadable: list[Unreadable]) -> None:
        """Take a section.

        Args:
            begin: its first image.
            values: (B, D) its rows, zero where unreadable.
            unreadable: what has no descriptor.

        Raises:
            StorageError: it cannot be written.
        """
        section = begin // self._section
        if section < self._next or section in self._ahead:
            return
        self._rows.write(np.arange(begin, begin + len(values)), torch.from_numpy(values))
        self._ahead[section] = unreadable
        self.done += len(values)
        while self._next in self._ahead:
            for image in self._ahead.pop(self._next):
                self._rows.leave_out(image)
            self._rows.close_section()
            self._next += 1
