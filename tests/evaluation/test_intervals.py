"""Bootstrap intervals over places, against theory and simulation."""

import numpy as np
import pytest
from scipy.stats import binom

from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.intervals import share_intervals


def test_independent_queries_get_the_binomial_interval():
    hits = np.zeros((200, 1), bool)
    hits[:140] = True
    (interval,) = share_intervals(hits, np.arange(200), resamples=4000)
    low, high = binom.ppf([0.025, 0.975], 200, 0.7) / 200
    assert interval.value == 0.7
    assert interval.low == pytest.approx(low, abs=0.006)
    assert interval.high == pytest.approx(high, abs=0.006)


def test_queries_of_one_place_count_once():
    """24 cut-outs that are right together: the interval is that of 50 places, not of 1200."""
    right = np.random.default_rng(0).random(50) < 0.6
    hits, places = np.repeat(right, 24)[:, None], np.repeat(np.arange(50) * 7, 24)
    (by_place,) = share_intervals(hits, places)
    (of_places,) = share_intervals(right[:, None], np.arange(50))
    assert by_place == of_places
    (by_query,) = share_intervals(hits, np.arange(1200))
    assert by_place.high - by_place.low > 4 * (by_query.high - by_query.low)


def test_it_covers_what_it_says():
    """Of places with 1 to 9 queries each and a recall of their own, 95 % of intervals, nearly."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        counts = random.integers(1, 10, 60)
        chance = np.repeat(random.beta(2, 2, 60), counts)
        hits = random.random(len(chance)) < chance
        places = np.repeat(np.arange(60), counts)
        (interval,) = share_intervals(hits[:, None], places, resamples=300)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_several_criteria_and_settings():
    hits = np.array([[True, True], [False, True]])
    one, five = share_intervals(hits, np.array([3, 3]))
    assert (one.low, one.value, one.high) == (0.5, 0.5, 0.5)
    assert (five.low, five.value, five.high) == (1, 1, 1)
    with pytest.raises(DataError, match="2 places"):
        share_intervals(np.ones((3, 1), bool), np.arange(2))
    with pytest.raises(SettingsError, match="level is 1"):
        share_intervals(hits, np.arange(2), level=1)
