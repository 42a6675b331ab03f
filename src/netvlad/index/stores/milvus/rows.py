"""Places as rows of a collection in Milvus, there and back."""

import hashlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.index.places import SCHEMA, Places
from netvlad.index.where import Where

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


NOTHING = "number < 0"
"""What no place meets: numbers are never negative."""

# Degrees: the ends of a range of directions are rounded, those of a difference otherwise.
_ROUNDING = 1e-9


def expression(where: Where | None) -> str:
    """The boolean expression that holds for the places which meet ``where``.

    An unknown value is null in Milvus, and a comparison with null never holds: just as
    :meth:`Where.mask <netvlad.index.where.Where.mask>` leaves out what cannot be checked. Headings
    are compared by ``direction``, the heading reduced to 0 up to 360 degrees; a place less than a
    nanodegree outside the tolerance counts as inside.

    Returns:
        an empty text where there are no conditions.
    """
    if where is None:
        return ""
    parts = []
    if where.bounding_box is not None:
        parts += _inside(*where.bounding_box)
    if where.after is not None:
        parts.append(_compared("time", ">=", where.after))
    if where.before is not None:
        parts.append(_compared("time", "<", where.before))
    if where.tags:
        listed = ", ".join(json.dumps(tag, ensure_ascii=False) for tag in sorted(where.tags))
        parts.append(f"array_contains_any(tags, [{listed}])")
    if where.heading is not None:
        parts.append(_similar_direction(*where.heading))
    return " and ".join(f"({part})" for part in parts)


def _inside(south: float, west: float, north: float, east: float) -> list[str]:
    # Across the date line a longitude lies behind the western edge or before the eastern one.
    joint = "and" if west <= east else "or"
    return [
        f"latitude >= {float(south)!r} and latitude <= {float(north)!r}",
        f"longitude >= {float(west)!r} {joint} longitude <= {float(east)!r}",
    ]


def _compared(name: str, operator: str, limit: float) -> str:
    if math.isfinite(limit):
        return f"{name} {operator} {float(limit)!r}"
    # Infinity has no literal there: every known value lies on one side of it.
    always = limit == (-math.inf if operator == ">=" else math.inf)
    return f"{name} is not null" if always else NOTHING


def _similar_direction(degrees: float, tolerance: float) -> str:
    if not math.isfinite(degrees):
        return NOTHING
    if tolerance + _ROUNDING >= 180.0:
        return "direction is not null"
    low = (degrees - tolerance - _ROUNDING) % 360.0
    high = (degrees + tolerance + _ROUNDING) % 360.0
    joint = "and" if low <= high else "or"
    return f"direction >= {low!r} {joint} direction <= {high!r}"
