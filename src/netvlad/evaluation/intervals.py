"""How far the share of right queries may lie from the truth: queries of one place go together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from netvlad.errors import DataError, SettingsError

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
    hits: NDArray[np.bool_], places: NDArray[np.integer], *, level: float = LEVEL
) -> list[Interval]:
    """Confidence intervals of the share of queries that are hits, over places.

    The exact binomial interval (Clopper and Pearson, Biometrika 26, 1934) of as many independent
    queries as these are worth (Korn and Graubard, Survey Methodology 24, 1998, section 3): Q
    divided by the design effect 1 + ρ (m − 1), where m is the mean size of a query's place and ρ
    the correlation of two queries of one place. With few misses, or few hits, ρ can hardly be
    estimated, and intervals would be too narrow just where recall lies: so it is drawn towards 1 as
    if one miss (or hit) more had been seen, with all its place.

    Args:
        hits: (Q, C) whether each query is a hit, by each of C criteria (recall@1, @5, ...).
        places: (Q,) numbers; queries with one number show one place.
        level: how often, at least, intervals made so contain the true share, in (0, 1).

    Returns:
        C intervals.

    Raises:
        DataError: shapes differ, or there is no query.
        SettingsError: ``level`` is out of range.
    """
    if hits.ndim != 2 or len(hits) != len(places) or len(hits) == 0:
        raise DataError(
            f"hits of shape {hits.shape} and {len(places)} places; expected (Q, C) and Q above 0"
        )
    if not 0 < level < 1:
        raise SettingsError(f"level is {level}; give a number between 0 and 1")
    tail = (1 - level) / 2
    shares = hits.mean(axis=0)
    worth = _independent_queries(hits, places, tail)
    right, wrong = shares * worth, (1 - shares) * worth
    # The beta distribution has no quantile where nothing was hit, or all was.
    low = np.where(right > 0, beta.ppf(tail, np.maximum(right, 1e-9), wrong + 1), 0.0)
    high = np.where(wrong > 0, beta.ppf(1 - tail, right + 1, np.maximum(wrong, 1e-9)), 1.0)
    return [
        Interval(float(v), float(a), float(b)) for v, a, b in zip(shares, low, high, strict=True)
    ]


def _independent_queries(
    hits: NDArray[np.bool_], places: NDArray[np.integer], tail: float
) -> NDArray[np.float64]:
    """(C,) how many independent queries the (Q, C) are worth."""
    numbers = np.unique(places, return_inverse=True)[1]
    sizes = np.bincount(numbers).astype(np.float64)
    total, num_places = len(hits), len(sizes)
    shares = hits.mean(axis=0)
    if num_places == total:
        return np.full(len(shares), float(total))
    sums = np.zeros((num_places, len(shares)))
    np.add.at(sums, numbers, hits)
    # Σ over ordered pairs of one place of the product of two queries' residuals, by its largest.
    variance = shares * (1 - shares)
    products = ((sums - sizes[:, None] * shares) ** 2).sum(axis=0) - total * variance
    most = (sizes * (sizes - 1)).sum() * variance
    seen = np.minimum(hits.sum(axis=0), (~hits).sum(axis=0))
    correlation = np.divide(products, most, out=np.zeros(len(shares)), where=most > 0)
    correlation = np.clip((seen * correlation + 1) / (seen + 1), 0, 1)
    worth = total / (1 + correlation * ((sizes**2).sum() / total - 1))
    if num_places > 1:
        # The correlation is an estimate from so many places only.
        worth = worth * (t.ppf(tail, total - 1) / t.ppf(tail, num_places - 1)) ** 2
    return np.asarray(np.minimum(worth, total), np.float64)
