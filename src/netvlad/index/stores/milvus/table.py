"""The rows of an index in Milvus: read by number or in pages, written, deleted, searched."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import StorageError
from netvlad.index.places import Places
from netvlad.index.stores.milvus.client import (
    REQUEST_BYTES,
    ROWS_AT_ONCE,
    TIMEOUT_S,
    MilvusAddress,
    in_one_line,
)
from netvlad.index.stores.milvus.rows import KNOWN, to_rows

Row = dict[str, Any]


class MilvusTable:
    """The collection of places. Every method raises StorageError when the server fails.

    Attributes:
        dim: D.
        half: whether descriptors are kept as float16.
    """

    def __init__(self, client: Any, address: MilvusAddress, *, dim: int, half: bool) -> None:
        """Speak to the collection of ``address``, which exists."""
        self.dim = dim
        self.half = half
        self._client = client
        self._address = address
        self._name = address.collection

    @property
    def row_bytes(self) -> int:
        """What a row takes on its way, with about a kilobyte for the path and the rest."""
        return self.dim * (2 if self.half else 4) + 1024

    @property
    def batch_rows(self) -> int:
        """How many rows are sent or asked for at once."""
        return min(ROWS_AT_ONCE, max(1, REQUEST_BYTES // self.row_bytes))

    def count(self) -> int:
        """How many rows there are."""
        with in_one_line(self._address):
            counted = self._client.query(
                self._name, filter="", output_fields=["count(*)"], timeout=TIMEOUT_S
            )
        return int(counted[0]["count(*)"])

    def rows(self, numbers: Sequence[int], fields: Sequence[str]) -> dict[int, Row]:
        """The rows of ``numbers`` that are there, by number."""
        found: dict[int, Row] = {}
        with in_one_line(self._address):
            for start in range(0, len(numbers), self.batch_rows):
                rows = self._client.query(
                    self._name,
                    ids=list(numbers[start : start + self.batch_rows]),
                    output_fields=list(fields),
                    timeout=TIMEOUT_S,
                )
                found.update((int(row["number"]), row) for row in rows)
        return found

    def pages(self, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All rows, a page at a time, in no particular order."""
        with in_one_line(self._address):
            pages = self._client.query_iterator(
                self._name,
                batch_size=ROWS_AT_ONCE,
                filter="number >= 0",
                output_fields=list(fields),
                timeout=TIMEOUT_S,
            )
            try:
                while page := pages.next():
                    yield list(page)
            finally:
                pages.close()

    def write(
        self,
        places: Places,
        numbers: NDArray[np.int64],
        added: NDArray[np.int64],
        descriptors: NDArray[np.floating[Any]],
    ) -> None:
        """Write rows, replacing those of the same number; each is there as a whole or not at all.

        Args:
            places: N.
            numbers: (N,), no two of them alike.
            added: (N,) microseconds since 1970.
            descriptors: (N, D), finite.
        """
        vectors: NDArray[np.floating[Any]] = descriptors.astype(
            np.float16 if self.half else np.float32
        )
        with in_one_line(self._address):
            for start in range(0, len(places), self.batch_rows):
                some = slice(start, start + self.batch_rows)
                part = places.take(np.arange(len(places))[some])
                self._client.upsert(
                    self._name,
                    to_rows(part, numbers[some], added[some], vectors[some]),
                    timeout=TIMEOUT_S,
                )

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete the rows of ``numbers``."""
        with in_one_line(self._address):
            for start in range(0, len(numbers), ROWS_AT_ONCE):
                self._client.delete(
                    self._name,
                    ids=list(numbers[start : start + ROWS_AT_ONCE]),
                    timeout=TIMEOUT_S,
                )

    def hits(self, queries: NDArray[np.float32], limit: int, condition: str) -> Iterator[list[Row]]:
        """The rows that the server finds nearest to each query (Q, D), descriptors included."""
        vectors = queries.astype(np.float16) if self.half else queries
        step = max(1, 4 * REQUEST_BYTES // (limit * self.row_bytes))
        for start in range(0, len(vectors), step):
            with in_one_line(self._address):
                found = self._client.search(
                    self._name,
                    data=list(vectors[start : start + step]),
                    anns_field="descriptor",
                    filter=condition,
                    limit=limit,
                    output_fields=[*KNOWN, "descriptor"],
                    search_params={"metric_type": "IP"},
                    timeout=TIMEOUT_S,
                )
            for hits in found:
                yield [dict(hit["entity"]) for hit in hits]

    def check(self, block: NDArray[np.floating[Any]], at: int) -> None:
        """Refuse descriptors that cannot be stored; ``at`` counts those before them."""
        if block.ndim != 2 or block.shape[1] != self.dim:
            raise StorageError(
                f"{self._address}: holds descriptors of length {self.dim}, but was given an array "
                f"of shape {block.shape}"
            )
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise StorageError(
                f"{self._address}: descriptor {at + int(np.argmin(finite))} of those to write has "
                "values that are not finite; leave its image out"
            )
