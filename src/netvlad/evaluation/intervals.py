"""How far the share of right queries may lie from the truth: queries of one place go together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet

LEVEL = 0.95
CELL_M = 25.0


@dataclass(frozen=True)
class Interval:
    """A figure as it was measured, and the ends of its interval."""

    value: float
    low: float
    high: float


def places_of(
    images: ImageSet, *, label: str | None = None, cell_m: float = CELL_M
) -> NDArray[np.int64]:
    """(N,) numbers from 0 on for the places of N images, which are no independent trials.

    The cut-outs of one panorama, or the frames of one corner, are right or wrong together; an
    interval that counts each for itself is too narrow. Places are the cells of a square grid.
    Chains of nearby images are not followed: along a street that is driven through they would make
    one place of all of it.

    Args:
        images: N images.
        label: the label whose words are the places (``"sequence"``, ``"place"``); None takes
            positions. Images with an empty word, or without a position, are a place each; so are
            all where there are neither.
        cell_m: side of a cell in metres.

    Raises:
        DataError: there is no such label.
        SettingsError: ``cell_m`` is not above 0.
    """
    if not (np.isfinite(cell_m) and cell_m > 0):
        raise SettingsError(f"cell_m is {cell_m}; give a number of metres above 0")
    if label is not None:
        if label not in images.labels:
            known = ", ".join(images.labels) or "none"
            raise DataError(f"there is no label {label} to group queries by (labels: {known})")
        keys = images.labels[label]
        known_rows = np.asarray(keys != "", np.bool_)
    elif images.positions is not None:
        known_rows = np.asarray(np.isfinite(images.positions).all(axis=1))
        keys = np.floor(np.where(known_rows[:, None], images.positions, 0) / cell_m)
    else:
        return np.arange(len(images))
    numbers = np.unique(keys, axis=0, return_inverse=True)[1].astype(np.int64).reshape(-1)
    numbers[~known_rows] = len(images) + np.flatnonzero(~known_rows)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


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
