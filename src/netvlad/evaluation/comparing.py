"""Whether one model is better than another on the same queries, or was lucky."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from netvlad.errors import DataError


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same trials: queries, or places.

    Attributes:
        trials: how many.
        a_better: trials in which only the first model is right (places: more often right).
        b_better: trials in which only the second is.
        p_value: how likely so uneven a split of these, or a more uneven one, is if neither is
            better (two-sided, exact); 1 where they never differ.
    """

    trials: int
    a_better: int
    b_better: int
    p_value: float


def compare_paired(
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    *,
    places: NDArray[np.integer] | None = None,
) -> PairedComparison:
    """McNemar's test in its exact form, or the sign test over places.

    Trials in which both models do equally well say nothing; the others are tosses of a fair coin
    if neither is better (McNemar, Psychometrika 12, 1947; exact by the binomial distribution).

    Args:
        correct_a: (Q,) whether the first model is right at each query.
        correct_b: (Q,) likewise the second, on the same queries in the same order.
        places: (Q,) numbers; queries with one number are one trial, won by the model that is right
            more often there. Queries of one place are not independent, so that the test over
            queries finds differences that are none. None makes every query a trial.

    Raises:
        DataError: the lengths differ.
    """
    if correct_a.shape != correct_b.shape or correct_a.ndim != 1:
        raise DataError(
            f"models answered {correct_a.shape} and {correct_b.shape} queries; a paired test needs "
            "the same ones"
        )
    difference = correct_a.astype(np.int64) - correct_b.astype(np.int64)
    if places is not None:
        if places.shape != difference.shape:
            raise DataError(f"{len(difference)} queries but places of shape {places.shape}")
        numbers = np.unique(places, return_inverse=True)[1]
        # Sums of integers, which bincount's floats hold exactly.
        difference = np.bincount(numbers, weights=difference).astype(np.int64)
    a_better, b_better = int(np.sum(difference > 0)), int(np.sum(difference < 0))
    decided = a_better + b_better
    p_value = float(binomtest(a_better, decided, 0.5).pvalue) if decided else 1.0
    return PairedComparison(len(difference), a_better, b_better, p_value)
