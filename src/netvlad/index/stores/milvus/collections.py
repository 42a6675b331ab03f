"""The two collections of an index in Milvus: made, recognised, opened."""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors
import safetensors.torch

from netvlad.errors import StorageError
from netvlad.index.stores.changes import write_model
from netvlad.index.stores.milvus.client import REQUEST_BYTES, TIMEOUT_S, MilvusAddress, in_one_line
from netvlad.index.stores.milvus.rows import FIELDS as PLACE_FIELDS
from netvlad.index.stores.milvus.rows import describe_fields
from netvlad.index.stores.milvus.table import MilvusTable
from netvlad.models import ModelSpec, PlaceModel
from netvlad.models.checkpoints import Checkpoint, model_of
from netvlad.models.fingerprints import model_fingerprint

PART_BYTES = 48_000
"""Of a file in one row: 64,000 characters of base64, of the 65,535 that a VARCHAR may have."""

FILE_FIELDS = ("key", "name", "part", "parts", "size_bytes", "sha256", "content", "unused")
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
        with in_one_line(self._address):
            _create(client, self._address, self.collection, schema, "unused", "L2")

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


def _create(
    client: Any, address: MilvusAddress, name: str, schema: Any, vector: str, metric: str
) -> None:
    indexes = client.prepare_index_params()
    # What a server in the cloud also knows; Milvus Lite is quicker with the other.
    kind = "FLAT" if address.embedded else "AUTOINDEX"
    indexes.add_index(vector, index_type=kind, metric_type=metric)
    # Strong: who has added a place finds it at once, from whatever machine.
    client.create_collection(
        name,
        schema=schema,
        index_params=indexes,
        consistency_level="Strong",
        timeout=TIMEOUT_S,
    )


