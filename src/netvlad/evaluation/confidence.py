"""Whether confidences tell right answers from wrong ones, and whether probabilities are true."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from netvlad.errors import DataError, SettingsError

BINS = 10


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """A curve of T points, from the strictest threshold to the most generous.

    Attributes:
        thresholds: (T,) descending; an answer is accepted from its threshold on.
        precision: (T,) right answers over accepted ones.
        recall: (T,) right accepted answers over all possible ones.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def average_precision(self) -> float:
        """Σ (R_t − R_{t−1}) · P_t, without interpolation; 0 where nothing is right."""
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))

    @property
    def auc(self) -> float:
        """The area under the curve by trapezia, from recall 0 at precision 1 on.

        This is what VPR-Bench calls AUC; a little more than the average precision.
        """
        return float(np.trapezoid(np.append(1.0, self.precision), np.append(0.0, self.recall)))

    @property
    def recall_at_full_precision(self) -> float:
        """The greatest recall before the first wrong answer is accepted; 0 where that comes first.

        With unequal confidences: right answers that are surer than every wrong one.
        """
        return float(self.recall[self.precision == 1.0].max(initial=0.0))


def precision_recall(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], *, possible: int | None = None
) -> PrecisionRecall:
    """Precision and recall of accepting a query's first answer, over all thresholds.

    As VPR-Bench measures it (Zaffar et al., IJCV 129, 2021): the similarity of the best match is
    the confidence of the query. Answers with one confidence are accepted together.

    Args:
        confidences: (n,) similarity of each query's first answer, on any scale; −inf for a query
            without an answer, which is never accepted.
        correct: (n,) whether it is right.
        possible: how many right answers there could be, the denominator of recall. None takes
            those that are right at the most generous threshold, as VPR-Bench does, so that recall
            ends at 1; the number of queries with a positive makes models comparable
            (Schubert et al., IEEE RAM 2023).

    Raises:
        DataError: shapes differ, a confidence is NaN, or fewer are possible than right.

    Examples:
        >>> curve = precision_recall(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
        >>> curve.recall_at_full_precision, round(curve.average_precision, 4)
        (0.5, 0.8333)
    """
    scores, right = _of_one_length(
        confidences, correct, "confidence", "give -inf for a query without an answer"
    )
    answered = scores > -np.inf
    scores, right = scores[answered], right[answered]
    total = int(right.sum()) if possible is None else possible
    if total < right.sum():
        raise DataError(f"{int(right.sum())} answers are right but only {total} are possible")
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else order
    hits = np.cumsum(right)[last]
    return PrecisionRecall(scores[last], hits / (last + 1), hits / max(total, 1))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers sorted by their probability into B bins of equal width.

    Attributes:
        edges: (B + 1,) limits of the bins; a bin contains its upper limit, the first both.
        counts: (B,) answers in each.
        probability: (B,) their average probability, NaN in an empty bin.
        correct: (B,) the share of them that is right, NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    probability: NDArray[np.float64]
    correct: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConfidenceMeasures:
    """How good the probabilities of n answers are.

    Attributes:
        answers: n.
        right: how many were right.
        ece: expected calibration error, 0 is perfect.
        ece_interval: its 95 % bootstrap interval.
        auc: area under the ROC curve, 1 is perfect, 0.5 chance.
        recall_at_full_precision: share of the right answers that are surer than every wrong one.
        reliability: the table behind ``ece``.
    """

    answers: int
    right: int
    ece: float
    ece_interval: tuple[float, float]
    auc: float
    recall_at_full_precision: float
    reliability: Reliability


def measure_confidence(
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
) -> ConfidenceMeasures:
    """All measures of the probabilities of n answers.

    Args:
        probabilities: (n,) in [0, 1].
        correct: (n,) whether the answer was right.
        groups: as for :func:`calibration_error_interval`.
        seed: of the bootstrap.

    Raises:
        DataError: shapes differ, there is nothing, or the answers are all right or all wrong.
    """
    return ConfidenceMeasures(
        answers=len(probabilities),
        right=int(np.sum(correct)),
        ece=expected_calibration_error(probabilities, correct),
        ece_interval=calibration_error_interval(probabilities, correct, groups=groups, seed=seed),
        auc=roc_auc(probabilities, correct),
        recall_at_full_precision=recall_at_full_precision(probabilities, correct),
        reliability=reliability(probabilities, correct),
    )


def reliability(
    probabilities: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = BINS
) -> Reliability:
    """The reliability diagram as a table (Guo et al., arXiv 1706.04599, equations 1 and 2).

    Raises:
        DataError: shapes differ, there is nothing, or a probability is outside [0, 1].
        SettingsError: ``bins`` is below 1.
    """
    p, truth = _checked(probabilities, correct)
    counts, sums, hits = _binned(p, truth, np.ones(len(p)), bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.linspace(0, 1, bins + 1), counts.astype(np.int64), sums / counts, hits / counts
        )


