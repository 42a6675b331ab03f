import numpy as np
import pytest
from tests.made_videos import START, write_track

from netvlad.datasets.readers.gpx_track import FrameChoice, read_track
from netvlad.errors import SettingsError


def track_of(tmp_path, seconds, place):
    return read_track(write_track(tmp_path / "ride.gpx", seconds, place))


def moments(choice, track, start=0.0, end=1e6):
    return (choice.moments(track, START + start, START + end) - START).round(3).tolist()


def test_exactly_one_way_to_choose():
    for settings in ({}, {"every_m": 5, "every_s": 1}):
        with pytest.raises(SettingsError, match="give either every_m"):
            FrameChoice(**settings)
    for value in (0, -1, 0.001, np.nan, np.inf):
        with pytest.raises(SettingsError, match="every_s is"):
            FrameChoice(every_s=value)


def test_by_distance_on_a_straight_road_with_a_red_light(tmp_path):
    """At 4 m/s, but for 8 s from second 10 on."""
    track = track_of(tmp_path, range(31), lambda s: (4 * (min(s, 10) + max(0, s - 18)), 0))
    every_five = FrameChoice(every_m=5)
    at_metres = np.arange(0, 89, 5)
    expected = np.where(at_metres <= 40, at_metres / 4, at_metres / 4 + 8).tolist()
    assert moments(every_five, track) == expected
    assert moments(every_five, track, end=19.3) == [m for m in expected if m <= 19.3]
    # A video that begins later counts from where it begins, one that began earlier from the track.
    later = np.arange(8, 89, 5)
    at_second_two = np.where(later <= 40, later / 4, later / 4 + 8).tolist()
    assert moments(every_five, track, start=2) == at_second_two
    assert moments(every_five, track, start=-7) == expected
    assert moments(every_five, track, start=31) == []


def test_wandering_within_the_distance_gives_nothing(tmp_path):
    random = np.random.default_rng(3)
    noise = random.uniform(-1, 1, (60, 2))
    assert np.hypot(*np.diff(noise, axis=0).T).sum() > 50
    track = track_of(tmp_path, range(60), lambda s: tuple(noise[s]))
    assert moments(FrameChoice(every_m=5), track) == [0]


def test_around_corners_against_tiny_steps(tmp_path):
    random = np.random.default_rng(4)
    walk = np.cumsum(random.normal(0, 4, (40, 2)), axis=0)
    track = track_of(tmp_path, range(40), lambda s: tuple(walk[s]))
    chosen = FrameChoice(every_m=7).moments(track, START, START + 100) - START
    seconds = np.arange(0, 39, 1e-4)
    places = np.stack([np.interp(seconds, range(40), column) for column in walk.T], axis=1)
    expected, centre = [0.0], places[0]
    for second, place in zip(seconds, places, strict=True):
        if np.hypot(*(place - centre)) >= 7:
            expected.append(second)
            centre = place
    assert len(expected) > 10
    np.testing.assert_allclose(chosen, expected, atol=0.02)


@pytest.mark.parametrize(
    ("across_m", "expected"),
    [(25, [0, 2, 4, 30, 32, 34]), (2, [0, 2, 4, 30.333, 32.333, 34.333])],
)
def test_gaps(tmp_path, across_m, expected):
    """At 3 m/s up to second 5 and 15 m, then from second 30 on, some metres farther."""
    track = track_of(
        tmp_path,
        [*range(6), *range(30, 36)],
        lambda s: (3 * s if s < 10 else 15 + across_m + 3 * (s - 30), 0),
    )
    assert moments(FrameChoice(every_m=6), track) == expected
    assert moments(FrameChoice(every_m=6), track, start=12)[0] == 30


def test_by_time(tmp_path):
    seconds = [0, 4, 8, 30, 34, 38]
    track = track_of(tmp_path, seconds, lambda s: (s, 0))
    choice = FrameChoice(every_s=3)
    assert moments(choice, track) == [0, 3, 6, 30, 33, 36]
    assert moments(choice, track, start=-1) == [2, 5, 8, 32, 35, 38]
    assert moments(choice, track, start=1, end=8) == [1, 4, 7]
    assert moments(choice, track, start=-50, end=-1) == []
    assert moments(FrameChoice(every_s=0.1), track, end=0.55) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
