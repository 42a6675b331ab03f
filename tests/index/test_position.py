import numpy as np
import pytest
from pyproj import Geod

from netvlad.errors import DataError
from netvlad.geography import to_utm, to_wgs84
from netvlad.index.position import (
    BASE_M,
    HALF_SCALE,
    SHARPNESS,
    WIDE_M,
    circular_error_m,
    fuse_position,
    share_within,
)
from netvlad.index.probability import score_weights, tail_statistics

EARTH = Geod(ellps="WGS84")


def degrees(metres, latitude=52.2, longitude=0.1):
    """Places so many metres east and north of a point, by geodesics."""
    east, north = np.asarray(metres, float).T
    azimuth, away = np.degrees(np.arctan2(east, north)), np.hypot(east, north)
    n = len(away)
    lon, lat, _ = EARTH.fwd(np.full(n, longitude), np.full(n, latitude), azimuth, away)
    return np.array(lat), np.array(lon)


def metres_between(position, latitude, longitude):
    return EARTH.inv(position.longitude, position.latitude, longitude, latitude)[2]


def test_weights_and_tail_by_hand():
    scores = np.array([[0.9, 0.7, 0.5, 0.3, np.nan], [0.4, 0.4, 0.4, 0.4, 0.4]])
    mean, spread = tail_statistics(scores)
    np.testing.assert_allclose(mean, [0.4, 0.4])
    np.testing.assert_allclose(spread, [0.1, 0], atol=1e-12)
    expected = np.exp(-2 * np.array([0, 0.2, 0.4, 0.6]) / 0.5)
    np.testing.assert_allclose(score_weights(scores, 2.0)[0], [*expected, 0])
    np.testing.assert_allclose(score_weights(scores, 2.0)[1], np.ones(5))


def test_the_mean_and_the_spread_equal_a_loop_and_a_far_place_has_no_say():
    offsets = np.array([[0, 0], [12, 5], [4000, 300], [-8, 20], [24, 0], [26, 0.0]])
    lat, lon = degrees(offsets)
    scores = np.array([0.8, 0.7, 0.79, 0.6, 0.5, 0.4])
    height = 0.8 - (0.6 + 0.5 + 0.4) / 3
    metres, zone = to_utm(lat, lon)
    total, mean, spread = 0.0, np.zeros(2), np.zeros((2, 2))
    for i in (0, 1, 3, 4):
        total += np.exp(-SHARPNESS * (0.8 - scores[i]) / height)
        mean += np.exp(-SHARPNESS * (0.8 - scores[i]) / height) * metres[i]
    mean /= total
    for i in (0, 1, 3, 4):
        weight = np.exp(-SHARPNESS * (0.8 - scores[i]) / height) / total
        spread += weight * np.outer(metres[i] - mean, metres[i] - mean)
    fused = fuse_position(lat, lon, scores, 1.0)
    (found,), _ = to_utm(fused.latitude, fused.longitude, zone)
    np.testing.assert_allclose(found, mean, atol=1e-5)
    np.testing.assert_allclose(fused.covariance, spread + BASE_M**2 * np.eye(2), atol=1e-5)


def test_one_place_no_position_and_a_first_place_without():
    lat, lon = degrees([[0, 0]])
    alone = fuse_position(lat, lon, [0.7], None)
    assert metres_between(alone, lat[0], lon[0]) < 1e-6
    np.testing.assert_allclose(alone.covariance, BASE_M**2 * np.eye(2))
    # 1.1774 σ holds half of a circular Gaussian.
    assert alone.error_m == pytest.approx(1.1774 * HALF_SCALE * BASE_M, rel=0.01)
    unknown = [np.nan, np.nan]
    assert fuse_position(unknown, unknown, [0.7, 0.6], 0.5) is None
    assert fuse_position([], [], [], None) is None
    later = fuse_position([np.nan, lat[0]], [np.nan, lon[0]], [0.7, 0.6], None)
    assert metres_between(later, lat[0], lon[0]) < 1e-6


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(52.0, 6.0), (-33.0, 6.0), (0.0, 6.0), (10.0, 180.0), (64.0, -180.0), (0.0, 3.0)],
)
def test_across_zone_borders_the_date_line_and_the_equator(latitude, longitude):
    lat, lon = degrees([[-8, -8], [8, 8], [-8, 8], [8, -8]], latitude, longitude)
    lon = (lon + 180) % 360 - 180
    assert len({to_utm(lat[i], lon[i])[1] for i in range(4)}) > 1
    fused = fuse_position(lat, lon, np.full(4, 0.5), 1.0)
    assert metres_between(fused, latitude, longitude) < 0.02
    np.testing.assert_allclose(fused.covariance, (64 + BASE_M**2) * np.eye(2), atol=0.3)


