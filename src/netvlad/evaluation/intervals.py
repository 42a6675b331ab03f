"""How far a share of queries would move if other places had been asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure and its interval.

    Attributes:
        value: as measured.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def share_intervals(
    hits: NDArray[np.bool_],
    places: NDArray[np.integer],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Percentile bootstrap over places of the share of queries that are hits.

    Whole places are drawn with replacement, each with all of its queries (cluster bootstrap;
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).

    Args:
        hits: (Q, C) whether each query is a hit, by each of C criteria (recall@1, @5, ...); the
            same places are drawn for all of them.
        places: (Q,) numbers; queries with one number are drawn together.
        level: the share of resampled figures inside, in (0, 1).
        resamples: how many.
        seed: of the drawing.

    Returns:
        C intervals.

    Raises:
        DataError: shapes differ, or there is no query.
        SettingsError: a setting is out of range.
    """
    if hits.ndim != 2 or len(hits) != len(places) or len(hits) == 0:
        raise DataError(
            f"hits of shape {hits.shape} and {len(places)} places; expected (Q, C) and Q above 0"
        )
    if not 0 < level < 1 or resamples < 1:
        raise SettingsError(f"level is {level}, resamples {resamples}; give (0, 1) and at least 1")
    numbers = np.unique(places, return_inverse=True)[1]
    num_places = int(numbers.max()) + 1
    # A column more, for the number of queries.
    sums = np.zeros((num_places, hits.shape[1] + 1))
    np.add.at(sums, numbers, np.column_stack([hits, np.ones(len(hits))]))
    random = np.random.default_rng(seed)
    shares = np.empty((resamples, hits.shape[1]))
    for i in range(resamples):
        drawn = np.bincount(random.integers(num_places, size=num_places), minlength=num_places)
        totals = drawn @ sums
        shares[i] = totals[:-1] / totals[-1]
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0)
    values = hits.mean(axis=0)
    return [
        Interval(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)
    ]
