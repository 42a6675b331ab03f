"""Small files in Milvus, so that a place index there needs no folder: the model, documents."""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from netvlad.errors import StorageError
from netvlad.index.stores.milvus.address import MilvusAddress
from netvlad.index.stores.milvus.client import REQUEST_BYTES, TIMEOUT_S, in_one_line

PART_BYTES = 48_000
"""Of a file in one row: 64,000 characters of base64, of the 65,535 that a VARCHAR may have."""

FIELDS = ("key", "name", "part", "parts", "size_bytes", "sha256", "content", "unused")
_PARTS_AT_ONCE = REQUEST_BYTES // 65_536


class MilvusFiles:
    """The collection ``<collection>_files``: a row for each part of each file.

    Every row carries the size, the number of parts and the SHA-256 of its whole file, so a reader
    knows whether it has all of one file. A file of one part is replaced at once. One of several is
    not: who reads it meanwhile is told that its checksum does not match.

    Attributes:
        collection: its name.
    """

    def __init__(self, client: Any, address: MilvusAddress) -> None:
        """Look at the collection beside the one of ``address``."""
        self.collection = f"{address.collection}_files"
        self._client = client
        self._address = address

    def create(self) -> None:
        """Make the collection.

        Raises:
            StorageError: the server refuses.
        """
        from pymilvus import DataType  # noqa: PLC0415 - an extra

        client = self._client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=512)
        schema.add_field("name", DataType.VARCHAR, max_length=480)
        for name in ("part", "parts", "size_bytes"):
            schema.add_field(name, DataType.INT64)
        schema.add_field("sha256", DataType.VARCHAR, max_length=64)
        schema.add_field("content", DataType.VARCHAR, max_length=65_535)
        # A collection without a vector is refused.
        schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)
        indexes = client.prepare_index_params()
        # What a server in the cloud also knows; Milvus Lite is quicker with the other.
        kind = "FLAT" if self._address.embedded else "AUTOINDEX"
        indexes.add_index("unused", index_type=kind, metric_type="L2")
        with in_one_line(self._address):
            client.create_collection(
                self.collection,
                schema=schema,
                index_params=indexes,
                consistency_level="Strong",
                timeout=TIMEOUT_S,
            )

    def small(self) -> dict[str, bytes]:
        """All files of one part, in one request.

        Raises:
            StorageError: one of them is damaged.
        """
        rows = self._rows("parts == 1")
        return {row["name"]: self._joined(row["name"], [row]) for row in rows}

    def read(self, name: str) -> bytes:
        """A file.

        Raises:
            StorageError: it is not there, is damaged, or another process is writing it.
        """
        rows: list[Mapping[str, Any]] = []
        while not rows or len(rows) < rows[0]["parts"]:
            start = len(rows)
            found = self._rows(
                f'name == "{name}" and part >= {start} and part < {start + _PARTS_AT_ONCE}'
            )
            if not found:
                break
            rows += sorted(found, key=lambda row: int(row["part"]))
        return self._joined(name, rows)

    def write(self, name: str, content: bytes, *, whole: bool = False) -> None:
        """Write a file, or replace it.

        Args:
            name: letters, digits, hyphens, dots and slashes.
            content: of any length.
            whole: refuse what does not fit into one part.

        Raises:
            StorageError: the server fails; a file of several parts may be incomplete then.
        """
        count = max(1, math.ceil(len(content) / PART_BYTES))
        if whole and count > 1:
            raise StorageError(
                f"{self._address}: {name} has {len(content):,} bytes; keep at most {PART_BYTES:,}"
            )
        digest = hashlib.sha256(content).hexdigest()
        rows = (
            {
                "key": f"{name}/{part:06d}",
                "name": name,
                "part": part,
                "parts": count,
                "size_bytes": len(content),
                "sha256": digest,
                "content": base64.b64encode(
                    content[part * PART_BYTES : (part + 1) * PART_BYTES]
                ).decode(),
                "unused": [0.0, 0.0],
            }
            for part in range(count)
        )
        with in_one_line(self._address):
            for batch in _batches(rows, _PARTS_AT_ONCE):
                self._client.upsert(self.collection, batch, timeout=TIMEOUT_S)
            self._client.delete(
                self.collection,
                filter=f'name == "{name}" and part >= {count}',
                timeout=TIMEOUT_S,
            )

    def _rows(self, condition: str) -> list[Mapping[str, Any]]:
        with in_one_line(self._address):
            return list(
                self._client.query(
                    self.collection,
                    filter=condition,
                    output_fields=["name", "part", "parts", "size_bytes", "sha256", "content"],
                    timeout=TIMEOUT_S,
                )
            )

    def _joined(self, name: str, rows: list[Mapping[str, Any]]) -> bytes:
        content = b"".join(base64.b64decode(row["content"]) for row in rows)
        if not rows or any(
            row["parts"] != len(rows) or row["sha256"] != hashlib.sha256(content).hexdigest()
            for row in rows
        ):
            raise StorageError(
                f"{self._address}: its file {name} is incomplete or damaged; try again when nobody "
                "writes to it, else build the index anew"
            )
        return content


def _batches(rows: Iterable[dict[str, Any]], size: int) -> Iterable[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