def test_a_place_on_the_other_side_of_the_earth_does_no_harm():
    lat, lon = degrees([[0, 0], [6, 0]])
    fused = fuse_position([*lat, -52.2], [*lon, -179.9], [0.8, 0.8, 0.7], 0.9)
    assert metres_between(fused, *(v.mean() for v in (lat, lon))) < 0.02


def test_the_error_grows_as_the_probability_falls():
    lat, lon = degrees([[0, 0], [9, 3], [500, 100]])
    answers = [fuse_position(lat, lon, [0.8, 0.7, 0.6], p) for p in np.linspace(1, 0, 21)]
    errors = [answer.error_m for answer in answers]
    variances = [np.trace(answer.covariance) for answer in answers]
    assert (np.diff(errors) > 0).all() and (np.diff(variances) >= 0).all()
    assert errors[0] < 8 and errors[-1] == pytest.approx(1.1774 * WIDE_M, rel=0.02)
    assert answers[0] == fuse_position(lat, lon, [0.8, 0.7, 0.6], None)


@pytest.mark.parametrize("p", [0.9, 0.7, 0.5, 0.2])
def test_half_of_drawn_errors_lie_within_the_stated_error(p):
    lat, lon = degrees([[0, 0], [15, 0]])
    fused = fuse_position(lat, lon, [0.8, 0.8], p)
    sure = np.array(fuse_position(lat, lon, [0.8, 0.8], 1.0).covariance)
    random = np.random.default_rng(0)
    inside = random.multivariate_normal([0, 0], sure, 40_000)
    wrong = random.random(40_000) > p
    wide = random.normal(0, WIDE_M, (40_000, 2)) * wrong[:, None]
    errors = np.hypot(*(HALF_SCALE * inside + wide).T)
    assert np.mean(errors <= fused.error_m) == pytest.approx(0.5, abs=0.02)
    # The covariance's own circle holds half of the same without the scale.
    radius = circular_error_m(np.array(fused.covariance))
    assert np.mean(np.hypot(*(inside + wide).T) <= radius) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.2, 0.01])
def test_circles_of_a_gaussian_against_many_draws(ratio):
    covariance = np.array([[9.0, 2.0], [2.0, 5.0]]) if ratio == 0.5 else np.diag([9, 9 * ratio**2])
    draws = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 300_000)
    away = np.hypot(*draws.T)
    assert circular_error_m(covariance) == pytest.approx(np.median(away), rel=0.03)
    for radius in (1.0, 2.0, 4.0, 8.0):
        assert share_within(radius, covariance) == pytest.approx(np.mean(away <= radius), abs=0.04)


def test_on_real_streets_half_of_the_right_answers_lie_within_the_error(shared):
    """The nearest database places of test queries, found by position: a retrieval without fault."""
    rows = (shared / "data/cambridge/test.csv").read_text().splitlines()[1:]
    table = [row.split(",") for row in rows]
    metres = {
        role: np.array([[float(r[1]), float(r[2])] for r in table if r[4] == role])
        for role in ("database", "query")
    }
    held = []
    for query in metres["query"]:
        away = np.linalg.norm(metres["database"] - query, axis=1)
        order = np.argsort(away, kind="stable")[:20]
        lat, lon = to_wgs84(metres["database"][order], "31N")
        fused = fuse_position(lat, lon, 0.8 - 0.01 * away[order], 1.0)
        (found,), _ = to_utm(fused.latitude, fused.longitude, "31N")
        held.append(np.linalg.norm(found - query) <= fused.error_m)
    assert np.mean(held) > 0.5


def test_shapes_that_differ_are_refused():
    with pytest.raises(DataError, match="differ"):
        fuse_position([1.0, 2.0], [1.0], [0.5, 0.4], None)
