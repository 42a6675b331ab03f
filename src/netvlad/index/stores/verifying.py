"""Whether an index on disk is what its manifest says, byte by byte."""

import hashlib
import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from netvlad.errors import NetvladError, StorageError
from netvlad.index.stores.folder import REMEDY, FolderStore, OpenFiles, open_files
from netvlad.index.stores.manifest import RowFile, blocks_of, is_ours
from netvlad.types import Progress, Reporter, silent

_MIB = 1 << 20
# An index can be opened, and so mended, as long as its files have the right sizes.
_REMEDY_STRUCTURE = "`netvlad index optimize` builds it anew"


@dataclass(frozen=True)
class Verification:
    """What a check of an index found.

    Attributes:
        problems: damage, a line each that names the file and the remedy; empty when all is well.
        notes: what is no damage, but worth knowing.
        checked_bytes: how much was read.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    checked_bytes: int


def verify(folder: Path, report: Reporter = silent) -> Verification:
    """Read the present generation of the index in ``folder`` and compare it with its manifest.

    A writer may be at work at the same time. Damage is returned, never raised.
    """
    with ExitStack() as closing:
        try:
            opened = open_files(folder, closing)
        except NetvladError as error:
            return Verification((str(error),), (), 0)
        check = _Check(folder, opened, report)
        for name, reason in opened.lacking.items():
            check.problem(name, reason)
        for rows in opened.manifest.row_files:
            check.rows(rows)
        check.files()
        if not check.problems:
            check.fit(closing)
        return Verification(
            tuple(check.problems), tuple(check.overlong() + check.leftovers()), check.read_bytes
        )


class _Check:
    """A verification in the making."""

    def __init__(self, folder: Path, opened: OpenFiles, report: Reporter) -> None:
        self.problems: list[str] = []
        self.read_bytes = 0
        self._folder, self._opened, self._report = folder, opened, report
        self._manifest = opened.manifest
        self._total_bytes = sum(file.size_bytes for file in self._manifest.all_files)

    def problem(self, name: str, reason: str, remedy: str = REMEDY) -> None:
        self.problems.append(f"{self._folder / name}: {reason}; {remedy}")

    def rows(self, file: RowFile) -> None:
        """Compare the rows of a file with their checksums, as far as there are any."""
        name, first = file.name, 0
        if name in self._opened.lacking:
            return
        for chunk in file.chunks:
            size = chunk.rows * file.row_bytes
            found = self._digest(name, first * file.row_bytes, size)
            last = first + chunk.rows
            if found is None:
                return
            if found[0] < size:
                self.problem(name, f"is cut off in rows {first:,} to {last - 1:,}")
                return
            if found[1] != chunk.sha256:
                self.problem(name, f"is damaged in rows {first:,} to {last - 1:,}")
            first = last

    def files(self) -> None:
        """Compare every other file with its size and its checksum."""
        for file in self._manifest.files:
            if file.name in self._opened.lacking:
                continue
            size = self._size(file.name)
            if size != file.size_bytes:
                self.problem(
                    file.name, f"is damaged: {size:,} bytes instead of {file.size_bytes:,}"
                )
                continue
            found = self._digest(file.name, 0, size)
            if found is not None and found[1] != file.sha256:
                derived = file is self._manifest.structure_file
                remedy = _REMEDY_STRUCTURE if derived else REMEDY
                self.problem(file.name, "is damaged: its checksum does not match", remedy)

    def fit(self, closing: ExitStack) -> None:
        """Whether whole files also belong together."""
        manifest = self._manifest
        try:
            store = FolderStore(self._folder, self._opened, closing)
        except StorageError as error:
            self.problems.append(str(error))
            return
        parts: tuple[Callable[[], object], ...] = (lambda: store.places, lambda: store.rows)
        for part in parts:
            try:
                part()
            except NetvladError as error:
                self.problems.append(str(error))
        covered = 0 if manifest.structure is None else manifest.structure.get("rows")
        if not isinstance(covered, int) or not 0 <= covered <= manifest.matrix_rows:
            assert manifest.structure_file is not None
            self.problem(
                manifest.structure_file.name,
                f"covers {covered} rows of a matrix of {manifest.matrix_rows:,}",
                _REMEDY_STRUCTURE,
            )

    def overlong(self) -> list[str]:
        """A note for each file of rows that continues after the last one of this generation."""
        beyond = {
            file.name: self._size(file.name) - file.size_bytes
            for file in self._manifest.row_files
            if file.name not in self._opened.lacking
        }
        return [
            f"{self._folder / name}: {size:,} bytes after the last row, of a write that goes on "
            "or was cut off; the next one removes them"
            for name, size in beyond.items()
            if size > 0
        ]

    def leftovers(self) -> list[str]:
        """A note for each file of a writer that was killed, or is at work."""
        try:
            present = sorted(path.name for path in self._folder.iterdir())
        except OSError:
            return []
        return [
            f"{self._folder / name}: belongs to a write that goes on or was cut off; the next one "
            "removes it"
            for name in present
            if is_ours(name) and name not in self._manifest.names
        ]

    def _digest(self, name: str, start: int, size: int) -> tuple[int, str] | None:
        """How many of ``size`` bytes could be read, and their checksum; None after an error."""
        digest, done = hashlib.sha256(), 0
        file: IO[bytes] = self._opened.files[name]
        try:
            file.seek(start)
            for block in blocks_of(file, size):
                digest.update(block)
                done += len(block)
                self.read_bytes += len(block)
                self._report(
                    Progress(
                        "Verifying the index",
                        self.read_bytes // _MIB,
                        max(self._total_bytes, self.read_bytes) // _MIB,
                        "MiB",
                    )
                )
        except OSError as error:
            self.problem(name, f"cannot be read: {error.strerror or error}")
            return None
        return done, digest.hexdigest()

    def _size(self, name: str) -> int:
        return self._opened.files[name].seek(0, io.SEEK_END)
