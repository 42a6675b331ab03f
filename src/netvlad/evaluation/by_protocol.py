"""Recall under a protocol, from descriptors."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.applying import PreparedEvaluation, SearchGroup
from netvlad.evaluation.recall import CUTOFFS, first_correct, recall_at
from netvlad.evaluation.sequences import SequenceSearch, search_sequences
from netvlad.search import search_exact
from netvlad.storage import drop_pages
from netvlad.types import Matches, Note, PlaceDataset, Progress, Recalls, Reporter, silent

Rows = NDArray[np.floating[Any]] | Descriptors

_VALUES_AT_ONCE = 1 << 24


def values_of(rows: Rows) -> NDArray[np.floating[Any]]:
    """The matrix itself."""
    return rows.values if isinstance(rows, Descriptors) else rows


def first_of_each(matches: Matches, panoramas: NDArray[np.int64], k: int) -> Matches:
    """The first k answers that are of different panoramas.

    Args:
        matches: (Q, m) answers, best first, m at least k.
        panoramas: a number for the panorama of each database image.
        k: how many to keep; where there are fewer, the rest is -1.
    """
    # What is missing counts as one more panorama, which stays missing.
    numbers = np.where(matches.indices >= 0, panoramas[matches.indices], -1)
    order = np.argsort(numbers, axis=1, kind="stable")
    ordered = np.take_along_axis(numbers, order, axis=1)
    first = np.ones(ordered.shape, np.bool_)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    keep = np.zeros(ordered.shape, np.bool_)
    np.put_along_axis(keep, order, first, axis=1)
    # Kept answers move to the front, in their order.
    front = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(keep, front, axis=1)
    indices = np.take_along_axis(matches.indices, front, axis=1)
    distances = np.take_along_axis(matches.squared_distances, front, axis=1)
    return Matches(np.where(kept, indices, -1), np.where(kept, distances, np.float32(np.inf)))


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """One evaluation under a protocol; images are numbered as the data set was opened.

    Attributes:
        prepared: the protocol, the data set, which queries count and what is correct.
        recalls: recall@N over the Q queries that count.
        matches: (Q, k) answers after suppression, best first.
        first_correct: (Q,) rank of the first correct answer, 0 for the first; k where none is.
        index_sizes: (Q,) how many database images each query was asked of.
        seconds: wall time of the search.
    """

    prepared: PreparedEvaluation
    recalls: Recalls
    matches: Matches
    first_correct: NDArray[np.int64]
    index_sizes: NDArray[np.int64]
    seconds: float

    @property
    def one_percent(self) -> NDArray[np.int64]:
        """(Q,) the N of recall@1 %: a hundredth of each query's index, rounded, at least 1."""
        return one_percent_of(self.index_sizes)

    def to_json(self) -> dict[str, Any]:
        """Figures, protocol, fingerprints and notes as JSON types."""
        recalls = self.recalls
        return {
            "protocol": self.prepared.protocol.to_json(),
            "data": {
                "name": self.prepared.dataset.name,
                "split": self.prepared.dataset.split,
                "fingerprint": self.prepared.data_fingerprint,
            },
            "recalls": {str(n): value for n, value in recalls.at.items()},
            "num_queries": recalls.num_queries,
            "num_database": recalls.num_database,
            "queries_without_positives": recalls.queries_without_positives,
            "unreadable_queries": recalls.unreadable_queries,
            "unreadable_database": recalls.unreadable_database,
            "seconds": round(self.seconds, 4),
            "notes": list(self.prepared.notes),
        }


