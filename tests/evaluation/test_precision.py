"""Precision-recall, against scikit-learn and a loop over thresholds."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from netvlad.errors import DataError
from netvlad.evaluation.confidence import precision_recall


def made_up(seed, ties):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 12, 80).astype(float) if ties else random.random(80)
    return scores, random.random(80) < scores / scores.max()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(seed, ties):
    scores, correct = made_up(seed, ties)
    curve = precision_recall(scores, correct)
    precision, recall, _ = precision_recall_curve(correct, scores)
    np.testing.assert_allclose(curve.precision, precision[-2::-1])
    np.testing.assert_allclose(curve.recall, recall[-2::-1])
    assert curve.average_precision == pytest.approx(average_precision_score(correct, scores))
    assert curve.auc == pytest.approx(auc(recall, precision))


@pytest.mark.parametrize("seed", range(3))
def test_recall_at_full_precision_equals_a_loop(seed):
    scores, correct = made_up(seed, ties=True)
    correct[np.argsort(-scores)[:3]] = True
    best = 0.0
    for threshold in scores:
        accepted = scores >= threshold
        if correct[accepted].all():
            best = max(best, correct[accepted].sum() / 100)
    curve = precision_recall(scores, correct, possible=100)
    assert curve.recall_at_full_precision == best > 0
    # A wrong answer that ties with the surest leaves nothing.
    assert precision_recall(np.ones(2), np.array([True, False])).recall_at_full_precision == 0


def test_full_precision_allows_no_single_error():
    correct = np.ones(1000, bool)
    correct[200] = False
    curve = precision_recall(-np.arange(1000.0), correct)
    assert curve.recall_at_full_precision == 200 / 999


def test_queries_without_an_answer_are_never_accepted():
    scores = np.array([0.5, -np.inf, 0.4])
    curve = precision_recall(scores, np.array([True, False, True]), possible=4)
    assert curve.thresholds.tolist() == [0.5, 0.4]
    assert curve.recall.tolist() == [0.25, 0.5] and curve.average_precision == 0.5
    nothing = precision_recall(np.full(3, -np.inf), np.zeros(3, bool))
    assert (nothing.average_precision, nothing.auc, nothing.recall_at_full_precision) == (0, 0, 0)


def test_all_wrong_and_all_right():
    scores = np.arange(4.0)
    wrong = precision_recall(scores, np.zeros(4, bool))
    assert (wrong.average_precision, wrong.recall_at_full_precision) == (0, 0)
    right = precision_recall(scores, np.ones(4, bool))
    assert (right.average_precision, right.auc, right.recall_at_full_precision) == (1, 1, 1)


def test_contradictions_are_refused():
    with pytest.raises(DataError, match="NaN"):
        precision_recall(np.array([np.nan]), np.array([True]))
    with pytest.raises(DataError, match="2 answers are right but only 1"):
        precision_recall(np.ones(2), np.ones(2, bool), possible=1)
    with pytest.raises(DataError, match="shape"):
        precision_recall(np.ones(2), np.ones(3, bool))
