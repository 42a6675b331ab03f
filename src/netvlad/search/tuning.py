"""Which search structure a matrix deserves, decided by measured recall and time per query."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError
from netvlad.search.approximate import FEWEST_ROWS, KINDS, Structure, build_structure
from netvlad.search.rows import as_float32
from netvlad.search.searcher import Searcher
from netvlad.types import Matches, Note, Reporter, silent

EXACT_TIMED = 10  # single exact queries that are timed: each reads the whole matrix
EFFORTS = 6  # settings that a bench goes through, each twice as broad as the one before
GAIN = 0.25  # of the missing recall: where doubling the breadth gains less, the codes are missing

MANY_ROWS = 200_000
"""From here on inverted lists are tried before the graph: at 1,000,000 × 512 they took 105 s and
found 0.997 of the nearest 20, the graph 182 s and 0.925 at most. At 60,000 the graph finds more."""


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
        mean_ms, p50_ms, p99_ms: milliseconds per single query: mean, median and 99th percentile.
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
    of a row may stand for each other. So many questions are ``timed``; None is all. Not
    ``answered`` by the searcher that answered them before: its recall is 1.
    """
    at = questions.distances.shape[1]
    recalls = (1.0, 1.0)
    if answered:
        answers = _without(searcher.search(questions.queries, at + 1), questions.rows)
        recalls = (
            _recall(answers, questions.distances, 1),
            _recall(answers, questions.distances, at),
        )
    times = []
    searcher.search(questions.queries[:1], at)
    for query in questions.queries[:timed]:
        start = time.perf_counter()
        searcher.search(query[None], at)
        times.append(1000.0 * (time.perf_counter() - start))
    found = searcher.structure
    effort = ("exact", 0, 0) if found is None else (found.kind, found.breadth, found.rescored)
    p50_ms, p99_ms = np.percentile(times, (50, 99)).tolist()
    return Trial(*effort, at, *recalls, float(np.mean(times)), p50_ms, p99_ms)


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


def preferred_kinds(rows: int) -> tuple[str, ...]:
    """The order in which kinds of structures are tried for so many rows."""
    return KINDS if rows < MANY_ROWS else KINDS[::-1]


@dataclass(frozen=True, eq=False)
class Choice:
    """The structure to search with, and why.

    Attributes:
        structure: with the effort that was chosen; None for exact search.
        trials: everything that was measured, in its order; exact search first.
        reason: one sentence for a person.
    """

    structure: Structure | None
    trials: tuple[Trial, ...]
    reason: str


def choose_structure(
    matrix: NDArray[np.floating],
    rows: int | None = None,
    *,
    alive: NDArray[np.bool_] | None = None,
    minimum: int = 50_000,
    target_recall: float = 0.99,
    at: int = 20,
    kinds: Sequence[str] | None = None,
    sample_queries: int = 200,
    seed: int = 0,
    threads: int | None = None,
    report: Reporter = silent,
) -> Choice:
    """Build the first kind of structure that finds what exact search finds, and faster.

    The queries are stored rows, each left out of its own answer. A kind is searched ever more
    thoroughly until its recall reaches the target. For ``rows``, ``seed`` and ``threads`` see
    :func:`~netvlad.search.approximate.build_structure`.

    Args:
        matrix: (R, D) L2-normalised float16 or float32.
        alive: (R,) False for removed rows.
        minimum: with fewer live rows nothing is built.
        target_recall: of the ``at`` nearest rows, the share to be found.
        kinds: what to try, the preferred first; None: see :func:`preferred_kinds`.
        sample_queries: how many rows ask.
        report: gets the progress, and a note with the reason.

    Raises:
        SettingsError: an unknown kind, or a number out of its range.
    """
    rows = len(matrix) if rows is None else rows
    kinds = preferred_kinds(rows) if kinds is None else kinds
    count = checked_rows(matrix, rows, kinds, at, sample_queries)
    if not 0 < target_recall <= 1:
        raise SettingsError(f"target recall {target_recall:g}: give a share above 0, at most 1")
    exact = Searcher(matrix[:count], None if alive is None else alive[:count])
    live = int(np.count_nonzero(exact.alive))
    if live < max(minimum, 2):
        few = f"exact search: {live:,} places are fewer than {minimum:,}"
        return _chosen(None, [], few, report)
    questions = Questions.sample(exact, count, sample_queries, at, seed)
    trials = [measure(exact, questions, timed=EXACT_TIMED, answered=False)]
    for kind in kinds:
        if count < FEWEST_ROWS[kind]:
            continue
        start = time.perf_counter()
        structure = build_structure(
            kind, matrix, rows=count, seed=seed, threads=threads, report=report
        )
        build_s, megabytes = time.perf_counter() - start, structure.size_bytes() / 1e6
        for tried, trial in _ever_harder(structure, exact, questions, target_recall):
            trials.append(dataclasses.replace(trial, build_s=build_s, megabytes=megabytes))
            if trial.recall >= target_recall and trial.mean_ms < trials[0].mean_ms:
                reason = (
                    f"{kind}: recall@{at} {trial.recall:.4f} of exact search, "
                    f"{trial.mean_ms:.2f} ms instead of {trials[0].mean_ms:.2f} ms per query"
                )
                return _chosen(tried, trials, reason, report)
            if trial.mean_ms >= trials[0].mean_ms:
                break
        del structure
    reason = f"exact search: nothing faster reached recall@{at} {target_recall:g}"
    return _chosen(None, trials, reason, report)


def _ever_harder(
    structure: Structure, exact: Searcher, questions: Questions, target: float
) -> Iterator[tuple[Structure, Trial]]:
    """Trials of rising effort, until the target is reached or everything is visited."""
    at = questions.distances.shape[1]
    breadth, rescored = next(efforts(structure, at))
    missing = np.inf
    while True:
        tried = structure.with_effort(breadth, rescored)
        trial = measure(Searcher(exact.matrix, exact.alive, tried), questions)
        yield tried, trial
        most = min(structure.most_breadth(), 4096)
        if trial.recall >= target or (breadth >= most and rescored >= 100 * at):
            return
        gained = missing - (1.0 - trial.recall)
        if breadth >= most or gained < GAIN * (1.0 - trial.recall):
            rescored *= 2
        breadth = min(2 * breadth, most)
        missing = 1.0 - trial.recall


def efforts(structure: Structure, at: int) -> Iterator[tuple[int, int]]:
    """(breadth, re-scored candidates) from quick to thorough."""
    if structure.kind == "hnsw":
        # The codes are fine enough that twice as many candidates as asked for hold the answer.
        first, rescored = 32, 2 * (at + 1)
    else:
        first, rescored = 8, 10 * (at + 1)
    for doubled in range(EFFORTS):
        if doubled == 0 or first << doubled <= structure.most_breadth():
            yield first << doubled, rescored


def checked_rows(
    matrix: NDArray[np.floating],
    rows: int | None,
    kinds: Sequence[str],
    at: int,
    sample_queries: int,
) -> int:
    """How many rows are meant."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise SettingsError(f"search structure {unknown[0]!r}: choose one of {', '.join(KINDS)}")
    if at < 1 or sample_queries < 1:
        raise SettingsError(f"{sample_queries} queries for {at} neighbours: give numbers from 1 on")
    count = len(matrix) if rows is None else rows
    if not 0 <= count <= len(matrix):
        raise SettingsError(f"{count} rows of a matrix of {len(matrix)}: give at most that many")
    return count


def _chosen(
    structure: Structure | None, trials: list[Trial], reason: str, report: Reporter
) -> Choice:
    report(Note(reason))
    return Choice(structure, tuple(trials), reason)
