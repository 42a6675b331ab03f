"""The exact paired test, against the sum that defines it."""

from math import comb

import numpy as np
import pytest

from netvlad.errors import DataError
from netvlad.evaluation.comparison import compare_paired


def p_value(a, b):
    """Twice the smaller tail of (a + b) tosses of a fair coin, at most 1."""
    n = a + b
    tail = sum(comb(n, i) for i in range(min(a, b) + 1)) / 2**n
    return min(1.0, 2 * tail)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (3, 9), (1, 12), (7, 7), (40, 20)])
def test_only_queries_that_differ_count(a, b):
    first = np.array([True] * 30 + [True] * a + [False] * b + [False] * 5)
    second = np.array([True] * 30 + [False] * a + [True] * b + [False] * 5)
    found = compare_paired(first, second)
    assert (found.trials, found.a_better, found.b_better) == (35 + a + b, a, b)
    assert found.p_value == pytest.approx(p_value(a, b))
    assert compare_paired(second, first).p_value == pytest.approx(found.p_value)


def test_no_difference_at_all():
    same = np.array([True, False])
    assert compare_paired(same, same).p_value == 1


def test_a_place_is_one_trial():
    """Model A is right at 10 of 24 cut-outs of one place more: one lucky place, not ten."""
    first = np.array([True] * 12 + [False] * 12 + [True, False])
    second = np.array([True] * 2 + [False] * 22 + [False, True])
    places = np.array([5] * 24 + [9, 9])
    by_query, by_place = (compare_paired(first, second, places=p) for p in (None, places))
    assert (by_query.a_better, by_query.b_better) == (11, 1) and by_query.p_value < 0.01
    # At the second place each is right once: a draw.
    assert (by_place.trials, by_place.a_better, by_place.b_better) == (2, 1, 0)
    assert by_place.p_value == 1


def test_other_queries_are_refused():
    with pytest.raises(DataError, match="the same ones"):
        compare_paired(np.ones(2, bool), np.ones(3, bool))
    with pytest.raises(DataError, match="places of shape"):
        compare_paired(np.ones(2, bool), np.ones(2, bool), places=np.arange(3))
