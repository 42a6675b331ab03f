"""Places as rows of a collection in Milvus, there and back."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.index.places import SCHEMA, Places

NUMBERS = ("latitude", "longitude", "altitude", "heading", "time")
"""Columns that may be unknown: null there, NaN here."""

FIELDS = ("number", "added", "direction", *SCHEMA.names, "descriptor")
"""Every field of a place. ``number`` is the primary key. ``added`` orders places: microseconds
since 1970 when it was added, places added together one apart. ``direction`` is the heading reduced
to 0 up to 360 degrees, for conditions."""

KNOWN = tuple(name for name in FIELDS if name != "descriptor")

_IMAGE_BYTES = 8_192
_TAG_BYTES = 1_024
_TAGS = 1_024


def describe_fields(schema: Any, dim: int, *, half: bool) -> None:
    """Add the fields of a place to a ``pymilvus.CollectionSchema``.

    Args:
        schema: an empty one.
        dim: D.
        half: whether descriptors are kept as float16.
    """
    from pymilvus import DataType  # noqa: PLC0415 - an extra

    schema.add_field("number", DataType.INT64, is_primary=True)
    schema.add_field("added", DataType.INT64)
    schema.add_field("image", DataType.VARCHAR, max_length=_IMAGE_BYTES)
    for name in (*NUMBERS, "direction"):
        schema.add_field(name, DataType.DOUBLE, nullable=True)
    schema.add_field(
        "tags",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=_TAGS,
        max_length=_TAG_BYTES,
    )
    schema.add_field("size_bytes", DataType.INT64)
    schema.add_field("mtime_ns", DataType.INT64)
    kind = DataType.FLOAT16_VECTOR if half else DataType.FLOAT_VECTOR
    schema.add_field("descriptor", kind, dim=dim)


def place_numbers(places: Places) -> NDArray[np.int64]:
    """(N,) the number of each place: 63 bits of the SHA-256 of its path.

    So whoever adds a photo, however often, writes the same row. A place without a file (a frame of
    a camera) has a number of its own each time. Among ten million places two share a number by
    chance with a probability of 5e-6; the later would replace the earlier.
    """
    from_file = places.table.column("size_bytes").to_numpy() >= 0
    numbers = np.empty(len(places), np.int64)
    for i, image in enumerate(places.images()):
        key = image if from_file[i] else f"{image}\0{uuid.uuid4().hex}"
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        numbers[i] = int.from_bytes(digest[:8], "big") >> 1
    return numbers


def to_rows(
    places: Places,
    numbers: NDArray[np.int64],
    added: NDArray[np.int64],
    descriptors: NDArray[np.floating[Any]],
) -> list[dict[str, Any]]:
    """Rows to write: N places, their numbers and times (N,), and descriptors (N, D)."""
    rows: list[dict[str, Any]] = []
    for i, number in enumerate(numbers.tolist()):
        row = places.row(i)
        heading = row["heading"]
        row["tags"] = list(row["tags"] or ())
        row["direction"] = None if heading is None else heading % 360.0
        rows.append({**row, "number": number, "added": int(added[i]), "descriptor": descriptors[i]})
    return rows


def to_place(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row by the names of :data:`~netvlad.index.places.SCHEMA`; None where unknown."""
    place = {name: row.get(name) for name in SCHEMA.names}
    place["tags"] = list(place["tags"] or ())
    return place


def to_places(rows: Sequence[Mapping[str, Any]]) -> Places:
    """Rows as a table of places, in their order."""
    columns: dict[str, NDArray[Any] | None] = {
        name: np.array(
            [np.nan if row.get(name) is None else row[name] for row in rows], dtype=np.float64
        )
        for name in NUMBERS
    }
    for name in ("size_bytes", "mtime_ns"):
        columns[name] = np.array([row[name] for row in rows], dtype=np.int64)
    tags = [list(row["tags"] or ()) for row in rows]
    return Places.of([row["image"] for row in rows], columns, tags=tags)


def to_vector(value: Any) -> NDArray[np.float32]:
    """(D,) the descriptor of a row: numbers, or the bytes of float16, perhaps in a list."""
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], bytes):
        value = value[0]
    if isinstance(value, bytes):
        return np.frombuffer(value, "<f2").astype(np.float32)
    return np.asarray(value, np.float32)
