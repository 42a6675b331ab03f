import numpy as np
import pytest
from tests.made_videos import ORIGIN, START, gpx, iso, write_track

from netvlad.datasets.readers.gpx_track import read_track
from netvlad.errors import DataError
from netvlad.geography import to_utm


def metres(points):
    """Metres east and north of the origin."""
    return to_utm(points.latitudes, points.longitudes, "31N")[0] - ORIGIN


def point(second, east=0.0, tag="trkpt"):
    time = "" if second is None else f"<time>{iso(second)}</time>"
    return f'<{tag} lat="52.17" lon="{2.27 + east / 1e5}">{time}</{tag}>'


def track_of(tmp_path, body):
    path = tmp_path / "ride.gpx"
    path.write_text(gpx(body))
    return read_track(path)


@pytest.fixture
def corner(tmp_path):
    """East at 4 m/s for 10 s, then north at 2 m/s for 10 s; stands for 8 s; a point each 2 s."""

    def place(s):
        return min(4 * s, 40.0), min(max(0.0, 2 * (s - 10)), 20.0)

    return read_track(write_track(tmp_path / "ride.gpx", range(0, 29, 2), place))


def test_places_between_points(corner):
    assert corner.times[0] == START and len(corner) == 15
    at = corner.at(START + np.array([0, 1, 7.5, 10, 12.5, 20, 28]))
    expected = [(0, 0), (4, 0), (30, 0), (40, 0), (40, 5), (40, 20), (40, 20)]
    np.testing.assert_allclose(metres(at), expected, atol=1e-3)
    np.testing.assert_allclose(at.elevations, [10, 11, 17.5, 20, 22.5, 30, 38], atol=1e-6)
    np.testing.assert_allclose(at.distances_m, [0, 4, 30, 40, 45, 60, 60], atol=1e-3)


def test_headings_are_from_true_north(corner):
    at = corner.at(START + np.array([0, 5, 10, 15, 24, 28]))
    # Meridian convergence, (longitude - 3°) sin(latitude): how far the map's north leans here.
    lean = (at.longitudes[0] - 3) * np.sin(np.radians(at.latitudes[0]))
    turning = np.degrees(np.arctan2(4, 2))  # 1 s at 4 m/s east, and 1 s at 2 m/s north
    expected = (np.array([90, 90, turning, 0, np.nan, np.nan]) + lean) % 360
    assert -0.7 < lean < -0.5
    np.testing.assert_allclose(at.headings, expected, atol=0.01)


def test_nothing_is_known_before_after_and_in_gaps(tmp_path):
    seconds = [0, 5, 15, 26, 27]  # gaps of 10 s and of 11 s
    track = read_track(write_track(tmp_path / "ride.gpx", seconds, lambda s: (3 * s, 0)))
    asked = START + np.array([-0.1, 0, 10, 15, 15.1, 20, 25.9, 26, 27, 27.1, np.nan])
    known = [False, True, True, True, False, False, False, True, True, False, False]
    assert track.covers(asked).tolist() == known
    at = track.at(asked)
    for column in (at.latitudes, at.longitudes, at.elevations, at.distances_m, at.headings):
        assert np.isfinite(column).tolist() == known
    # The way across the gap counts, straight.
    assert at.distances_m[8] == pytest.approx(81, abs=1e-3)
    np.testing.assert_allclose(at.headings[7:9] % 180, 90, atol=1)
    assert track.covered_s(START - 5, START + 26.5) == pytest.approx(15.5)
    assert track.covers(asked, max_gap_s=11).tolist() == [False, *[True] * 8, False, False]
    assert track.covers(asked, max_gap_s=9.9).tolist()[2] is False


def test_segments_are_joined_sorted_and_freed_of_duplicates(tmp_path):
    late = f"<trkseg>{point(4, 40)}{point(6, 60)}{point(None, 99)}</trkseg>"
    early = f"<trkseg>{point(2, 20)}{point(0, 0)}{point(4, 99)}</trkseg>"
    other = f"<trk><trkseg>{point(8, 80)}</trkseg></trk>"
    track = track_of(tmp_path, f"{point(3, 0, 'wpt')}<trk>{late}{early}</trk>{other}")
    assert (track.times - START).tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose((track.longitudes - 2.27) * 1e5, [0, 20, 40, 60, 80])
    assert (track.without_time, track.same_time) == (1, 1)
    assert np.isnan(track.elevations).all()


def test_routes_and_waypoints_where_no_track_has_times(tmp_path):
    points = "".join(point(s, s, "rtept") for s in (0, 1, 2))
    bare = f"<trk><trkseg>{point(None)}</trkseg></trk>"
    assert len(track_of(tmp_path, f"<rte>{points}</rte>{bare}")) == 3
    waypoints = "".join(point(s, s, "wpt") for s in (0, 1))
    assert len(track_of(tmp_path, waypoints + bare)) == 2


def test_times_with_an_offset_and_without_any_zone(tmp_path):
    body = "".join(
        f'<trkpt lat="52" lon="2"><time>2024-05-31T{clock}</time></trkpt>'
        for clock in ("14:00:00+02:00", "12:00:01", "12:00:02.5Z")
    )
    track = track_of(tmp_path, f"<trk><trkseg>{body}</trkseg></trk>")
    assert (track.times - START).tolist() == [0, 1, 2.5]


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        ("not xml", "is not a GPX file"),
        ("", "is not a GPX file"),
        ("<gpx><trk>", "is not a GPX file"),
        (gpx("<trk><trkseg><trkpt lon='2'/></trkseg></trk>"), "is not a GPX file"),
        (gpx(f"<trk><trkseg>{point(None)}</trkseg></trk>"), r"no points with a time \(1 without\)"),
        (gpx(""), r"no points with a time \(0 without\)"),
        (gpx(f"<trk><trkseg>{point(1)}{point(1, 5)}</trkseg></trk>"), "one point in time only"),
        (gpx(point(0, 1e8, "wpt") + point(1, 0, "wpt")), "longitude 1002.27 .* outside"),
    ],
)
def test_files_that_are_no_tracks(tmp_path, content, trouble):
    path = tmp_path / "ride.gpx"
    path.write_text(content)
    with pytest.raises(DataError, match=trouble) as caught:
        read_track(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(DataError, match=r"ride\.gpx: no such file; lay"):
        read_track(tmp_path / "ride.gpx")
    (tmp_path / "ride.gpx").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a GPX file"):
        read_track(tmp_path / "ride.gpx")
