import time

import numpy as np
import pytest
from pyproj import Geod

from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone, radius_neighbours, to_one_zone, to_utm, to_wgs84


def brute_force(queries, database, radius_m):
    difference = queries[:, None] - database[None]
    near = (difference**2).sum(axis=-1) <= radius_m**2
    return [np.flatnonzero(row) for row in near]


@pytest.mark.parametrize("radius_m", [0, 1.5, 25, 400, 1e6])
def test_neighbours_equal_brute_force(radius_m):
    random = np.random.default_rng(0)
    centre = np.array([584_000.0, 4_476_000.0])
    database = centre + random.uniform(0, 500, (300, 2)).round(1)
    queries = np.concatenate([centre + random.uniform(0, 500, (80, 2)).round(1), database[:5]])
    near = radius_neighbours(queries, database, radius_m)
    expected = brute_force(queries, database, radius_m)
    assert len(near) == len(queries)
    for i, row in enumerate(expected):
        np.testing.assert_array_equal(near.row(i), row)
    np.testing.assert_array_equal(near.counts(), [len(row) for row in expected])
    assert near.offsets.dtype == near.indices.dtype == np.int64


def test_the_rim_belongs_to_the_circle():
    queries = np.array([[500_000.0, 4_000_000.0]])
    database = queries + np.array([[15, 20], [0, 25], [-25, 0], [15.001, 20]])
    assert radius_neighbours(queries, database, 25).row(0).tolist() == [0, 1, 2]


def test_unknown_positions_have_no_neighbours_and_are_nobodys():
    positions = np.array([[0.0, 0], [np.nan, 0], [1, 1], [np.nan, np.nan], [0, np.inf]])
    near = radius_neighbours(positions, positions, 10)
    assert [near.row(i).tolist() for i in range(5)] == [[0, 2], [], [0, 2], [], []]


@pytest.mark.parametrize(("queries", "database"), [(0, 3), (3, 0), (0, 0)])
def test_neighbours_of_nothing(queries, database):
    near = radius_neighbours(np.zeros((queries, 2)), np.zeros((database, 2)), 5)
    assert len(near) == queries
    assert near.counts().sum() == 0


def test_rows_outside_are_an_index_error():
    near = radius_neighbours(np.zeros((2, 2)), np.zeros((1, 2)), 5)
    with pytest.raises(IndexError):
        near.row(2)
    with pytest.raises(IndexError):
        near.row(-1)


@pytest.mark.parametrize("radius_m", [-1, np.nan, np.inf])
def test_a_radius_must_be_a_length(radius_m):
    with pytest.raises(SettingsError, match="radius_m"):
        radius_neighbours(np.zeros((1, 2)), np.zeros((1, 2)), radius_m)


def test_positions_must_be_pairs():
    with pytest.raises(DataError, match=r"\(2, 3\)"):
        radius_neighbours(np.zeros((2, 3)), np.zeros((1, 2)), 5)


def test_pittsburgh_equals_brute_force_and_is_faster(shared):
    struct = np.load(shared / "data/structs/patch_netvlad/pitts30k_test.npz")
    queries, database = struct["utmQ"], struct["utmDb"]
    start = time.process_time()
    near = radius_neighbours(queries, database, 25)
    ours = time.process_time() - start
    brute_force(queries[::20], database, 25)
    assert ours < 20 * (time.process_time() - start - ours)
    assert len(near) == 6816
    for i, row in enumerate(brute_force(queries[::20], database, 25)):
        np.testing.assert_array_equal(near.row(20 * i), row)


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone"),
    [
        (52.2, 0.12, "31N"),
        (40.44, -79.99, "17N"),
        (35.68, 139.7, "54N"),
        (-33.87, 151.2, "56S"),
        (0.0, -180.0, "1N"),
        (0.0, 180.0, "1N"),
    ],
)
def test_degrees_choose_their_zone_and_come_back(latitude, longitude, zone):
    positions, chosen = to_utm([latitude], [longitude])
    assert chosen == zone
    back = to_wgs84(positions, chosen)
    assert back[0][0] == pytest.approx(latitude, abs=1e-9)
    assert abs((back[1][0] - longitude + 180) % 360 - 180) < 1e-9


