from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm
from netvlad.index.position_table import match, metres_to_degrees, read_position_table

NOON = datetime(2024, 5, 31, 12, tzinfo=UTC).timestamp()


def read(tmp_path, text, **settings):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return read_position_table(path, **settings)


def test_degrees_and_all_the_rest(tmp_path):
    table = read(
        tmp_path,
        "Image,LATITUDE,longitude,altitude,heading,time,tags,photographer\n"
        "a.jpg,52.2,0.125,-3.5,370,1717156800,summer; old town;summer,Ann\n"
        "b.jpg,-33.5,-151,,-90,2024-05-31T14:00:00+02:00,wet|night,Bob\n"
        "c.jpg,nan,,,,2024-05-31 12:00,,\n"
        'd.jpg,1,,,,,"x,y",\n',
    )
    assert len(table) == 4
    assert table.images == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    # Half a position is none.
    np.testing.assert_array_equal(table.latitude, [52.2, -33.5, np.nan, np.nan])
    np.testing.assert_array_equal(table.longitude, [0.125, -151, np.nan, np.nan])
    np.testing.assert_array_equal(table.altitude, [-3.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(table.heading, [10, 270, np.nan, np.nan])
    np.testing.assert_array_equal(table.time, [NOON, NOON, NOON, np.nan])
    assert table.tags == (("summer", "old town"), ("wet", "night"), (), ("x", "y"))


def test_semicolons_and_decimal_commas(tmp_path):
    table = read(tmp_path, "image;latitude;longitude\na.jpg;52,25;0,5\nb.jpg;;\n")
    np.testing.assert_array_equal(table.latitude, [52.25, np.nan])
    np.testing.assert_array_equal(table.longitude, [0.5, np.nan])


def test_metres_of_several_zones(tmp_path):
    # Cambridge in its own zone, Sydney in the south, and Cambridge again from the zone next to it.
    places = [(52.2, 0.12, "31N"), (-33.85, 151.2, "56S"), (52.2, 0.12, "30N")]
    rows = []
    for latitude, longitude, zone in places:
        easting, northing = to_utm([latitude], [longitude], zone)[0][0]
        rows.append(f"x.jpg,{easting:.4f},{northing:.4f},{zone}\n")
    table = read(tmp_path, "image,easting,northing,zone\n" + "".join(rows) + "y.jpg,,,\n")
    np.testing.assert_allclose(table.latitude, [52.2, -33.85, 52.2, np.nan], atol=1e-8)
    np.testing.assert_allclose(table.longitude, [0.12, 151.2, 0.12, np.nan], atol=1e-8)


def test_the_zone_of_rows_that_name_none(tmp_path):
    (easting, northing), *_ = to_utm([52.2], [0.12], "31N")[0]
    rows = f"a.jpg,{easting},{northing},\nb.jpg,{easting},{northing},56S\n"
    table = read(tmp_path, "image,easting,northing,zone\n" + rows, utm_zone="31u")
    assert table.latitude[0] == pytest.approx(52.2)
    # The same metres elsewhere: 4200 km from the south pole, beside the meridian 153° E.
    assert -40 < table.latitude[1] < -35
    assert 150 < table.longitude[1] < 152
    plain = read(tmp_path, f"image,easting,northing\na.jpg,{easting},{northing}\n", utm_zone="31N")
    assert plain.longitude[0] == pytest.approx(0.12)


def test_degrees_win_over_metres(tmp_path):
    rows = "a.jpg,1,2,303254,5787875,\nb.jpg,,,303254,5787875,31N\n"
    table = read(tmp_path, "image,latitude,longitude,easting,northing,zone\n" + rows)
    assert (table.latitude[0], table.longitude[0]) == (1, 2)
    assert table.latitude[1] == pytest.approx(52.2, abs=0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na,1,2\n", r"table\.csv: needs the columns image and .* it has image, x, y"),
        ("latitude,longitude\n1,2\n", "needs the columns image"),
        ("image,latitude,easting\na,1,2\n", "needs the columns image"),
        ("image,latitude,longitude\na,1,2\nb,north,2\n", "line 3: latitude is 'north', which is"),
        ("image,latitude,longitude\na,90.5,2\n", "line 2: latitude is 90.5, outside ±90°"),
        ("image,latitude,longitude\n\na,1,-181\n", "line 3: longitude is -181, outside ±180°"),
        ("image,latitude,longitude\n,1,2\n", "line 2: the column image is empty"),
        ("image,latitude,longitude,time\na,1,2,noon\n", "line 2: time is 'noon', neither"),
        ("image,latitude,longitude,heading\na,1,2,inf\n", "line 2: heading is infinite"),
        ("image,easting,northing\na,303254,5787875\n", "line 2: has metres without a UTM zone"),
        ("image,easting,northing,zone\na,1,2,99X\n", "line 2: zone: '99X' is not a UTM zone"),
        (
            "image,easting,northing,zone\na,5787875,303254,31N\n",
            r"line 2: easting 5787875, northing 303254 is no place of UTM zone 31N; .*swapped",
        ),
    ],
)
def test_errors_name_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_errors_of_the_whole_table(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        read_position_table(tmp_path / "nowhere.csv")
    with pytest.raises(SettingsError, match="'here' is not a UTM zone"):
        read(tmp_path, "image,latitude,longitude\n", utm_zone="here")


def test_a_table_without_rows(tmp_path):
    table = read(tmp_path, "image,easting,northing\n")
    assert len(table) == len(table.latitude) == 0
    assert match(table, [tmp_path / "a.jpg"], []).rows.tolist() == [-1]


def test_parquet(tmp_path):
    path = tmp_path / "zone=31N" / "table.parquet"
    path.parent.mkdir()
    moments = [datetime(2024, 5, 31, 12, tzinfo=UTC), None]
    columns = {
        "Image": pa.array(["a.jpg", "b.jpg"]).dictionary_encode(),
        "latitude": pa.array([0.1, None]),
        "longitude": pa.array([np.float32(0.5), np.nan], pa.float32()),
        "heading": pa.array([90, None], pa.int16()),
        "time": pa.array(moments, pa.timestamp("ns", tz="Europe/London")),
        "tags": pa.array([["wet", "night"], None]),
        "other": pa.array([object.__name__, None]),
    }
    pq.write_table(pa.table(columns), path)
    table = read_position_table(path)
    assert table.images == ("a.jpg", "b.jpg")
    np.testing.assert_array_equal(table.latitude, [0.1, np.nan])
    np.testing.assert_array_equal(table.longitude, [0.5, np.nan])
    np.testing.assert_array_equal(table.heading, [90, np.nan])
    np.testing.assert_array_equal(table.time, [NOON, np.nan])
    assert table.tags == (("wet", "night"), ())


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (pa.array([datetime(2024, 5, 31, 12)]), NOON),
        (pa.array([date(2024, 5, 31)]), NOON - 12 * 3600),
        (pa.array([NOON]), NOON),
        (pa.array(["2024-05-31T12:00Z"]), NOON),
    ],
)
def test_times_in_parquet(tmp_path, times, seconds):
    path = tmp_path / "table.PARQUET"
    pq.write_table(
        pa.table({"image": ["a"], "latitude": [1], "longitude": [2], "time": times}), path
    )
    assert read_position_table(path).time.tolist() == [seconds]


