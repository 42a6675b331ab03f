"""How well and how fast a searcher answers: recall against exact search, time per query."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.search.rows import as_float32
from netvlad.search.searcher import Searcher
from netvlad.types import Matches


@dataclass(frozen=True)
class Trial:
    """One way to search, measured.

    Attributes:
        kind: ``"exact"`` or a kind of :class:`~netvlad.search.approximate.Structure`.
        breadth: ef_search or nprobe; 0 for exact search.
        rescored: candidates compared exactly; 0 for exact search.
        at: how many neighbours were asked for.
        recall_at_1: share of the queries whose nearest row was found.
        recall: share of the ``at`` nearest rows of all queries that were found.
        mean_ms: milliseconds per single query.
        p50_ms: half of the single queries took no longer.
        p99_ms: 99 of 100 single queries took no longer.
        build_s: seconds that building the structure took.
        megabytes: size of the structure, in memory and on disk, beside the matrix (10⁶ bytes).
    """

    kind: str
    breadth: int
    rescored: int
    at: int
    recall_at_1: float
    recall: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    build_s: float = 0.0
    megabytes: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON types, rounded for people."""
        digits = {"recall": 4, "recall_at_1": 4, "build_s": 1, "megabytes": 1}
        return {
            name: round(value, digits.get(name, 3)) if isinstance(value, float) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, eq=False)
class Questions:
    """Stored rows as queries, and what exact search answers, each row left out of its own answer.

    Attributes:
        rows: (Q,) which rows of the matrix ask.
        queries: (Q, D) they themselves.
        distances: (Q, at) float32 squared distances of the nearest others, best first; inf where
            there are no more.
    """

    rows: NDArray[np.int64]
    queries: NDArray[np.float32]
    distances: NDArray[np.float32]

    @classmethod
    def sample(cls, exact: Searcher, rows: int, count: int, at: int, seed: int) -> "Questions":
        """``count`` random live rows among the first ``rows``, or all if there are fewer."""
        live = np.flatnonzero(exact.alive[:rows])
        random = np.random.default_rng(seed)
        chosen = np.sort(random.choice(live, min(count, len(live)), replace=False))
        queries = as_float32(exact.matrix[chosen])
        matches = exact.search(queries, at + 1)
        return cls(chosen, queries, _without(matches, chosen))


def measure(
    searcher: Searcher, questions: Questions, *, timed: int | None = None, answered: bool = True
) -> Trial:
    """Ask a searcher the questions: all at once for the recall, one by one for the time.

    A returned row counts as right when it is as near as the last of the true ones, so that copies
    of a row may stand for each other.

    Args:
        searcher: over the matrix that the questions come from.
        questions: at least one.
        timed: how many of them are asked one by one; None is all.
        answered: False for the searcher that answered the questions before: its recall is 1.
    """
    at = questions.distances.shape[1]
    recalls = (1.0, 1.0)
    if answered:
        found = _without(searcher.search(questions.queries, at + 1), questions.rows)
        recalls = (_recall(found, questions.distances, 1), _recall(found, questions.distances, at))
    times = []
    searcher.search(questions.queries[:1], at)
    for query in questions.queries[:timed]:
        start = time.perf_counter()
        searcher.search(query[None], at)
        times.append(1000.0 * (time.perf_counter() - start))
    structure = searcher.structure
    return Trial(
        kind="exact" if structure is None else structure.kind,
        breadth=0 if structure is None else structure.breadth,
        rescored=0 if structure is None else structure.rescored,
        at=at,
        recall_at_1=recalls[0],
        recall=recalls[1],
        mean_ms=float(np.mean(times)),
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
    )


def _recall(found: NDArray[np.float32], true: NDArray[np.float32], at: int) -> float:
    """The share of the ``at`` nearest that is there; of as many as there are."""
    wanted = np.isfinite(true[:, :at])
    last = np.where(wanted, true[:, :at], -np.inf).max(axis=1, initial=-np.inf)
    right = (found[:, :at] <= last[:, None]).sum()
    return float(right / max(int(wanted.sum()), 1))


def _without(matches: Matches, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(Q, k - 1) squared distances without the row that asked, or else without the last one."""
    own = matches.indices == rows[:, None]
    # Among many copies a row may be missing from its own answer.
    own[~own.any(axis=1), -1] = True
    others: NDArray[np.float32] = matches.squared_distances[~own].reshape(len(rows), -1)
    return others
