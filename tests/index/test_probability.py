import math

import numpy as np
import pytest

from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.fitting.calibration import Calibration, fit_calibration
from netvlad.index.probability import (
    FEATURES,
    LOCATED_FEATURES,
    VERIFIED_FEATURES,
    answer_features,
    default_calibrations,
    features_of_answers,
    first_place_probability,
)
from netvlad.matching.rerank import Support
from netvlad.models import ModelSpec

LISTED = (*FEATURES, "tail_rise")
NETVLAD, AVERAGE = ModelSpec(), ModelSpec(pooling="avg")
PARTLY_WHITENED = ModelSpec(whitened_directions=64)


def slow(scores, positions, radius):
    """The definitions, one list at a time, in plain Python."""
    pairs = [(s, p) for s, p in zip(scores, positions, strict=True) if math.isfinite(s)]
    located = [(s, p) for s, p in pairs if math.isfinite(sum(p))]
    first, origin = pairs[0]
    away = [(s, math.dist(p, origin)) for s, p in located]
    tail = sorted((s for s, _ in pairs), reverse=True)[len(pairs) // 2 :]
    mean = sum(tail) / len(tail)
    spread = math.sqrt(sum((s - mean) ** 2 for s in tail) / len(tail))
    others = [s for s, d in away if d > radius]
    following = max(others) if others else min(s for s, _ in pairs)
    best = max(s for s, _ in pairs)
    weights = [math.exp(-3 * (best - s) / (best - mean)) for s, _ in away]
    near = sum(w for w, (_, d) in zip(weights, away, strict=True) if d <= radius)

    def distance(score):
        return math.sqrt(2 - 2 * score)

    rise = max(first - mean, 0)
    z = min(rise / spread, 50) if spread else (50 if rise else 0)
    return [
        math.log(distance(first) / distance(following)),
        math.log(distance(first) / distance(mean)),
        near / sum(weights),
        math.log1p(z),
    ]


def random_lists(n, k, seed=0):
    random = np.random.default_rng(seed)
    scores = -np.sort(-random.uniform(0.1, 0.9, (n, k)), axis=1)
    positions = random.normal(0, 30, (n, k, 2)) + 5000
    positions[random.random((n, k)) < 0.2] = np.nan
    scores[: n // 3, -(k // 3) :] = np.nan  # lists that end early
    positions[:, :2] = random.normal(0, 30, (n, 2, 2))
    return scores, positions


@pytest.mark.parametrize("k", [2, 3, 7, 20])
def test_features_equal_the_definitions_one_list_at_a_time(k):
    scores, positions = random_lists(60, k)
    scores[:5] = scores[:5, ::-1] if k > 3 else scores[:5]  # as after re-ranking
    scores, positions = scores[np.isfinite(scores[:, 0])], positions[np.isfinite(scores[:, 0])]
    table = features_of_answers(scores, positions, radius_m=30).matrix(LISTED)
    judged = ~np.isnan(table).any(axis=1)
    assert judged.sum() > 30
    expected = [slow(s, p, 30) for s, p in zip(scores[judged], positions[judged], strict=True)]
    np.testing.assert_allclose(table[judged], expected, rtol=1e-9, atol=1e-9)


def test_one_answer_and_many_agree_and_only_the_first_twenty_count():
    scores, positions = random_lists(10, 30)
    positions[3, 0] = np.nan
    many = features_of_answers(scores, positions).matrix(FEATURES)
    for i in range(10):
        one = answer_features(scores[i, :20], positions[i, :20])
        if i == 3:
            assert one is None and np.isnan(many[i][[0, 2]]).all()
        else:
            np.testing.assert_array_equal(one, many[i])


def test_the_scale_and_the_frame_of_positions_do_not_matter():
    scores, positions = random_lists(5, 20)
    here = features_of_answers(scores, positions).matrix(LISTED)
    moved = features_of_answers(scores, positions + np.array([3e5, 5.7e6])).matrix(LISTED)
    np.testing.assert_allclose(here, moved, atol=1e-6)
    # Distances half as large, as of a model whose descriptors lie closer together.
    closer = features_of_answers(1 - (1 - scores) / 4, positions).matrix(LISTED)
    np.testing.assert_allclose(here, closer, atol=1e-9)


def test_small_lists():
    spots = np.array([[0.0, 0], [10, 0], [100, 0], [200, 0]])
    equal = answer_features(np.full(4, 0.5), spots, names=LISTED)
    np.testing.assert_allclose(equal, [0, 0, 0.5, 0], atol=1e-9)
    assert answer_features(np.array([0.9]), np.zeros((1, 2))) is None
    assert answer_features(np.zeros(0), np.zeros((0, 2))) is None
    assert answer_features(np.array([0.9, 0.8]), np.full((2, 2), np.nan)) is None
    assert answer_features(np.array([0.9, 0.8]), np.array([[0, 0], [np.nan, 0]])) is None
    twins = answer_features(np.array([1.0, 1.0, 0.2]), spots[:3], names=LISTED)
    assert np.isfinite(twins).all() and twins[0] < -4


def verified(evidence, inliers, margin, k=20):
    """The first candidate has it all, and is so far above all others."""
    return Support(np.eye(1, k)[0] * evidence, np.eye(1, k)[0] * margin, inliers)


def test_what_verification_says_in_plain_python():
    scores, positions = random_lists(40, 20, seed=3)
    random = np.random.default_rng(4)
    support = [
        Support(random.uniform(0, 9, 20), random.normal(0, 3, 20), int(random.integers(50)))
        for _ in scores
    ]
    features = features_of_answers(scores, positions, support, 25).matrix(LOCATED_FEATURES)
    for row, s, places, one in zip(features, scores, positions, support, strict=True):
        found = dict(zip(LOCATED_FEATURES, row, strict=True))
        assert found["log_evidence"] == pytest.approx(math.log(1 + one.evidence[0]))
        assert found["log_inliers"] == pytest.approx(math.log(1 + one.inliers))
        margin = max(one.scores[0] - max(one.scores[1:]), 0)
        assert found["log_margin"] == pytest.approx(math.log(1 + margin))
        if not math.isfinite(sum(places[0])):
            assert math.isnan(found["log_place_margin"]) and math.isnan(found["log_lead"])
            continue
        listed = (i for i in range(1, 20) if math.isfinite(s[i]))
        others = [i for i in listed if math.dist(places[i], places[0]) > 25]
        rival = max(one.evidence[i] for i in others)
        margin = max(one.scores[0] - max(one.scores[i] for i in others), 0)
        lead = math.log((one.evidence[0] + 0.1) / (rival + 0.1))
        assert found["log_lead"] == pytest.approx(lead)
        assert found["log_place_margin"] == pytest.approx(math.log(1 + margin))
    # All of them are one place: the last one's score stands for the next place's.
    same = features_of_answers(scores[:1], np.zeros((1, 20, 2)), support[:1], 25)
    margin = max(support[0].scores[0] - min(support[0].scores), 0)
    assert same.log_place_margin[0] == pytest.approx(math.log(1 + margin))
    assert same.log_lead[0] == pytest.approx(math.log((support[0].evidence[0] + 0.1) / 0.1))


def test_support_is_used_only_by_a_calibration_fitted_with_it():
    scores, positions = random_lists(400, 20, seed=1)
    evidence = np.random.default_rng(2).uniform(0, 20, 400)
    support = [verified(float(e), 9, 9.0) for e in evidence]
    features = features_of_answers(scores, None, support).matrix(VERIFIED_FEATURES)
    calibration = fit_calibration(features, evidence > 10, names=VERIFIED_FEATURES)
    few, many = (
        first_place_probability([calibration], scores[0], None, verified(e, 9, 9.0))
        for e in (5, 90)
    )
    assert few < 0.2 and many > 0.8
    assert first_place_probability([calibration], scores[0], positions[0]) is None
    (plain,) = default_calibrations(NETVLAD)
    known = first_place_probability([plain], scores[0], positions[0])
    sure = verified(90, 9, 9.0)
    assert known == first_place_probability([plain], scores[0], positions[0], sure)
    assert known == first_place_probability([calibration, plain], scores[0], positions[0])
    # Without verification a short list of scores says too little.
    assert first_place_probability([plain], scores[0, :19], positions[0, :19]) is None
    alone = verified(90, 9, 9.0, k=1)
    assert first_place_probability([calibration], scores[0, :1], None, alone) > 0.5


def test_the_default_calibrations_tell_sure_from_unsure():
    spots = np.concatenate([np.zeros((6, 2)), np.arange(28).reshape(14, 2) * 500.0 + 100])
    sure = np.concatenate([np.linspace(0.8, 0.7, 6), np.linspace(0.4, 0.3, 14)])
    unsure, scattered = np.linspace(0.42, 0.4, 20), spots[::-1]
    for spec in (NETVLAD, PARTLY_WHITENED, AVERAGE):
        calibrations = default_calibrations(spec)
        assert calibrations[0].radius_m == 25 and calibrations[0].provenance["answers"] > 500
        assert first_place_probability(calibrations, sure, spots) > 0.95
        assert first_place_probability(calibrations, unsure, scattered) < 0.25
        assert first_place_probability(calibrations, sure, np.full((20, 2), np.nan)) is None
        calibrations = default_calibrations(spec, verified=True)
        for where in (spots, None):
            known = verified(5.0, 60, 8.0)
            assert first_place_probability(calibrations, sure, where, known) > 0.95
            chance = verified(0.02, 2, 0.2)
            somewhere = None if where is None else scattered
            assert first_place_probability(calibrations, unsure, somewhere, chance) < 0.1
    assert default_calibrations(NETVLAD) is default_calibrations(NETVLAD)
    assert default_calibrations(AVERAGE) == default_calibrations(ModelSpec(pooling="gem"))
    assert default_calibrations(NETVLAD) != default_calibrations(PARTLY_WHITENED)
    assert default_calibrations(NETVLAD)[0].names == FEATURES
    assert [c.names for c in default_calibrations(NETVLAD, verified=True)[:2]] == [
        LOCATED_FEATURES,
        VERIFIED_FEATURES,
    ]


def test_what_is_refused():
    scores, positions = random_lists(2, 5)
    with pytest.raises(DataError, match="do not fit"):
        features_of_answers(scores, positions[:, :3])
    with pytest.raises(DataError, match="support of 1 answers; give it for each of 2"):
        features_of_answers(scores, positions, [verified(1, 2, 3)])
    with pytest.raises(SettingsError, match="radius_m is 0"):
        features_of_answers(scores, positions, radius_m=0)
    with pytest.raises(SettingsError, match="unknown feature 'gap'"):
        features_of_answers(scores, positions).matrix(["gap"])
    with pytest.raises(StorageError):
        Calibration.from_json({}, "file")