def evaluate_prepared(
    prepared: PreparedEvaluation,
    database_descriptors: Rows,
    query_descriptors: Rows,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    one_percent: bool = False,
    sequences: SequenceSearch | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> ProtocolResult:
    """Search exactly and count what :func:`netvlad.evaluation.applying.apply` has prepared.

    The database is read through once for each group of queries: once under most protocols, once for
    each city with an index per city, or for each time stamp where the query's own is left out.

    Args:
        prepared: the protocol, applied.
        database_descriptors: (N, D) of all database images of the data set, or of those that count
            (``prepared.needed()``), in their order. A row that is not finite is never returned.
        query_descriptors: (Q, D) likewise; a row that is not finite is a miss.
        cutoffs: the N of recall@N.
        one_percent: whether the list of answers is to be long enough for recall@1 %.
        sequences: match each query with the frames around it; None searches single images.
        compute: where the products are computed.
        report: receives the progress, and the notes of ``prepared``.

    Raises:
        DataError: the number of descriptors fits neither all images nor those that count.
        SettingsError: sequences are asked for where images are left out or not in one traverse.
    """
    for note in prepared.notes:
        report(Note(f"{prepared.dataset.name} {prepared.dataset.split}: {note}"))
    sides = _Sides(prepared, database_descriptors, query_descriptors)
    sizes = np.zeros(len(prepared.queries), np.int64)
    for group in prepared.groups:
        sizes[group.queries] = len(prepared.answers_of(group))
    k = max(20, *cutoffs, *(one_percent_of(sizes).tolist() if one_percent else ()))
    if sequences is not None:
        _require_traverse(prepared)
    started = time.perf_counter()
    matches = _search(sides, k, sequences, compute, report)
    seconds = time.perf_counter() - started
    recalls = recall_at(
        matches,
        prepared.positives,
        len(prepared.database),
        cutoffs=cutoffs,
        unreadable_queries=int(np.sum(~sides.queries.readable[sides.query_rows])),
        unreadable_database=int(np.sum(~sides.database.readable[sides.database_rows])),
    )
    return ProtocolResult(
        prepared=prepared,
        recalls=recalls,
        matches=matches,
        first_correct=first_correct(matches, prepared.positives),
        index_sizes=sizes,
        seconds=seconds,
    )


def one_percent_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The N of recall@1 % in indexes of some sizes: max(round(size / 100), 1).

    As PointNetVLAD counts it (Uy and Lee, CVPR 2018).
    """
    return np.maximum(np.rint(sizes / 100).astype(np.int64), 1)


class _Sides:
    """Descriptors of both sides, all or those that count, and the rows of those that count."""

    def __init__(self, prepared: PreparedEvaluation, database: Rows, queries: Rows) -> None:
        dataset = prepared.dataset
        self.prepared = prepared
        self.database, self.database_rows = _located(
            "database_descriptors", database, prepared.database, len(dataset.database), dataset
        )
        self.queries, self.query_rows = _located(
            "query_descriptors", queries, prepared.queries, len(dataset.queries), dataset
        )

    def search(
        self, group: SearchGroup, k: int, sequences: SequenceSearch | None, compute: Compute
    ) -> Matches:
        """(n, k) answers to the queries of a group, as indices of the whole database."""
        answers = self.prepared.answers_of(group)
        # Their rows in the matrix; with all images described these are the same numbers.
        at = self.database_rows[np.searchsorted(self.prepared.database, answers)]
        if len(at) == 0:
            shape = (len(group.queries), k)
            return Matches(np.full(shape, -1), np.full(shape, np.inf, np.float32))
        asked = self.query_rows[group.queries]
        # Only the part of the matrix between the first and the last of them is read through.
        part = slice(int(at[0]), int(at[-1]) + 1)
        mask = np.zeros(part.stop - part.start, np.bool_)
        mask[at - part.start] = True
        mask &= self.database.readable[part]
        queries, readable = _taken(self.queries, asked)
        if sequences is not None:
            search = partial(search_sequences, settings=sequences)
        else:
            search = partial(search_exact, device=compute.torch_device())
        found = search(
            queries, self.database.values[part], k, query_mask=readable, database_mask=mask
        )
        images = np.full(len(mask), -1, np.int64)
        images[at - part.start] = answers
        return Matches(
            np.where(found.indices >= 0, images[found.indices], -1), found.squared_distances
        )


def _search(
    sides: _Sides, k: int, sequences: SequenceSearch | None, compute: Compute, report: Reporter
) -> Matches:
    prepared = sides.prepared
    suppression = prepared.protocol.suppression
    depth = k * (1 if suppression is None else suppression.cut_outs)
    indices = np.full((len(prepared.queries), k), -1, np.int64)
    distances = np.full((len(prepared.queries), k), np.inf, np.float32)
    for number, group in enumerate(prepared.groups):
        found = sides.search(group, depth, sequences, compute)
        if prepared.panoramas is not None:
            found = first_of_each(found, prepared.panoramas, k)
        indices[group.queries] = found.indices
        distances[group.queries] = found.squared_distances
        report(Progress("Searching", number + 1, len(prepared.groups), "indexes"))
    return Matches(indices, distances)


def _located(
    name: str, given: Rows, counting: NDArray[np.int64], total: int, dataset: PlaceDataset
) -> tuple[Descriptors, NDArray[np.int64]]:
    values = values_of(given)
    if values.ndim != 2 or len(values) not in (total, len(counting)):
        raise DataError(
            f"{name} has shape {values.shape}, but {dataset.name} {dataset.split} has {total} "
            f"images on that side, of which {len(counting)} count; give a row for each of either"
        )
    described = (
        given if isinstance(given, Descriptors) else Descriptors(values, finite_rows(values))
    )
    return described, counting if len(values) == total else np.arange(len(counting))


def _taken(
    queries: Descriptors, rows: NDArray[np.int64]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Some rows; neighbouring ones are not copied."""
    part: slice | NDArray[np.int64] = rows
    if len(rows) and int(rows[-1] - rows[0]) + 1 == len(rows):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
    return queries.values[part], queries.readable[part]


def _require_traverse(prepared: PreparedEvaluation) -> None:
    whole = len(prepared.queries) == len(prepared.dataset.queries)
    whole &= len(prepared.database) == len(prepared.dataset.database)
    if not whole or len(prepared.groups) != 1:
        raise SettingsError(
            f"protocol {prepared.protocol.name} leaves out images, or asks several indexes: what "
            "is left is no traverse to match sequences in; choose a protocol that keeps every frame"
        )


def finite_rows(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which rows are finite, a block at a time: the array may be larger than memory."""
    finite = np.empty(len(values), dtype=np.bool_)
    rows = max(1, _VALUES_AT_ONCE // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        finite[start : start + rows] = np.isfinite(values[start : start + rows]).all(axis=1)
        drop_pages(values)
    return finite