def test_errors_in_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"image": ["a", "b"], "latitude": [1, 95], "longitude": [2, 3]}), path)
    with pytest.raises(DataError, match=r"table\.parquet, row 2: latitude is 95"):
        read_position_table(path)
    columns = [pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(columns, ["image", "Image"]), path)
    with pytest.raises(DataError, match="two columns called image"):
        read_position_table(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"table\.parquet: cannot be read as Parquet"):
        read_position_table(path)
    with pytest.raises(DataError, match="No such file"):
        read_position_table(tmp_path / "nowhere.parquet")


def test_where_images_are_looked_up(tmp_path):
    first, second, own = tmp_path / "first", tmp_path / "second", tmp_path / "own"
    names = ["a.jpg", "sub\\a.jpg", "./b.jpg", "sub/../c.jpg", str(second / "d.jpg"), "e.jpg"]
    own.mkdir()
    table = read(own, "image,latitude,longitude\n" + "".join(f"{name},1,2\n" for name in names))
    files = [
        second / "a.jpg",  # row 0 takes the first folder's
        second / "sub" / "a.jpg",
        first / "a.jpg",
        second / "b.jpg",
        own / "c.jpg",
        second / "d.jpg",
        tmp_path / "e.jpg",
    ]
    found = match(table, files, [first, second])
    assert found.rows.tolist() == [-1, 1, 0, 2, 3, 4, -1]
    assert found.without_file.tolist() == [5]
    assert found.overridden.tolist() == []
    # The folders come in their order.
    assert match(table, files, [second, first]).rows.tolist() == [0, 1, -1, 2, 3, 4, -1]


