"""Intervals over places, against tables, theory and simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.intervals import share_intervals

SAMPLES = 1000


@pytest.mark.parametrize(("right", "of"), [(0, 20), (1, 20), (20, 20), (49, 50), (140, 200)])
def test_independent_queries_get_the_exact_binomial_interval(right, of):
    hits = (np.arange(of) < right)[:, None]
    (interval,) = share_intervals(hits, np.arange(of) * 7)
    expected = binomtest(right, of).proportion_ci(0.95, "exact")
    assert interval.value == right / of
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_published_limits():
    """Of 20 of 20, the rule of three says 0.86 one-sided; Clopper and Pearson 0.832 two-sided."""
    (interval,) = share_intervals(np.ones((20, 1), bool), np.arange(20))
    assert (interval.low, interval.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def test_queries_of_one_place_count_once():
    """24 cut-outs that are right together: the interval is that of 50 places, not of 1200."""
    right = np.random.default_rng(0).random(50) < 0.6
    hits, places = np.repeat(right, 24)[:, None], np.repeat(np.arange(50) * 7, 24)
    (by_place,) = share_intervals(hits, places)
    (of_places,) = share_intervals(right[:, None], np.arange(50))
    assert by_place.value == of_places.value
    assert by_place.low == pytest.approx(of_places.low, abs=0.01)
    assert by_place.high == pytest.approx(of_places.high, abs=0.01)
    (by_query,) = share_intervals(hits, np.arange(1200))
    assert by_place.high - by_place.low > 4 * (by_query.high - by_query.low)


def drawn(n, p, correlation, size, seed):
    """(n, SAMPLES) hits of places with about ``size`` queries, each with a chance of its own.

    Chances are beta distributed around p, so that two queries of a place correlate as wanted.
    """
    random = np.random.default_rng(seed)
    sizes = np.cumsum(random.integers(max(1, size - 2), size + 3 if size > 1 else 2, n))
    places = np.searchsorted(sizes, np.arange(n), side="right")
    shape = (places.max() + 1, SAMPLES)
    if correlation == 0:
        chance = np.full(shape, p)
    elif correlation == 1:
        chance = (random.random(shape) < p).astype(float)
    else:
        strength = (1 - correlation) / correlation
        chance = random.beta(p * strength, (1 - p) * strength, shape)
    return random.random((n, SAMPLES)) < chance[places], places


@pytest.mark.parametrize("n", [20, 50, 100, 200, 500])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.98, 0.99])
@pytest.mark.parametrize(
    ("size", "correlation"), [(1, 0), (4, 0), (4, 0.2), (4, 0.5), (4, 1), (10, 0.5)]
)
def test_they_cover_what_they_say(n, p, size, correlation):
    """At least 95 % of intervals contain the truth, by a simulation with an error of 0.7 %."""
    hits, places = drawn(n, p, correlation, size, seed=n)
    covered = np.mean([i.low <= p <= i.high for i in share_intervals(hits, places)])
    assert covered >= 0.95 - 2 * 0.0069


def test_they_are_no_wider_than_they_must_be():
    """With hundreds of places the interval is the normal one of the ratio, within a tenth."""
    hits, places = drawn(2000, 0.7, 0.5, 4, seed=1)
    widths = np.array([i.high - i.low for i in share_intervals(hits, places)])
    assert np.median(widths) == pytest.approx(2 * 1.96 * hits.mean(axis=0).std(), rel=0.1)


def test_one_place_says_next_to_nothing():
    hits = np.array([[True, True], [False, True]])
    one, five = share_intervals(hits, np.array([3, 3]))
    assert one.low < 0.05 and one.high > 0.95
    assert (five.low, five.value, five.high) == (pytest.approx(0.025), 1, 1)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="2 places"):
        share_intervals(np.ones((3, 1), bool), np.arange(2))
    with pytest.raises(SettingsError, match="level is 1"):
        share_intervals(np.ones((2, 1), bool), np.arange(2), level=1)
