import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError
from netvlad.geography import radius_neighbours, to_wgs84

HEADER = "place_id,year,month,northdeg,city_id,lat,lon,panoid"
BANGKOK = """\
8,2018,4,256,Bangkok,13.759735,100.540211,aaa
8,2012,11,7,Bangkok,13.7597,100.5402,bbb
15,2011,1,90,Bangkok,13.8,100.6,_c-c
8,2015,6,255,Bangkok,13.75974,100.54021,ddd
"""
OSLO = """\
8,2010,2,1,OSL,59.9,10.7,eee
8,2011,2,359,OSL,59.9,10.70001,fff
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Dataframes").mkdir()
    for city, rows in (("Bangkok", BANGKOK), ("OSL", OSLO)):
        (tmp_path / f"Dataframes/{city}.csv").write_text(f"{HEADER}\n{rows}")
    return tmp_path


def test_places(root):
    dataset = open_dataset("gsv-cities", root, "train")
    assert dataset.queries.names == (
        "Images/Bangkok/Bangkok_0000008_2018_04_256_13.759735_100.540211_aaa.jpg",
        "Images/Bangkok/Bangkok_0000015_2011_01_090_13.8_100.6__c-c.jpg",
        "Images/OSL/OSL_0000008_2010_02_001_59.9_10.7_eee.jpg",
    )
    assert dataset.database.names == (
        "Images/Bangkok/Bangkok_0000008_2012_11_007_13.7597_100.5402_bbb.jpg",
        "Images/Bangkok/Bangkok_0000008_2015_06_255_13.75974_100.54021_ddd.jpg",
        "Images/OSL/OSL_0000008_2011_02_359_59.9_10.70001_fff.jpg",
    )
    assert [dataset.positives.row(i).tolist() for i in range(3)] == [[0, 1], [], [2]]
    assert dataset.queries.labels["place"].tolist() == ["Bangkok/8", "Bangkok/15", "OSL/8"]
    assert dataset.queries.labels["city"].tolist() == ["Bangkok", "Bangkok", "OSL"]
    assert dataset.queries.labels["panorama"].tolist() == ["aaa", "_c-c", "eee"]
    assert dataset.queries.headings.tolist() == [256, 90, 1]
    assert dataset.database.times.tolist() == [12 * 2012 + 10, 12 * 2015 + 5, 12 * 2011 + 1]
    assert dataset.queries.utm_zone is None
    assert dataset.notes == ("1 of 3 places have one image only.",)


def test_one_city(root):
    dataset = open_dataset("gsv-cities", root, "train:OSL")
    assert (len(dataset.queries), len(dataset.database)) == (1, 1)
    assert dataset.queries.utm_zone == "32N"
    latitude, longitude = to_wgs84(dataset.queries.positions, "32N")
    np.testing.assert_allclose([latitude[0], longitude[0]], [59.9, 10.7], atol=1e-9)
    assert open_dataset("gsv-cities", root, "train:OSL", utm_zone="33N").queries.utm_zone == "33N"
    with pytest.raises(SettingsError, match="no city 'Rome' here; choose from Bangkok, OSL"):
        open_dataset("gsv-cities", root, "train:Rome")
    with pytest.raises(SettingsError, match="utm_zone is 32N but train has cities in several"):
        open_dataset("gsv-cities", root, "train", utm_zone="32N")


def test_cities_at_the_same_metres_never_come_near(root):
    # The same place one zone (6°) to the east has the same easting and northing there.
    (root / "Dataframes/Zebra.csv").write_text(
        f"{HEADER}\n{OSLO.replace('OSL', 'Zebra').replace('10.7', '16.7')}"
    )
    dataset = open_dataset("gsv-cities", root, "train")
    near = radius_neighbours(dataset.queries.positions, dataset.database.positions, 1_000_000)
    cities = dataset.queries.labels["city"], dataset.database.labels["city"]
    for query, city in enumerate(cities[0]):
        assert near.row(query).tolist() == np.flatnonzero(cities[1] == city).tolist()


def test_tables_that_make_no_sense(root):
    path = root / "Dataframes/OSL.csv"
    for rows, trouble in (
        ("x,2010,2,1,OSL,59.9,10.7,e", r"OSL\.csv: column place_id: .*x"),
        ("1.5,2010,2,1,OSL,59.9,10.7,e", r"OSL\.csv: row 1: place_id is '1\.5'"),
        ("8,2010,2,1,OSL,10.7,190,e", r"OSL\.csv: longitude 190"),
        ("8,2010,2,1,../..,59.9,10.7,e", r"OSL\.csv: city_id '\.\./\.\.' cannot be the name"),
        ("8,2010,2,1,OSL,59.9", r"OSL\.csv: is not a table"),
    ):
        path.write_text(f"{HEADER}\n{rows}\n")
        with pytest.raises(DataError, match=trouble):
            open_dataset("gsv-cities", root, "train")
    path.write_text(OSLO)
    with pytest.raises(DataError, match=r"OSL\.csv: has no column place_id"):
        open_dataset("gsv-cities", root, "train")