def test_the_last_row_of_a_photo_counts(tmp_path):
    rows = ["a.jpg", "b.jpg", "./a.jpg", str(tmp_path / "a.jpg")]
    table = read(tmp_path, "image,latitude,longitude\n" + "".join(f"{r},1,2\n" for r in rows))
    found = match(table, [tmp_path / "a.jpg", tmp_path / "b.jpg"], [])
    assert found.rows.tolist() == [3, 1]
    assert found.overridden.tolist() == [0, 2]


def test_against_the_obvious_way(tmp_path):
    random = np.random.default_rng(1)
    folders = [tmp_path / name for name in "xyz"]
    names = [f"{i}.jpg" for i in random.integers(0, 60, 80)]
    table = read(tmp_path, "image,latitude,longitude\n" + "".join(f"{n},1,2\n" for n in names))
    bases = [*folders, tmp_path]
    files = sorted({bases[random.integers(4)] / f"{i}.jpg" for i in random.integers(0, 70, 90)})
    expected = [-1] * len(files)
    for row, name in enumerate(names):
        for base in bases:
            if base / name in files:
                expected[files.index(base / name)] = row
                break
    found = match(table, files, folders)
    assert found.rows.tolist() == expected
    rows = set(range(80)) - set(expected)
    assert set(found.without_file.tolist()) | set(found.overridden.tolist()) == rows
    assert not set(found.without_file.tolist()) & set(found.overridden.tolist())


def test_metres_that_are_nowhere():
    metres = np.array([[303254, 5787875], [5787875, 303254], [np.nan, 1], [3e5, 3e7], [3e5, 1e6]])
    degrees = metres_to_degrees(metres, ["31N", "31N", "31N", "31N", None])
    assert np.isnan(degrees).tolist() == [[False] * 2] + [[True] * 2] * 4


def test_cambridge(shared: Path):
    path = shared / "data" / "cambridge" / "test.csv"
    with pytest.raises(DataError, match=r"test\.csv, line 2: has metres without a UTM zone"):
        read_position_table(path)
    table = read_position_table(path, utm_zone="31N")
    assert len(table) == 468
    assert np.abs(table.latitude - 52.2).max() < 0.1
    assert np.abs(table.longitude - 0.1).max() < 0.1
    assert np.isfinite(table.heading).all()
    assert table.heading[:3].tolist() == [0, 60, 120]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("image", ["image", "filename", "file", "name", "Path"])
@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [("lat", "lon"), ("Lat", "lng"), ("LATITUDE", "long"), ("gps_latitude", "GPSLongitude")],
)
def test_columns_by_other_usual_names(tmp_path, suffix, image, latitude, longitude):
    header = (image, latitude, longitude, "alt", "bearing", "timestamp")
    file = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        file.write_text(f"{','.join(header)}\na.jpg,52,0.5,9,270,77\n")
    else:
        values = ("a.jpg", 52.0, 0.5, 9.0, 270.0, 77.0)
        columns = {name: [value] for name, value in zip(header, values, strict=True)}
        pq.write_table(pa.table(columns), file)
    table = read_position_table(file)
    assert table.images == ("a.jpg",)
    found = (table.latitude, table.longitude, table.altitude, table.heading, table.time)
    assert [column[0] for column in found] == [52, 0.5, 9, 270, 77]


def test_a_columns_own_name_comes_first(tmp_path):
    (tmp_path / "t.csv").write_text("name,image,lat,latitude,lon\nBridge,a.jpg,1,52,0.5\n")
    table = read_position_table(tmp_path / "t.csv")
    assert (table.images, table.latitude[0], table.longitude[0]) == (("a.jpg",), 52, 0.5)