def expected_calibration_error(
    probabilities: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = BINS
) -> float:
    """Σ_b n_b/n · |share right − average probability| (Guo et al., arXiv 1706.04599, equation 3).

    Args:
        probabilities: (n,) in [0, 1].
        correct: (n,) whether the answer was right.
        bins: of equal width; a probability on a limit belongs to the bin below.

    Raises:
        DataError: shapes differ, there is nothing, or a probability is outside [0, 1].
        SettingsError: ``bins`` is below 1.

    Examples:
        >>> expected_calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
        0.25
    """
    p, truth = _checked(probabilities, correct)
    return _calibration_error(p, truth, np.ones(len(p)), bins)


def calibration_error_interval(
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    bins: int = BINS,
    level: float = 0.95,
    resamples: int = 2000,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of :func:`expected_calibration_error` (Efron, 1979).

    The error is a sum of absolute values, so chance alone makes it positive: the interval of
    perfect probabilities does not reach 0, and the resampled errors lie above the error itself.

    Args:
        probabilities: (n,) in [0, 1].
        correct: (n,) whether the answer was right.
        bins: of equal width.
        level: the share of resampled errors inside, in (0, 1).
        resamples: how many.
        groups: (n,) numbers; answers with the same number are drawn together, for queries that are
            not independent (several taken at one spot). None draws each for itself.
        seed: of the drawing.

    Returns:
        low and high.

    Raises:
        DataError: shapes differ, there is nothing, or a probability is outside [0, 1].
        SettingsError: a setting is out of range.
    """
    p, truth = _checked(probabilities, correct)
    if not 0 < level < 1 or resamples < 1:
        raise SettingsError(f"level is {level}, resamples {resamples}; give (0, 1) and at least 1")
    members = np.arange(len(p)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(members) != len(p):
        raise DataError(f"{len(p)} probabilities but {len(members)} groups")
    random = np.random.default_rng(seed)
    num_groups = int(members.max()) + 1
    errors = np.empty(resamples)
    for i in range(resamples):
        drawn = np.bincount(random.integers(num_groups, size=num_groups), minlength=num_groups)
        errors[i] = _calibration_error(p, truth, drawn[members], bins)
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def roc_auc(scores: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The chance that a right answer scores higher than a wrong one, ties counting half.

    The area under the ROC curve is the Mann-Whitney statistic (Hanley and McNeil, Radiology 143,
    1982).

    Args:
        scores: (n,) higher is surer; on any scale.
        correct: (n,) whether the answer was right.

    Raises:
        DataError: shapes differ, a score is NaN, or the answers are all right or all wrong.
    """
    values, truth = _right_and_wrong(scores, correct)
    right = int(truth.sum())
    above = rankdata(values)[truth].sum() - right * (right + 1) / 2
    return float(above / (right * (len(truth) - right)))


def recall_at_full_precision(scores: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The share of the right answers that score higher than every wrong one.

    Takes and raises what :func:`roc_auc` does.
    """
    values, truth = _right_and_wrong(scores, correct)
    return float(np.mean(values[truth] > values[~truth].max()))


def _calibration_error(
    p: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.number], bins: int
) -> float:
    _, sums, hits = _binned(p, truth, weights, bins)
    return float(np.abs(hits - sums).sum() / weights.sum())


def _binned(
    p: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.number], bins: int
) -> tuple[NDArray[np.float64], ...]:
    """(B,) weight, weighted sum of probabilities and weighted right answers of each bin."""
    if bins < 1:
        raise SettingsError(f"bins is {bins}; give at least 1")
    which = np.maximum(np.ceil(p * bins).astype(np.int64) - 1, 0)
    return tuple(
        np.bincount(which, weights * each, bins).astype(np.float64) for each in (1, p, truth)
    )


def _right_and_wrong(
    scores: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = _of_one_length(scores, correct)
    if truth.all() or not truth.any():
        raise DataError(
            f"{int(truth.sum())} of {len(truth)} answers are right: this measure needs right and "
            "wrong ones"
        )
    return values, truth


def _checked(
    probabilities: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, truth = _of_one_length(probabilities, correct)
    if len(p) == 0:
        raise DataError("a calibration error needs at least one answer")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("a probability is outside [0, 1]; give probabilities, not scores")
    return p, truth


def _of_one_length(
    scores: NDArray[np.floating],
    correct: NDArray[np.bool_],
    called: str = "score",
    remedy: str = "leave out answers without a probability",
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(scores, np.float64), np.asarray(correct, np.bool_)
    if values.ndim != 1 or values.shape != truth.shape:
        raise DataError(f"{called}s of shape {values.shape} but truth of shape {truth.shape}")
    if np.isnan(values).any():
        raise DataError(f"a {called} is NaN; {remedy}")
    return values, truth
