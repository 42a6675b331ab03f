"""Matching of sequences: a frame is found by the frames before and after it.

Two traverses of one route show the same places in the same order. SeqSLAM (Milford and Wyeth, ICRA
2012, section III-B) adds the scores along straight lines through the matrix of all frames against
all frames, a line for each speed, so that one frame that looks wrong is outvoted by its neighbours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError
from netvlad.storage import drop_pages
from netvlad.types import Matches

SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.2)
"""Database frames per query frame. SeqSLAM's own are 0.84 to 1.19 (its table I)."""

_VALUES_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class SequenceSearch:
    """Which lines are tried.

    Attributes:
        length: frames of a sequence, odd: as many before a frame as after it.
        speeds: slopes of the lines, in database frames per query frame, 0 or more. Where the
            database has ten frames for each of the queries' they lie about 10.
    """

    length: int = 11
    speeds: tuple[float, ...] = SPEEDS

    def __post_init__(self) -> None:
        if self.length < 1 or self.length % 2 == 0:
            raise SettingsError(f"sequence length is {self.length}; give an odd number of frames")
        if not self.speeds or not all(np.isfinite(v) and v >= 0 for v in self.speeds):
            raise SettingsError(f"sequence speeds are {self.speeds}; give numbers of 0 or more")

    def lines(self) -> tuple[tuple[int, ...], ...]:
        """For each different line the database frames away, for query frames −h to h."""
        half = self.length // 2
        steps = range(-half, half + 1)
        lines = (tuple(int(np.rint(speed * t)) for t in steps) for speed in self.speeds)
        return tuple(dict.fromkeys(lines))


def match_sequences(
    similarity: NDArray[np.floating[Any]], settings: SequenceSearch | None = None
) -> NDArray[np.float32]:
    """The similarity of the sequences around each query frame and each database frame.

    Element (i, j) is the greatest, over the lines, of the average of
    ``similarity[i + t, j + line(t)]`` for t from −h to h. What lies outside the matrix is left out
    of the average; a line of which less than half of the existing query frames lie inside is not
    tried. Values that are not finite are left out in the same way.

    Args:
        similarity: (Q, N) in the order of both traverses, higher is more alike.
        settings: which lines; None takes the defaults.

    Returns:
        (Q, N), −inf where no line could be tried.

    Raises:
        DataError: it is no matrix.
    """
    if similarity.ndim != 2:
        raise DataError(f"a similarity of shape {similarity.shape} is no (Q, N) matrix")
    settings = settings or SequenceSearch()
    known = np.isfinite(similarity)
    values = np.where(known, similarity, 0).astype(np.float32)
    weights = known.astype(np.float32)
    best = np.full(values.shape, -np.inf, np.float32)
    half = settings.length // 2
    existing = _frames_around(len(values), half)
    total, count = np.empty_like(values), np.empty_like(values)
    for line in settings.lines():
        total.fill(0)
        count.fill(0)
        for t, shift in zip(range(-half, half + 1), line, strict=True):
            rows, source_rows = _overlap(len(values), t)
            columns, source_columns = _overlap(values.shape[1], shift)
            total[rows, columns] += values[source_rows, source_columns]
            count[rows, columns] += weights[source_rows, source_columns]
        enough = (2 * count >= existing[:, None]) & (count > 0)
        np.maximum(best, np.divide(total, count, where=enough, out=total), out=best, where=enough)
    return best


