"""Checksums of a matrix that grows: one for each chunk of its rows."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

CHUNK_ROWS = 65_536
"""The most rows under one checksum."""

_BLOCK_BYTES = 1 << 23


@dataclass(frozen=True)
class Chunk:
    """So many rows, and the checksum of their bytes.

    Attributes:
        rows: how many follow the chunk before.
        sha256: in hexadecimal digits.
    """

    rows: int
    sha256: str


class ChunkedDigest:
    """The checksums of rows that are written one block after another.

    Attributes:
        rows: how many were added so far.
    """

    def __init__(self, row_bytes: int) -> None:
        self.rows = 0
        self._row_bytes = row_bytes
        self._done: list[Chunk] = []
        self._open = hashlib.sha256()
        self._open_rows = 0

    def add(self, rows: memoryview) -> None:
        """Take in whole rows, as bytes."""
        while len(rows):
            room = (CHUNK_ROWS - self._open_rows) * self._row_bytes
            part, rows = rows[:room], rows[room:]
            self._open.update(part)
            self._open_rows += len(part) // self._row_bytes
            self.rows += len(part) // self._row_bytes
            if self._open_rows == CHUNK_ROWS:
                self._close()

    def chunks(self) -> tuple[Chunk, ...]:
        """The checksums of all rows that were added."""
        if self._open_rows:
            self._close()
        return tuple(self._done)

    def _close(self) -> None:
        self._done.append(Chunk(self._open_rows, self._open.hexdigest()))
        self._open = hashlib.sha256()
        self._open_rows = 0


def merged(chunks: tuple[Chunk, ...], file: IO[bytes], row_bytes: int) -> tuple[Chunk, ...]:
    """Join the last chunks where many small appends would leave many small chunks.

    Two chunks become one as long as the last is no smaller than the one before it, as in a binary
    counter: their number grows with the logarithm of the appends, and a row is read again only so
    often. A chunk that no longer has its checksum keeps it, so that the damage is not sealed.

    Args:
        chunks: of the rows in ``file``, in their order.
        file: the matrix, open for reading.
        row_bytes: the length of a row.
    """
    while len(chunks) > 1:
        *others, first, second = chunks
        rows = first.rows + second.rows
        if second.rows < first.rows or rows > CHUNK_ROWS:
            break
        file.seek(sum(chunk.rows for chunk in others) * row_bytes)
        both = hashlib.sha256()
        for chunk in (first, second):
            alone = hashlib.sha256()
            for block in blocks_of(file, chunk.rows * row_bytes):
                alone.update(block)
                both.update(block)
            if alone.hexdigest() != chunk.sha256:
                return chunks
        chunks = (*others, Chunk(rows, both.hexdigest()))
    return chunks


def blocks_of(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """The next ``size_bytes`` bytes of a file in blocks, or as many as there are."""
    while size_bytes > 0:
        block = file.read(min(size_bytes, _BLOCK_BYTES))
        if not block:
            return
        size_bytes -= len(block)
        yield block
