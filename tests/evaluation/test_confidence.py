import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.confidence import (
    calibration_error_interval,
    expected_calibration_error,
    measure_confidence,
    recall_at_full_precision,
    reliability,
    roc_auc,
)

P = np.array([0.05, 0.1, 0.15, 0.62, 0.68, 0.95, 1.0])
RIGHT = np.array([False, False, True, True, False, True, True])


def test_calibration_error_by_hand():
    # Bins (0, .1], (.1, .2], (.6, .7], (.9, 1]: |0 - .15| + |1 - .15| + |1 - 1.3| + |2 - 1.95|.
    assert expected_calibration_error(P, RIGHT) == pytest.approx((0.15 + 0.85 + 0.3 + 0.05) / 7)
    table = reliability(P, RIGHT)
    assert table.counts.tolist() == [2, 1, 0, 0, 0, 0, 2, 0, 0, 2]
    assert table.correct[[0, 1, 6, 9]].tolist() == [0, 1, 0.5, 1]
    np.testing.assert_allclose(table.probability[[0, 1, 6, 9]], [0.075, 0.15, 0.65, 0.975])
    assert np.isnan(table.correct[2])
    assert reliability(np.array([0.0, 0.2]), np.array([True, True]), bins=5).counts[0] == 2


def test_auc_is_that_of_scikit_learn_with_ties():
    random = np.random.default_rng(0)
    for _ in range(20):
        truth = random.random(60) < 0.4
        scores = np.round(random.normal(truth, 1), 1)
        assert roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    assert roc_auc(np.zeros(4), np.array([True, False, True, False])) == 0.5


def test_recall_at_full_precision_by_hand():
    assert recall_at_full_precision(P, RIGHT) == 2 / 4
    assert recall_at_full_precision(-P, RIGHT) == 0
    # As sure as a wrong answer is not surer.
    assert recall_at_full_precision(np.array([0.5, 0.5]), np.array([True, False])) == 0


def test_the_interval_covers_a_known_error_and_widens_with_groups():
    random = np.random.default_rng(1)
    p = random.choice([0.25, 0.75], 4000)
    right = random.random(4000) < p - 0.15  # overconfident by 0.15 everywhere
    low, high = calibration_error_interval(p, right, resamples=300)
    assert low < 0.15 < high and high - low < 0.06
    assert (low, high) == calibration_error_interval(p, right, resamples=300)
    copies = np.repeat(np.arange(40), 100)
    wide = calibration_error_interval(p[copies], right[copies], resamples=300, groups=copies)
    narrow = calibration_error_interval(p[copies], right[copies], resamples=300)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_all_measures_together_and_what_is_refused():
    measures = measure_confidence(P, RIGHT)
    assert (measures.answers, measures.right) == (7, 4)
    assert measures.auc == pytest.approx(roc_auc_score(RIGHT, P))
    assert measures.ece_interval[0] <= measures.ece_interval[1]
    with pytest.raises(DataError, match=r"outside \[0, 1\]"):
        expected_calibration_error(P * 2, RIGHT)
    with pytest.raises(DataError, match="NaN"):
        roc_auc(np.array([np.nan, 1]), np.array([True, False]))
    with pytest.raises(DataError, match="2 of 2 answers are right"):
        recall_at_full_precision(np.array([0.1, 1]), np.array([True, True]))
    with pytest.raises(DataError, match="shape"):
        reliability(P, RIGHT[:3])
    with pytest.raises(DataError, match="at least one"):
        expected_calibration_error(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(DataError, match="3 groups"):
        calibration_error_interval(P, RIGHT, groups=np.arange(3))
    with pytest.raises(SettingsError, match="bins is 0"):
        reliability(P, RIGHT, bins=0)
    with pytest.raises(SettingsError, match="level is 1"):
        calibration_error_interval(P, RIGHT, level=1)
