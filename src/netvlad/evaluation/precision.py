"""Precision and recall of accepting a query's first answer from some similarity on.

As VPR-Bench measures it (Zaffar et al., IJCV 129, 2021): the similarity of the best match is
the confidence of the query, and a threshold on it decides which answers are believed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError


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
        precision = np.concatenate([[1.0], self.precision])
        steps = np.diff(self.recall, prepend=0.0)
        return float(np.sum(steps * (precision[1:] + precision[:-1]) / 2))

    @property
    def recall_at_full_precision(self) -> float:
        """The greatest recall before the first wrong answer is accepted; 0 where that comes first.

        With unequal confidences: right answers that are surer than every wrong one.
        """
        return float(self.recall[self.precision == 1.0].max(initial=0.0))


def precision_recall(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], *, possible: int | None = None
) -> PrecisionRecall:
    """The curve over all thresholds; answers with one confidence are accepted together.

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
    scores, right = np.asarray(confidences, np.float64), np.asarray(correct, np.bool_)
    if scores.ndim != 1 or scores.shape != right.shape:
        raise DataError(f"confidences of shape {scores.shape} but truth of shape {right.shape}")
    if np.isnan(scores).any():
        raise DataError("a confidence is NaN; give -inf for a query without an answer")
    answered = scores > -np.inf
    scores, right = scores[answered], right[answered]
    total = int(right.sum()) if possible is None else possible
    if total < right.sum():
        raise DataError(f"{int(right.sum())} answers are right but only {total} are possible")
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else order
    hits = np.cumsum(right)[last]
    return PrecisionRecall(
        thresholds=scores[last],
        precision=hits / (last + 1),
        recall=hits / max(total, 1),
    )
