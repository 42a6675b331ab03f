from functools import partial

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.datasets.readers.csv_table import write_csv_split
from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm

read_csv_table = partial(open_dataset, "csv")

PLAIN = """image,easting,northing,heading,role,photographer
db/a.jpg,100.5,200,90,database,Ann
db/b.jpg,110.5,200,,database,Ann
/elsewhere/q.jpg,101,201,,query,Bob
"""


def read(tmp_path, text, **settings):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "val.csv").write_bytes(data)
    return read_csv_table(tmp_path, "val", **settings)


def test_a_plain_table(tmp_path):
    dataset = read(tmp_path, PLAIN)
    assert (dataset.name, dataset.split) == ("csv", "val")
    assert dataset.database.names == ("db/a.jpg", "db/b.jpg")
    assert dataset.database.path(0) == tmp_path / "db/a.jpg"
    assert str(dataset.queries.path(0)) == "/elsewhere/q.jpg"
    assert dataset.database.positions.tolist() == [[100.5, 200], [110.5, 200]]
    np.testing.assert_array_equal(dataset.database.headings, [90, np.nan])
    assert dataset.queries.headings is dataset.queries.times is dataset.queries.utm_zone is None
    assert (dataset.radius_m, dataset.train_radius_m, dataset.notes) == (25, 10, ())
    assert read(tmp_path, PLAIN, utm_zone="31u").queries.utm_zone == "31N"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_as_other_programs_write_it(tmp_path, delimiter, end, start):
    text = " Image , EASTING ,Northing, Heading,Role,photographer\n" + PLAIN.split("\n", 1)[1]
    text = text.replace("database", " Database ").replace("\ndb/b", "\n,,,,,\n\ndb/b")
    text = text.replace(",", delimiter).replace("\n", end)
    dataset = read(tmp_path, start + text.encode())
    assert dataset.database.names == ("db/a.jpg", "db/b.jpg")
    assert dataset.database.positions.tolist() == [[100.5, 200], [110.5, 200]]


def test_decimal_commas_and_backslashes(tmp_path):
    text = "image;role;easting;northing\ndb\\a.jpg;database;100,5;200\nq.jpg;query;1;2,25\n"
    dataset = read(tmp_path, text)
    assert dataset.database.names == ("db/a.jpg",)
    assert dataset.database.positions.tolist() == [[100.5, 200]]
    assert dataset.queries.positions.tolist() == [[1, 2.25]]


def test_quoted_names(tmp_path):
    text = 'image,role,easting,northing\n"a, b.jpg",database,1,2\n"ü.jpg",query,3,4\n'
    dataset = read(tmp_path, text)
    assert dataset.database.names == ("a, b.jpg",)
    assert dataset.queries.names == ("ü.jpg",)


def test_degrees(tmp_path):
    text = "image,role,Latitude,Longitude\na.jpg,database,52.2,0.12\nq.jpg,query,52.3,-0.12\n"
    dataset = read(tmp_path, text)
    expected, zone = to_utm([52.2, 52.3], [0.12, -0.12])
    assert dataset.database.utm_zone == dataset.queries.utm_zone == zone
    both = np.concatenate([dataset.database.positions, dataset.queries.positions])
    np.testing.assert_array_equal(both, expected)
    assert read(tmp_path, text, utm_zone="30N").queries.utm_zone == "30N"


def test_a_column_of_zones(tmp_path):
    east, _ = to_utm([52.0], [0.0], "31N")
    west, _ = to_utm([52.0], [0.0], "30N")
    rows = [
        f"{name},{role},{e:.3f},{n:.3f},{zone}"
        for name, role, (e, n), zone in (
            ("a.jpg", "database", east[0], "31N"),
            ("b.jpg", "database", west[0], "30U"),
            ("q.jpg", "query", east[0], "31n"),
        )
    ]
    dataset = read(tmp_path, "\n".join(["image,role,easting,northing,zone", *rows]))
    assert dataset.database.utm_zone == "31N"
    np.testing.assert_allclose(dataset.database.positions, np.repeat(east, 2, axis=0), atol=2e-3)