def test_all_points_share_one_zone_across_its_border():
    # 0° is the border between zones 30 and 31: naive zones would put 500 km between these.
    latitude, longitude = [52.0, 52.0, 52.0], [-0.001, 0.001, 0.003]
    positions, zone = to_utm(latitude, longitude)
    assert zone == "31N"
    metres = Geod(ellps="WGS84").inv(-0.001, 52.0, 0.001, 52.0)[2]
    assert np.linalg.norm(positions[1] - positions[0]) == pytest.approx(metres, rel=2e-3)


def test_the_date_line_is_no_border_either():
    positions, zone = to_utm([-17.0, -17.0, -17.0], [179.999, -179.999, 179.998])
    assert zone == "60S"
    assert np.linalg.norm(positions[1] - positions[0]) < 250


def test_unknown_degrees_stay_unknown():
    positions, zone = to_utm([52.0, np.nan, 52.1], [0.1, 0.1, np.nan])
    assert zone == "31N"
    assert np.isnan(positions).tolist() == [[False] * 2, [True] * 2, [True] * 2]
    latitude, longitude = to_wgs84(positions, zone)
    assert np.isnan(latitude).tolist() == np.isnan(longitude).tolist() == [False, True, True]


def test_metres_south_of_the_equator_are_positive():
    positions, zone = to_utm([-33.87], [151.2])
    assert zone == "56S"
    assert positions[0, 1] == pytest.approx(6_250_947, abs=5_000)


def test_a_given_zone_is_kept():
    positions, zone = to_utm([40.44], [-79.99], zone="18T")
    assert zone == "18N"
    assert positions[0, 0] < 100_000


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone", "message"),
    [
        ([91], [0], None, "latitude 91 .* swapped"),
        ([4_476_709], [584_744], None, "metres"),
        ([0], [181], None, "longitude"),
        ([np.nan], [1], None, "no UTM zone"),
        ([], [], None, "no UTM zone"),
        ([50, -20], [10, 135], "32N", "too far"),
        ([1, 2], [1], None, "differ"),
    ],
)
def test_degrees_that_make_no_sense(latitude, longitude, zone, message):
    with pytest.raises(DataError, match=message):
        to_utm(latitude, longitude, zone)


@pytest.mark.parametrize(
    ("text", "band", "name"),
    [
        ("31N", False, "31N"),
        (" 17 s ", False, "17S"),
        ("17S", True, "17N"),
        ("17T", False, "17N"),
        ("17T", True, "17N"),
        ("56H", False, "56S"),
        ("1C", False, "1S"),
        ("60x", False, "60N"),
        ("07N", True, "7N"),
    ],
)
def test_zones_as_people_write_them(text, band, name):
    assert parse_utm_zone(text, letter_is_band=band).name == name


@pytest.mark.parametrize("text", ["", "N", "17", "0N", "61N", "17I", "17O", "17A", "17NN", "١٧N"])
def test_what_is_not_a_zone(text):
    with pytest.raises(SettingsError, match="like 31N"):
        parse_utm_zone(text)


def test_epsg_codes():
    assert parse_utm_zone("31N").epsg == 32631
    assert parse_utm_zone("56S").epsg == 32756


def test_positions_of_several_zones_become_one():
    latitude, longitude = np.array([52.0, 52.001, 52.002]), np.array([-0.01, 0.01, 0.02])
    expected, _ = to_utm(latitude, longitude, "31N")
    mixed = expected.copy()
    mixed[0] = to_utm(latitude[:1], longitude[:1], "30N")[0]
    positions, zone = to_one_zone(mixed, ["30U", "31N", "31U"])
    assert zone == "31N"
    np.testing.assert_allclose(positions, expected, atol=1e-5)
    np.testing.assert_array_equal(positions[1:], expected[1:])
    _, chosen = to_one_zone(mixed, ["30N", "31N", "31N"], "30N")
    assert chosen == "30N"


def test_no_zone_and_unknown_positions():
    with pytest.raises(DataError, match="zone"):
        to_one_zone(np.zeros((0, 2)), [])
    positions, zone = to_one_zone(np.array([[np.nan, np.nan], [5e5, 5e6]]), ["30N", "31N"], "31N")
    assert zone == "31N"
    assert np.isnan(positions[0]).all()
    assert positions[1].tolist() == [5e5, 5e6]
