"""The places of an index: one row each, in columns, as they lie in its Parquet file."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from netvlad.errors import DataError, StorageError
from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts
from netvlad.index.utm_named import read_utm_named

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("altitude", pa.float64()),
        ("heading", pa.float64()),
        ("time", pa.float64()),
        ("tags", pa.list_(pa.string())),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]
)
"""``image``: the photo's absolute path; degrees are WGS84, ``altitude`` metres, ``heading`` degrees
clockwise from north, ``time`` seconds since 1970 (UTC); NaN is unknown. ``size_bytes`` and
``mtime_ns`` tell whether the file is still the one that was described; -1 for a place without a
file."""

ROW_GROUP = 4096
"""Rows that lie together in the file, and are read together when one of them is asked for."""

_NUMBERS = ("latitude", "longitude", "altitude", "heading", "time")


@dataclass(frozen=True, eq=False)
class Places:
    """N places.

    Attributes:
        table: the columns of :data:`SCHEMA`, N rows.
    """

    table: pa.Table

    @classmethod
    def of(
        cls,
        images: Sequence[str],
        columns: Mapping[str, NDArray[Any] | None] | None = None,
        *,
        tags: Sequence[Sequence[str]] | None = None,
    ) -> "Places":
        """Places from columns; those that are absent are unknown.

        Args:
            images: N paths or names.
            columns: (N,) arrays by the names of :data:`SCHEMA`; None is absent.
            tags: N lists of words.

        Raises:
            DataError: a column has another length, or is not a column of the schema.
        """
        n = len(images)
        given = {k: v for k, v in (columns or {}).items() if v is not None}
        unknown = sorted(set(given) - set(SCHEMA.names) | ({"tags", "image"} & set(given)))
        if unknown:
            raise DataError(f"places have no column {unknown[0]}; there are {_listed()}")
        arrays: list[pa.Array] = []
        for field in SCHEMA:
            if field.name == "image":
                arrays.append(pa.array(images, pa.string()))
            elif field.name == "tags":
                arrays.append(pa.array([list(t) for t in tags or [()] * n], field.type))
            else:
                filler = np.nan if field.name in _NUMBERS else -1
                values = np.asarray(given.get(field.name, np.full(n, filler)))
                arrays.append(pa.array(values, field.type))
            if len(arrays[-1]) != n:
                raise DataError(f"{n} places but {len(arrays[-1])} values of {field.name}")
        return cls(pa.table(arrays, schema=SCHEMA))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def latitude(self) -> NDArray[np.float64]:
        """(N,) degrees, NaN where unknown."""
        return self.column("latitude")

    @property
    def longitude(self) -> NDArray[np.float64]:
        """(N,) degrees, NaN where unknown."""
        return self.column("longitude")

    @property
    def heading(self) -> NDArray[np.float64]:
        """(N,) degrees clockwise from north, NaN where unknown."""
        return self.column("heading")

    @property
    def time(self) -> NDArray[np.float64]:
        """(N,) seconds since 1970 (UTC), NaN where unknown."""
        return self.column("time")

    def column(self, name: str) -> NDArray[np.float64]:
        """(N,) a column of numbers, NaN where unknown."""
        if name not in self._columns:
            self._columns[name] = self.table.column(name).to_numpy()
        return self._columns[name]

    def tagged(self, tags: Collection[str]) -> NDArray[np.bool_]:
        """(N,) whether each place carries one of ``tags``."""
        column = self.table.column("tags").combine_chunks()
        wanted = pc.is_in(pc.list_flatten(column), value_set=pa.array(sorted(tags), pa.string()))
        rows = pc.list_parent_indices(column).to_numpy()[wanted.to_numpy(zero_copy_only=False)]
        tagged = np.zeros(len(self), dtype=np.bool_)
        tagged[rows] = True
        return tagged

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.float64]]:
        return {}

    @cached_property
    def has_position(self) -> NDArray[np.bool_]:
        """(N,) whether latitude and longitude are known."""
        return np.isfinite(self.latitude) & np.isfinite(self.longitude)

    def image(self, i: int) -> str:
        """The file, or the name, of place ``i``."""
        return str(self.table.column("image")[i].as_py())

    def images(self) -> list[str]:
        """All files or names."""
        listed: list[str] = self.table.column("image").to_pylist()
        return listed

    def figures(self) -> dict[str, Any]:
        """How many there are, what is known of them, and their bounds, as JSON types."""
        located = self.has_position
        figures: dict[str, Any] = {
            "places": len(self),
            "with_position": int(located.sum()),
            "with_heading": int(np.isfinite(self.heading).sum()),
            "with_time": int(np.isfinite(self.time).sum()),
            "bounding_box": None,
            "times": None,
        }
        if located.any():
            latitude, longitude = self.latitude[located], self.longitude[located]
            figures["bounding_box"] = [
                round(float(value), 6)
                for value in (latitude.min(), longitude.min(), latitude.max(), longitude.max())
            ]
        if figures["with_time"]:
            figures["times"] = [float(np.nanmin(self.time)), float(np.nanmax(self.time))]
        return figures

    def row(self, i: int) -> dict[str, Any]:
        """Place ``i`` by the names of :data:`SCHEMA`; None where unknown."""
        row: dict[str, Any] = self.table.slice(i, 1).to_pylist()[0]
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in row.items()
        }

    def joined(self, other: "Places") -> "Places":
        """These places followed by others."""
        return Places(pa.concat_tables([self.table, other.table]).combine_chunks())

    def take(self, indices: NDArray[np.integer]) -> "Places":
        """The places at ``indices`` (M,), in that order."""
        return Places(self.table.take(pa.array(np.asarray(indices, np.int64))).combine_chunks())

    def write(self, file: IO[bytes]) -> None:
        """Write them as Parquet."""
        pq.write_table(self.table, file, compression="zstd", row_group_size=ROW_GROUP)

    @classmethod
    def read(cls, file: IO[bytes], name: str) -> "Places":
        """Read what :meth:`write` wrote.

        Raises:
            StorageError: it is no such table; ``name`` says which file it was.
        """
        try:
            table = pq.ParquetFile(_owned_by_arrow(file.read())).read(use_threads=False)
            return cls(table.select(SCHEMA.names).cast(SCHEMA))
        except (pa.ArrowException, KeyError, OSError, ValueError) as error:
            raise _damaged(name, error) from error


class StoredPlaces:
    """The places of a Parquet file, of which only those parts are read that are asked for."""

    def __init__(self, content: memoryview | bytes, name: str) -> None:
        """Look into a file.

        Args:
            content: of the file, perhaps memory-mapped.
            name: says in errors which file it was.

        Raises:
            StorageError: it is no such table.
        """
        self._name = name
        self._parts: dict[int, Places] = {}
        try:
            self._file = pq.ParquetFile(_owned_by_arrow(content))
            groups = range(self._file.num_row_groups)
            counts = [self._file.metadata.row_group(group).num_rows for group in groups]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(name, error) from error
        self._ends = np.cumsum(counts, dtype=np.int64)

    def row(self, i: int) -> dict[str, Any]:
        """Place ``i``, as :meth:`Places.row` gives it.

        Raises:
            StorageError: the part of the file that it lies in is damaged.
        """
        group = int(np.searchsorted(self._ends, i, side="right"))
        if group not in self._parts:
            try:
                table = self._file.read_row_group(group, use_threads=False)
                self._parts[group] = Places(table.select(SCHEMA.names).cast(SCHEMA))
            except (pa.ArrowException, KeyError, OSError, ValueError) as error:
                raise _damaged(self._name, error) from error
        part = self._parts[group]
        return part.row(i - int(self._ends[group]) + len(part))


def _owned_by_arrow(content: bytes | memoryview) -> Any:
    """A file of Arrow's own memory.

    Its threads may let go of a file after Python has ended, which aborts the process (one command
    in six) where the memory or the file is Python's.
    """
    stream = pa.BufferOutputStream()
    stream.write(content)
    return pa.BufferReader(stream.getvalue())


def _damaged(name: str, error: Exception) -> StorageError:
    reason = " ".join(str(error).split())
    return StorageError(f"{name}: is damaged or not a table of places ({reason})")


def _listed() -> str:
    return ", ".join(SCHEMA.names)


def find_places(places: Places, images: Iterable[str | Path]) -> NDArray[np.int64]:
    """The numbers of the places called so, ascending; a folder stands for all photos below it.

    Raises:
        DataError: one of ``images`` names no place.
    """
    names = places.images()
    numbers = {name: i for i, name in enumerate(names)}
    found: set[int] = set()
    for image in images:
        absolute = os.path.abspath(image)  # noqa: PTH100 - links stay as they are
        here = {numbers[name] for name in (str(image), absolute) if name in numbers}
        if not here:
            below = absolute.rstrip("/") + "/"
            here = {i for i, name in enumerate(names) if name.startswith(below)}
        if not here:
            raise DataError(
                f"{image}: is not in the index, nor is any photo below it; "
                "`netvlad index info --places` lists what is"
            )
        found |= here
    return np.array(sorted(found), dtype=np.int64)


def missing_photos(places: Places) -> NDArray[np.int64]:
    """The numbers of the places that were made from a file which is no longer there."""
    from_file = places.table.column("size_bytes").to_numpy() >= 0
    gone = [i for i in np.flatnonzero(from_file).tolist() if not Path(places.image(i)).is_file()]
    return np.array(gone, dtype=np.int64)


def photo_facts(photo: Path) -> PhotoFacts:
    """What a query's file name and EXIF data say, as for the index's own photos."""
    named = read_utm_named([photo], None)
    facts = PhotoFacts()
    if len(named.rows):
        latitude, longitude = named.degrees[0].tolist()
        heading, time = float(named.heading[0]), float(named.time[0])
        facts = PhotoFacts(latitude, longitude, heading=heading, time=time)
    return facts.completed_by(read_photo_facts(photo), "EXIF")