def test_other_columns_are_labels(tmp_path):
    dataset = read(tmp_path, PLAIN.replace("photographer\n", "photographer,,Weather\n", 1))
    assert sorted(dataset.database.labels) == ["photographer", "weather"]
    assert dataset.database.labels["photographer"].tolist() == ["Ann", "Ann"]
    assert dataset.queries.labels["photographer"].tolist() == ["Bob"]
    assert dataset.queries.labels["weather"].tolist() == [""]
    write_csv_split(tmp_path / "again.csv", dataset)
    again = read_csv_table(tmp_path, "again")
    for side, written in ((again.database, dataset.database), (again.queries, dataset.queries)):
        assert {k: v.tolist() for k, v in side.labels.items()} == {
            k: v.tolist() for k, v in written.labels.items()
        }


def test_images_without_position_stay_with_a_note(tmp_path):
    text = (
        "image,role,easting,northing\na.jpg,database,1,2\nb.jpg,database,,\nc.jpg,database,3,\n"
        "q.jpg,query,nan,NaN\nr.jpg,query\n"
    )
    dataset = read(tmp_path, text)
    np.testing.assert_array_equal(dataset.database.positions, [[1, 2], [np.nan] * 2, [np.nan] * 2])
    assert np.isnan(dataset.queries.positions).all()
    assert dataset.notes == (
        "2 of 3 database images have no position and never count as correct.",
        "2 of 2 query images have no position and never count as correct.",
    )


def test_times_are_numbers_or_dates(tmp_path):
    text = (
        "image,role,easting,northing,time\na.jpg,database,1,2,2015\n"
        "b.jpg,database,1,2,1970-01-02\nq.jpg,query,1,2,1970-01-01T01:00:10+01:00\n"
    )
    dataset = read(tmp_path, text)
    assert dataset.database.times.tolist() == [2015, 86400]
    assert dataset.queries.times.tolist() == [10]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("easting", "east", "needs the columns .* it has image, east, northing, heading, role"),
        ("image", "photo", "needs the columns"),
        ("role", "kind", "needs the columns"),
        ("photographer", "image", "two columns called image"),
        ("110.5", "far", r"val\.csv, line 3: easting is 'far', which is not a number"),
        ("110.5", "inf", "line 3: easting is infinite"),
        ("201,", "201,north", "line 4: heading is 'north'"),
        ("110.5", "110,5", "line 3: has 7 cells but the header has 6"),
        ("query", "test", "line 4: role is 'test'; it must be database or query"),
        ("query", "database", "no row has the role query"),
        ("database", "query", "no row has the role database"),
        ("/elsewhere/q.jpg", " ", "line 4: the column image is empty"),
        ("photographer", "zone", "line 2: zone: 'Ann' is not a UTM zone"),
        ("photographer", "time", "line 2: time is 'Ann', neither a number nor"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, PLAIN.replace(old, new))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"image,role,easting,northing\n", "no row has the role database"),
        ("image,role,easting,northing\nü,query,1,2\n".encode("latin-1"), "UTF-8"),
        ("image,role\n".encode("utf-16"), "UTF-8"),
        (b"image,role,easting,northing\n" + b"a" * 200_000 + b",query,1,2\n", "is not a table"),
        (b"image,role,latitude,longitude\na,database,95,1\nb,query,1,1\n", "latitude 95"),
        (b"image,role,latitude,longitude\na,database,,\nb,query,,\n", "no point has"),
        (b"image,role,easting,northing,zone\na,database,1,2,31N\nb,query,1,2,\n", "b has no zone"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "val.csv") in str(caught.value)


def test_missing_or_wrong(tmp_path):
    with pytest.raises(DataError, match=r"val\.csv: no such file; expected <split>\.csv with"):
        read_csv_table(tmp_path, "val")
    with pytest.raises(SettingsError, match="UTM zone"):
        read(tmp_path, PLAIN, utm_zone="north")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_csv_table(tmp_path, "folder")