def _batches(rows: Iterable[dict[str, Any]], size: int) -> Iterable[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


FORMAT = 1
_ABOUT = "index.json"
_SPEC = "model/checkpoint.json"
_WEIGHTS = "model/model.safetensors"
_DOCUMENTS = "documents/"
# A cold server reads a large collection into memory first.
_LOAD_S = 600.0
_REMEDY = "build the index anew in another collection"


@dataclass(frozen=True, eq=False)
class Opened:
    """An index in Milvus, as it was found.

    Attributes:
        table: its places.
        files: its model and documents.
        created: when it was made, an ISO 8601 time in UTC.
        model_fingerprint: the name of its model.
        spec: what the model is made of.
        documents: what is kept beside the places, by name.
    """

    table: MilvusTable
    files: MilvusFiles
    created: str
    model_fingerprint: str
    spec: ModelSpec
    documents: dict[str, Any]


def create_collections(
    client: Any, address: MilvusAddress, model: PlaceModel, *, half: bool
) -> None:
    """Make an index without places. What says that it is one is written last.

    Two who make the same index at once are not kept apart.

    Raises:
        StorageError: the collection is there already; the server fails.
    """
    refuse_other_content(client, address)
    files = MilvusFiles(client, address)
    with in_one_line(address):
        # Left by one that was stopped before it was an index.
        for name in (address.collection, files.collection):
            if client.has_collection(name, timeout=TIMEOUT_S):
                client.drop_collection(name, timeout=TIMEOUT_S)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        describe_fields(schema, model.descriptor_dim, half=half)
        _create(client, address, address.collection, schema, "descriptor", "IP")
    files.create()
    with TemporaryDirectory() as folder:
        write_model(Path(folder), "model", model)
        for name in (_SPEC, _WEIGHTS):
            files.write(name, (Path(folder) / name).read_bytes())
    about = {
        "format": FORMAT,
        "netvlad": version("netvlad"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dim": model.descriptor_dim,
        "half": half,
        "model_fingerprint": model_fingerprint(model),
    }
    files.write(_ABOUT, json.dumps(about).encode())


def open_collections(client: Any, address: MilvusAddress) -> Opened:
    """Look at an index.

    Raises:
        StorageError: there is none, a newer version wrote it, it is damaged; the server fails.
    """
    files = MilvusFiles(client, address)
    if any(
        _fields(client, address, name) is None for name in (address.collection, files.collection)
    ):
        raise StorageError(
            f"{address}: there is no place index; make one with `netvlad index build`"
        )
    _refuse_foreign(client, address)
    _load(client, address)
    small = files.small()
    if _ABOUT not in small:
        raise StorageError(f"{address}: its build was stopped; repeat `netvlad index build`")
    try:
        about = json.loads(small[_ABOUT])
        if about["format"] > FORMAT:
            raise StorageError(
                f"{address}: was written in format {about['format']}, this version reads {FORMAT}; "
                "install a newer netvlad"
            )
        return Opened(
            MilvusTable(client, address, dim=about["dim"], half=about["half"]),
            files,
            about["created"],
            about["model_fingerprint"],
            ModelSpec.from_json(json.loads(small[_SPEC])["model"]),
            {
                name.removeprefix(_DOCUMENTS).removesuffix(".json"): json.loads(content)
                for name, content in small.items()
                if name.startswith(_DOCUMENTS)
            },
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{address}: is damaged ({error}); {_REMEDY}") from error


def load_model(opened: Opened, address: MilvusAddress) -> PlaceModel:
    """The model that an index keeps, on the CPU, in evaluation mode.

    Raises:
        StorageError: it is damaged; the server fails.
        CheckpointError: this version of the package cannot build it.
    """
    try:
        weights = safetensors.torch.load(opened.files.read(_WEIGHTS))
    except (ValueError, safetensors.SafetensorError) as error:
        raise StorageError(f"{address}: its model is damaged ({error}); {_REMEDY}") from error
    return model_of(Checkpoint(opened.spec, weights), Path(address.collection))


def write_document(opened: Opened, name: str, content: Any) -> None:
    """Keep JSON types under a name; a reader sees the old or the new ones.

    Raises:
        StorageError: they are longer than a row holds; the server fails.
    """
    opened.files.write(f"{_DOCUMENTS}{name}.json", json.dumps(content).encode(), whole=True)


def refuse_other_content(client: Any, address: MilvusAddress) -> None:
    """Check that an index may be made at ``address``, before long work.

    Raises:
        StorageError: there is an index, or something else; the server fails.
    """
    files = MilvusFiles(client, address)
    _refuse_foreign(client, address)
    _load(client, address)
    if _fields(client, address, files.collection) is not None and _ABOUT in files.small():
        raise StorageError(
            f"{address}: holds an index already; use `netvlad index add`, or another collection"
        )
    # Places are written after that: what has some was never a build of ours that was stopped.
    if _fields(client, address, address.collection) is not None:
        table = MilvusTable(client, address, dim=1, half=False)
        if table.count():
            raise StorageError(
                f"{address}: holds places without their model; drop it, or name another collection"
            )


def _refuse_foreign(client: Any, address: MilvusAddress) -> None:
    files = f"{address.collection}_files"
    for name, ours in ((address.collection, PLACE_FIELDS), (files, FILE_FIELDS)):
        fields = _fields(client, address, name)
        if fields is not None and fields != set(ours):
            raise StorageError(
                f"{address}: the collection {name} is no part of a place index; name another one"
            )


def _fields(client: Any, address: MilvusAddress, name: str) -> set[str] | None:
    """The names of a collection's fields; None where it does not exist."""
    with in_one_line(address):
        if not client.has_collection(name, timeout=TIMEOUT_S):
            return None
        return {field["name"] for field in client.describe_collection(name)["fields"]}


def _load(client: Any, address: MilvusAddress) -> None:
    """Bring what is there into the server's memory; nothing happens when it is."""
    with in_one_line(address):
        for name in (address.collection, f"{address.collection}_files"):
            if client.has_collection(name, timeout=TIMEOUT_S):
                client.load_collection(name, timeout=_LOAD_S)
