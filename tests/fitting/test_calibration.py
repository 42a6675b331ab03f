import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.fitting.calibration import Calibration, fit_calibration

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def answers():
    random = np.random.default_rng(0)
    features = random.normal([5.0, -0.1, 300.0], [2.0, 0.05, 40.0], (20_000, 3))
    standard = (features - [5.0, -0.1, 300.0]) / [2.0, 0.05, 40.0]
    log_odds = standard @ [1.5, -0.7, 0.0] + 0.4
    return features, random.random(20_000) < 1 / (1 + np.exp(-log_odds))


def test_known_coefficients_are_recovered(answers):
    fitted = fit_calibration(*answers, names=NAMES)
    np.testing.assert_allclose(fitted.coefficients, [1.5, -0.7, 0.0], atol=0.06)
    assert fitted.intercept == pytest.approx(0.4, abs=0.06)
    assert fitted.provenance == {"answers": 20_000, "right": int(answers[1].sum())}


@pytest.mark.parametrize("l2", [0.01, 1.0, 500.0])
def test_it_is_the_optimum_that_scikit_learn_finds(answers, l2):
    features, correct = answers[0][:500], answers[1][:500]
    fitted = fit_calibration(features, correct, names=NAMES, l2=l2)
    standard = (features - features.mean(0)) / features.std(0)
    other = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit(standard, correct)
    np.testing.assert_allclose(fitted.coefficients, other.coef_[0], atol=1e-5)
    assert fitted.intercept == pytest.approx(other.intercept_[0], abs=1e-5)
    np.testing.assert_allclose(
        fitted.probability(features), other.predict_proba(standard)[:, 1], atol=1e-5
    )
    assert fitted.probability(features).mean() == pytest.approx(correct.mean(), abs=1e-6)


def test_separable_answers_a_constant_feature_and_unusable_rows():
    features = np.array([[0.0, 0.1], [1, 0.1], [2, 0.1], [3, 0.1], [np.nan, 5]])
    fitted = fit_calibration(
        features, np.array([False, False, True, True, True]), names=("ramp", "same")
    )
    assert np.isfinite(fitted.coefficients).all() and fitted.coefficients[1] == 0
    assert fitted.provenance["answers"] == 4
    p = fitted.probability(features)
    assert (np.diff(p[:4]) > 0).all() and np.isnan(p[4])
    assert float(fitted.probability(features[2])) == p[2]


def test_json_and_back(answers):
    fitted = fit_calibration(
        answers[0][:200], answers[1][:200], names=NAMES, radius_m=10, provenance={"model": "m"}
    )
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())), "file")
    assert again == fitted
    assert again.radius_m == 10 and again.provenance["model"] == "m"


def test_what_is_refused(answers):
    features, correct = answers[0][:50], answers[1][:50]
    with pytest.raises(DataError, match="needs right and wrong ones"):
        fit_calibration(features, np.ones(50, bool), names=NAMES)
    with pytest.raises(DataError, match="do not fit"):
        fit_calibration(features, correct, names=("one",))
    with pytest.raises(DataError, match="three is infinite"):
        fit_calibration(np.where(features > 250, np.inf, features), correct, names=NAMES)
    with pytest.raises(SettingsError, match="l2 is 0"):
        fit_calibration(features, correct, names=NAMES, l2=0)
    fitted = fit_calibration(features, correct, names=NAMES)
    with pytest.raises(DataError, match="reads 3: one, two, three"):
        fitted.probability(features[:, :2])
    for damage in ({"means": [1.0]}, {"scales": [0, 1, 1]}, {"intercept": None}):
        with pytest.raises(StorageError, match=r"here\.json: "):
            Calibration.from_json({**fitted.to_json(), **damage}, "here.json")
    with pytest.raises(StorageError, match="not a calibration"):
        Calibration.from_json([], "here.json")