def search_sequences(
    queries: NDArray[np.floating[Any]],
    database: NDArray[np.floating[Any]],
    k: int,
    settings: SequenceSearch | None = None,
    *,
    query_mask: NDArray[np.bool_] | None = None,
    database_mask: NDArray[np.bool_] | None = None,
) -> Matches:
    """The k database frames whose sequences are most like those of each query frame.

    A block of the similarity matrix is held at a time, with the frames around it, and a block of
    the database. Descriptors must be L2-normalised. A query frame without descriptor, or with one
    that is not finite, gets no answer and has no say; such a database frame is no answer.

    Args:
        queries: (Q, D) in the order of the traverse.
        database: (N, D) likewise.
        k: how many to return.
        settings: which lines; None takes the defaults.
        query_mask: (Q,) False for frames without descriptor.
        database_mask: (N,) False for frames that must never be returned.

    Returns:
        (Q, k); the distance is 2 − 2 × the average similarity.
    """
    settings = settings or SequenceSearch()
    half = settings.length // 2
    block = max(1, _VALUES_AT_ONCE // max(1, len(database)))
    asked = np.ones(len(queries), np.bool_) if query_mask is None else query_mask
    given = np.ones(len(database), np.bool_) if database_mask is None else database_mask
    indices = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    for start in range(0, len(queries), block):
        end = min(len(queries), start + block)
        low, high = max(0, start - half), min(len(queries), end + half)
        frames, usable = _finite(queries[low:high], asked[low:high])
        similarity = _similarity(frames, database, given)
        similarity[~usable] = np.nan
        found = match_sequences(similarity, settings)
        # Neighbours may speak for a frame, but what has no descriptor is no answer and has none.
        found[np.isnan(similarity)] = -np.inf
        best = nearest_by_similarity(found[start - low : end - low], k)
        indices[start:end], distances[start:end] = best.indices, best.squared_distances
    return Matches(indices, distances)


def _similarity(
    frames: NDArray[np.float32], database: NDArray[np.floating[Any]], given: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(F, N) inner products, NaN in the columns of rows that cannot be used."""
    similarity = np.empty((len(frames), len(database)), np.float32)
    rows = max(1, _VALUES_AT_ONCE // max(1, database.shape[1]))
    for start in range(0, len(database), rows):
        part = slice(start, start + rows)
        values, usable = _finite(database[part], given[part])
        np.matmul(frames, values.T, out=similarity[:, part])
        similarity[:, part][:, ~usable] = np.nan
        drop_pages(database)
    return similarity


def _finite(
    values: NDArray[np.floating[Any]], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows as float32 with zeros where they cannot be used, and which can."""
    rows = values.astype(np.float32)
    usable = wanted & np.asarray(np.isfinite(rows).all(axis=1))
    rows[~usable] = 0
    return rows, usable


def nearest_by_similarity(similarity: NDArray[np.floating[Any]], k: int) -> Matches:
    """The k most similar columns of each row; of equal ones the lower index comes first.

    Args:
        similarity: (Q, N), higher is more alike; −inf and NaN are never returned.
        k: how many.

    Returns:
        (Q, k) with −1 where there are no more; the distance is 2 − 2 × the similarity, which is
        the squared L2 distance where that is the cosine of unit vectors.
    """
    indices = np.full((len(similarity), k), -1, np.int64)
    distances = np.full((len(similarity), k), np.inf, np.float32)
    width = min(k, similarity.shape[1])
    for row, scores in enumerate(similarity if width else ()):
        values = np.where(np.isnan(scores), -np.inf, scores)
        # All that reach the k-th best, however many tie with it; stable sorting decides among them.
        limit = np.partition(values, -width)[-width]
        reached = np.flatnonzero((values >= limit) & (values > -np.inf))
        best = reached[np.argsort(-values[reached], kind="stable")[:width]]
        indices[row, : len(best)] = best
        distances[row, : len(best)] = 2 - 2 * values[best]
    return Matches(indices, distances)


def _frames_around(count: int, half: int) -> NDArray[np.int64]:
    """(Q,) how many frames a sequence around each of ``count`` frames has."""
    frames = np.arange(count)
    around: NDArray[np.int64] = (
        np.minimum(frames + half, count - 1) - np.maximum(frames - half, 0) + 1
    )
    return around


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where i and i + shift both lie in [0, size): the slice of i, and that of i + shift."""
    low, high = max(0, -shift), min(size, size - shift)
    high = max(low, high)
    return slice(low, high), slice(low + shift, high + shift)
