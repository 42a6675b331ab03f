"""The two collections of an index in Milvus: made, recognised, opened."""

import json
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
from netvlad.index.stores.milvus.address import MilvusAddress
from netvlad.index.stores.milvus.client import TIMEOUT_S, in_one_line
from netvlad.index.stores.milvus.files import FIELDS as FILE_FIELDS
from netvlad.index.stores.milvus.files import MilvusFiles
from netvlad.index.stores.milvus.rows import FIELDS as PLACE_FIELDS
from netvlad.index.stores.milvus.rows import describe_fields
from netvlad.index.stores.milvus.table import MilvusTable
from netvlad.models import ModelSpec, PlaceModel
from netvlad.models.checkpoints import Checkpoint, model_of
from netvlad.models.fingerprints import model_fingerprint

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
        indexes = client.prepare_index_params()
        kind = "FLAT" if address.embedded else "AUTOINDEX"
        indexes.add_index("descriptor", index_type=kind, metric_type="IP")
        # Strong: who has added a place finds it at once, from whatever machine.
        client.create_collection(
            address.collection,
            schema=schema,
            index_params=indexes,
            consistency_level="Strong",
            timeout=TIMEOUT_S,
        )
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
