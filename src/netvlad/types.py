"""The words everyone here speaks: small frozen records with documented shapes (numpy only)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A list of image files, with what is known about where and when each was taken.

    Attributes:
        root: the folder that ``names`` are relative to.
        names: N paths, relative to ``root``, with forward slashes. The same file may appear twice.
        positions: (N, 2) float64 easting and northing in UTM metres, NaN where unknown; None when
            nothing is known about any image.
        headings: (N,) float64 degrees clockwise from north, NaN where unknown; or None.
        times: (N,) float64 time stamps in the data set's own unit, NaN where unknown; or None.
        utm_zone: zone number and hemisphere, such as ``"31N"`` or ``"17S"`` (south); None when the
            format does not say and nobody else did.
        labels: what else is known of each image: (N,) words by name, ``""`` where unknown. Common
            names are ``city``, ``sequence``, ``condition`` and ``panorama``.

    Example:
        >>> images = ImageSet(Path("photos"), ("a.jpg", "b.jpg"), np.array([[0.0, 0], [3, 4]]))
        >>> len(images), images.subset([1]).names, images.path(0).as_posix()
        (2, ('b.jpg',), 'photos/a.jpg')
    """

    root: Path
    names: tuple[str, ...]
    positions: NDArray[np.float64] | None = None
    headings: NDArray[np.float64] | None = None
    times: NDArray[np.float64] | None = None
    utm_zone: str | None = None
    labels: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        for label, array, shape in (
            ("positions", self.positions, (n, 2)),
            ("headings", self.headings, (n,)),
            ("times", self.times, (n,)),
            *((name, words, (n,)) for name, words in self.labels.items()),
        ):
            if array is not None and array.shape != shape:
                raise DataError(
                    f"{self.root}: {n} image names but {label} of shape {array.shape}; "
                    f"expected {shape}"
                )

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """The file of image ``index``."""
        return self.root / self.names[index]

    def joined(self, other: "ImageSet") -> "ImageSet":
        """This set followed by ``other``; what only one of them knows is unknown for the other."""
        if self.root == other.root:
            root, names = self.root, self.names + other.names
        else:
            root = Path()
            names = tuple(str(s.path(i).absolute()) for s in (self, other) for i in range(len(s)))
        counts = (len(self), len(other))
        return ImageSet(
            root=root,
            names=names,
            positions=_joined(self.positions, other.positions, counts, (2,)),
            headings=_joined(self.headings, other.headings, counts, ()),
            times=_joined(self.times, other.times, counts, ()),
            utm_zone=self.utm_zone if self.utm_zone is not None else other.utm_zone,
            labels={
                name: np.concatenate(
                    [s.labels.get(name, np.full(len(s), "")) for s in (self, other)]
                )
                for name in {**self.labels, **other.labels}
            },
        )

    def subset(self, indices: Sequence[int] | NDArray[np.integer]) -> "ImageSet":
        """The images at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            names=tuple(self.names[i] for i in chosen),
            positions=None if self.positions is None else self.positions[chosen],
            headings=None if self.headings is None else self.headings[chosen],
            times=None if self.times is None else self.times[chosen],
            labels={name: words[chosen] for name, words in self.labels.items()},
        )


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q queries the correct (or near) database images, as compressed sparse rows.

    Attributes:
        offsets: (Q + 1,) int64; row ``i`` is ``indices[offsets[i]:offsets[i + 1]]``.
        indices: (nnz,) int64 database indices, ascending within each row.
    """

    offsets: NDArray[np.int64]
    indices: NDArray[np.int64]

    @classmethod
    def from_pairs(
        cls, queries: NDArray[np.int64], database: NDArray[np.int64], num_queries: int
    ) -> "Neighbours":
        """The list in which query ``queries[i]`` has the neighbour ``database[i]``.

        Args:
            queries: (P,) int64 query indices, in any order.
            database: (P,) int64 database indices; what is there twice counts once.
            num_queries: Q.

        Example:
            >>> near = Neighbours.from_pairs(np.array([2, 0, 2]), np.array([7, 5, 6]), 3)
            >>> [near.row(i).tolist() for i in range(3)]
            [[5], [], [6, 7]]
        """
        width = int(database.max(initial=0)) + 1
        rows, indices = np.divmod(np.unique(queries * width + database), width)
        counts = np.bincount(rows, minlength=num_queries)
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), indices)

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """((nnz,) query indices, (nnz,) database indices): what :meth:`from_pairs` takes."""
        return np.repeat(np.arange(len(self)), self.counts()), self.indices

    def subset(self, queries: NDArray[np.bool_] | NDArray[np.int64]) -> "Neighbours":
        """The rows of some queries: by an array of Q truth values, or of indices in any order."""
        chosen = np.flatnonzero(queries) if queries.dtype == np.bool_ else queries
        counts = self.counts()[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        return Neighbours(offsets, self.indices[np.repeat(self.offsets[chosen], counts) + within])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, i: int) -> NDArray[np.int64]:
        """The database indices of query ``i``, ascending."""
        if not 0 <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        return self.indices[self.offsets[i] : self.offsets[i + 1]]

    def counts(self) -> NDArray[np.int64]:
        """(Q,) int64: how many neighbours each query has."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class PlaceDataset:
    """One split of a data set: where to search, what to search for, and what counts as right.

    Attributes:
        name: the name it was opened by, such as ``"pitts30k"``.
        split: ``"train"``, ``"val"``, ``"test"``, ...
        database: the images with known places.
        queries: the images whose place is asked for.
        radius_m: a database image at most this far from the query is a correct answer (metres).
        train_radius_m: at most this far, it may serve as a positive in training (metres).
        positives: the correct database images of each query, where a list or a tolerance of
            frames says so; None where ``radius_m`` does.
        notes: what the reader wants a person to know, one sentence each (counts that differ from
            the published ones, images left out, ...).

    Example:
        >>> near = ImageSet(Path("a"), ("1.jpg", "2.jpg"), np.array([[0.0, 0], [100, 0]]))
        >>> asked = ImageSet(Path("b"), ("q.jpg",), np.array([[90.0, 0]]))
        >>> PlaceDataset("mine", "test", near, asked).radius_m
        25.0
    """

    name: str
    split: str
    database: ImageSet
    queries: ImageSet
    radius_m: float = 25.0
    train_radius_m: float = 10.0
    positives: Neighbours | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Matches:
    """The nearest database images of each query, best first.

    Attributes:
        indices: (Q, k) int64 database indices; -1 where there was nothing (left) to return.
        squared_distances: (Q, k) float32 squared L2 distances; inf where the index is -1.

    Example:
        >>> from netvlad.search import search_exact
        >>> search_exact(np.eye(2, dtype=np.float32), np.eye(3, 2, dtype=np.float32), 1).indices
        array([[0],
               [1]])
    """

    indices: NDArray[np.int64]
    squared_distances: NDArray[np.float32]


@dataclass(frozen=True)
class Recalls:
    """Recall@N of one evaluation, and what it was computed over.

    Example:
        >>> recalls = Recalls({1: 0.75, 5: 1.0}, num_queries=4, num_database=100)
        >>> f"{recalls.at[1]:.0%} of {counted(recalls.num_queries, 'queries')}"
        '75% of 4 queries'

    Attributes:
        at: N -> the share in [0, 1] of *all* queries that have a correct answer in their first N.
        num_queries: the denominator; unreadable queries and queries without positives included.
        num_database: database images, unreadable ones included.
        queries_without_positives: queries with no database image within the radius.
        unreadable_queries: queries that count as missed because their image could not be used.
        unreadable_database: database images that could never be returned for the same reason.
    """

    at: Mapping[int, float]
    num_queries: int
    num_database: int
    queries_without_positives: int = 0
    unreadable_queries: int = 0
    unreadable_database: int = 0


@dataclass(frozen=True)
class Progress:
    """How far some long work is.

    Attributes:
        stage: what is being done, in words a person reads (``"Describing the database"``).
        done: finished units, counted from 0.
        total: all units of this stage.
        unit: what is counted.
        figures: what else is worth showing beside the bar, such as ``{"loss": 0.02}``.
    """

    stage: str
    done: int
    total: int
    unit: str = "images"
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """One sentence that a person should read while the work goes on."""

    text: str


Reporter = Callable[[Progress | Note], None]
"""What long work calls with its progress and its notes; the core itself never prints."""


def counted(count: int, things: str) -> str:
    """A number with its noun, whose plural is given.

    >>> counted(1, "queries"), counted(1200, "places")
    ('1 query', '1,200 places')
    """
    if count == 1:
        things = {"queries": "query", "indexes": "index"}.get(things, things.removesuffix("s"))
    return f"{count:,} {things}"


def silent(_: Progress | Note) -> None:
    """The reporter that reports nothing."""


def _joined(
    first: NDArray[np.float64] | None,
    second: NDArray[np.float64] | None,
    counts: tuple[int, int],
    shape: tuple[int, ...],
) -> NDArray[np.float64] | None:
    if first is None and second is None:
        return None
    parts = [
        np.full((count, *shape), np.nan) if part is None else part
        for part, count in zip((first, second), counts, strict=True)
    ]
    return np.concatenate(parts)
