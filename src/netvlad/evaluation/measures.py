"""All figures of one evaluation, for all queries or for those of one condition."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.evaluation.by_protocol import ProtocolResult
from netvlad.evaluation.confidence import precision_recall
from netvlad.evaluation.intervals import LEVEL, Interval, places_of, share_intervals
from netvlad.evaluation.recall import CUTOFFS

ONE_PERCENT = "1%"


@dataclass(frozen=True, eq=False)
class QueryOutcomes:
    """What became of each of Q queries.

    Attributes:
        ranks: (Q,) rank of the first correct answer, 0 for the first; ``depth`` where none is.
        depth: how many answers each query has.
        confidences: (Q,) similarity of the first answer, −inf without one.
        errors_m: (Q,) metres from the query to its first answer; inf without an answer, NaN where a
            position is unknown. None where the data set has no positions.
        places: (Q,) queries with one number show one place.
        one_percent: (Q,) a hundredth of each query's index.
        labels: (Q,) words by name.
    """

    ranks: NDArray[np.int64]
    depth: int
    confidences: NDArray[np.float64]
    errors_m: NDArray[np.float64] | None
    places: NDArray[np.int64]
    one_percent: NDArray[np.int64]
    labels: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.ranks)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(Q,) whether the first answer is right."""
        correct: NDArray[np.bool_] = self.ranks == 0
        return correct

    def subset(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "QueryOutcomes":
        """Some of the queries."""
        return replace(
            self,
            ranks=self.ranks[rows],
            confidences=self.confidences[rows],
            errors_m=None if self.errors_m is None else self.errors_m[rows],
            places=self.places[rows],
            one_percent=self.one_percent[rows],
            labels={name: words[rows] for name, words in self.labels.items()},
        )


@dataclass(frozen=True)
class Measures:
    """The figures of some queries.

    Attributes:
        queries: how many; all of them are the denominator of recall.
        places: how many places they show.
        right: how many have a right first answer.
        recall: by N, and by ``"1%"`` where the answers are deep enough: with 95 % intervals over
            places.
        average_precision: of accepting first answers by their similarity.
        auc: area under the precision-recall curve.
        recall_at_full_precision: share of the right answers surer than every wrong one.
        median_error_m: metres from the query to its first answer; None where unknown, inf where
            half of the queries have no answer.
        p90_error_m: nine of ten queries have at most this error; as above.
    """

    queries: int
    places: int
    right: int
    recall: Mapping[str, Interval]
    average_precision: float
    auc: float
    recall_at_full_precision: float
    median_error_m: float | None
    p90_error_m: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON types; an infinite error becomes null."""
        content = asdict(self)
        for name in ("median_error_m", "p90_error_m"):
            if content[name] is not None and not np.isfinite(content[name]):
                content[name] = None
        return content


def outcomes_of(result: ProtocolResult, *, place_label: str | None = None) -> QueryOutcomes:
    """What became of the queries of an evaluation.

    Args:
        result: the evaluation.
        place_label: the label that tells places apart; None groups queries by position.

    Raises:
        DataError: there is no such label.
    """
    prepared = result.prepared
    queries = prepared.dataset.queries.subset(prepared.queries)
    first = result.matches.indices[:, 0]
    answered = first >= 0
    errors = None
    theirs, own = prepared.dataset.database.positions, queries.positions
    if theirs is not None and own is not None:
        errors = np.where(answered, np.linalg.norm(theirs[first] - own, axis=1), np.inf)
        errors[np.isnan(own).any(axis=1)] = np.nan
    distances = result.matches.squared_distances[:, 0].astype(np.float64)
    return QueryOutcomes(
        ranks=result.first_correct,
        depth=result.matches.indices.shape[1],
        # The cosine of unit vectors; of others still the greater the nearer. −inf without answer.
        confidences=1 - distances / 2,
        errors_m=errors,
        places=places_of(queries, label=place_label),
        one_percent=result.one_percent,
        labels=queries.labels,
    )


def measure(
    outcomes: QueryOutcomes,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    level: float = LEVEL,
) -> Measures:
    """All figures of some queries.

    Args:
        outcomes: the queries.
        cutoffs: the N of recall@N.
        level: of the intervals.

    Raises:
        DataError: there is no query, or fewer answers than a cutoff asks for.
    """
    if len(outcomes) == 0:
        raise DataError("measures need at least one query")
    if max(cutoffs) > outcomes.depth:
        raise DataError(
            f"recall@{max(cutoffs)} needs {max(cutoffs)} answers a query, not {outcomes.depth}"
        )
    limits = {str(n): np.full(len(outcomes), n) for n in cutoffs}
    if outcomes.one_percent.max() <= outcomes.depth:
        limits[ONE_PERCENT] = outcomes.one_percent
    hits = np.column_stack([outcomes.ranks < limit for limit in limits.values()])
    intervals = share_intervals(hits, outcomes.places, level=level)
    curve = precision_recall(outcomes.confidences, outcomes.correct)
    return Measures(
        queries=len(outcomes),
        places=len(np.unique(outcomes.places)),
        right=int(outcomes.correct.sum()),
        recall=dict(zip(limits, intervals, strict=True)),
        average_precision=curve.average_precision,
        auc=curve.auc,
        recall_at_full_precision=curve.recall_at_full_precision,
        median_error_m=error_quantile(outcomes.errors_m, 0.5),
        p90_error_m=error_quantile(outcomes.errors_m, 0.9),
    )


def measure_by(
    outcomes: QueryOutcomes,
    label: str,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    level: float = LEVEL,
) -> dict[str, Measures]:
    """The same for each word of a label (``"condition"``, ``"city"``), in alphabetical order.

    Queries whose word is empty are under ``""``.

    Raises:
        DataError: there is no such label; or as :func:`measure`.
    """
    if label not in outcomes.labels:
        known = ", ".join(outcomes.labels) or "none"
        raise DataError(f"there is no label {label} to measure by (labels: {known})")
    words = outcomes.labels[label]
    return {
        word: measure(outcomes.subset(words == word), cutoffs=cutoffs, level=level)
        for word in np.unique(words).tolist()
    }


def error_quantile(errors_m: NDArray[np.float64] | None, share: float) -> float | None:
    """The error that this share of queries does not exceed, linear between two queries.

    Args:
        errors_m: (Q,) metres; inf for a query without an answer; NaN does not count.
        share: in [0, 1]; 0.5 for the median.

    Returns:
        metres, inf where the quantile falls on queries without an answer; None where no error is
        known.
    """
    if errors_m is None:
        return None
    known = np.sort(errors_m[~np.isnan(errors_m)])
    if len(known) == 0:
        return None
    at = share * (len(known) - 1)
    low, high = known[int(np.floor(at))], known[int(np.ceil(at))]
    # numpy.quantile makes NaN of an infinite neighbour, even where that has no weight.
    return float(low if low == high else low + (at - np.floor(at)) * (high - low))
