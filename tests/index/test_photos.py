import csv
import json
import math
import os
import time
import warnings

import numpy as np
import pytest
from PIL import ExifTags, Image

from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm
from netvlad.images.exif import PhotoFacts
from netvlad.index import photos as module
from netvlad.index.photos import collect_photos, find_photos
from netvlad.types import Progress

GPS = ExifTags.GPS


def photo(path, latitude=None, **tags):
    """A picture, with a position in the north-east and other GPS tags by their names."""
    exif = Image.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if latitude is not None:
        gps[GPS.GPSLatitudeRef], gps[GPS.GPSLatitude] = "N", (latitude, 0, 0)
        gps[GPS.GPSLongitudeRef], gps[GPS.GPSLongitude] = "E", (1, 0, 0)
    for name, value in tags.items():
        gps[GPS[name]] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, exif=exif.tobytes())
    return path


def column(collection, name):
    return collection.places.table.column(name).to_pylist()


def test_folders_and_files(tmp_path):
    files = [photo(tmp_path / name) for name in ("b/2.jpg", "b/1.PNG", "b/deep/3.jpg", "a/4.jpg")]
    odd = photo(tmp_path / "a/4.jpg").rename(tmp_path / "a" / "picture.dat")
    (tmp_path / "b" / "notes.txt").write_text("no photo")
    photo(files[3])
    found = find_photos([str(tmp_path / "b" / "2.jpg"), tmp_path / "b", tmp_path / "a", odd])
    assert found == (files[0], files[1], files[2], files[3], odd)
    assert find_photos(tmp_path / "a") == (files[3],)
    assert find_photos(str(odd)) == (odd,)


def test_paths_are_absolute_and_each_file_counts_once(tmp_path, monkeypatch):
    path = photo(tmp_path / "a" / "1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert find_photos(["a", "./a/../a/1.jpg", path]) == (path,)
    # Links are not resolved.
    assert find_photos(["link"]) == (tmp_path / "link" / "1.jpg",)


def test_paths_without_photos(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        find_photos([tmp_path, tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no photos are given"):
        find_photos([])
    with pytest.raises(DataError, match=r"has no images \(looked for \.jpg \.jpeg"):
        find_photos([tmp_path])
    path = photo(tmp_path / "full" / "1.jpg", 50)
    (tmp_path / "empty").mkdir()
    assert find_photos([tmp_path / "empty", tmp_path / "full"]) == (path,)
    notes = collect_photos([tmp_path / "empty", tmp_path / "full"]).notes
    assert len(notes) == 1
    assert "empty: has no images" in notes[0]


def test_names_that_no_table_can_hold(tmp_path):
    photo(tmp_path / "1.jpg", 50)
    try:
        photo(tmp_path / "2.jpg").rename(tmp_path / os.fsdecode(b"\xff.jpg"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    collection = collect_photos(tmp_path)
    assert collection.places.images() == [str(tmp_path / "1.jpg")]
    assert "1 of 2 photos are left out because their names are not UTF-8" in collection.notes[0]
    collection.notes[0].encode()


def test_exif_of_real_files(tmp_path):
    sound = photo(
        tmp_path / "1.jpg",
        50,
        GPSAltitude=7.5,
        GPSImgDirection=90.0,
        GPSDateStamp="2024:05:31",
        GPSTimeStamp=(0, 0, 30),
    )
    (tmp_path / "2.jpg").write_text("no photo at all")
    for threads in (0, 3):
        collection = collect_photos(tmp_path, threads=threads)
        row = collection.places.row(0)
        assert row["image"] == str(sound)
        assert (row["latitude"], row["longitude"], row["altitude"]) == (50, 1, 7.5)
        assert (row["heading"], row["time"], row["tags"]) == (90, 1717113630, [])
        assert row["size_bytes"] == sound.stat().st_size
        assert row["mtime_ns"] == sound.stat().st_mtime_ns
        assert collection.places.row(1)["latitude"] is None
        assert collection.places.row(1)["size_bytes"] == 15
        assert (collection.from_exif, collection.without_position) == (1, 1)
        first = tmp_path / "2.jpg"
        assert collection.notes == (f"1 of 2 photos have no position (the first is {first})",)


def test_the_first_source_that_knows(tmp_path):
    easting, northing = to_utm([51.0], [2.0], "31N")[0][0]
    named = f"@{easting:.3f}@{northing:.3f}@31@U@@@@@45@@@@20240531@@.jpg"
    for name in ("all.jpg", "half.jpg", "exif.jpg", named):
        photo(tmp_path / name, 50, GPSAltitude=9, GPSImgDirection=90)
    table = tmp_path / "table.csv"
    table.write_text(
        "image,latitude,longitude,altitude,heading,time,tags\n"
        "all.jpg,52,3,4,180,77,wet\n"
        "half.jpg,,,,180,,\n"
        f"{named},,,5,,78,dry\n"
    )
    collection = collect_photos(tmp_path, positions=table)
    # In the order of their names: @…, all, exif, half.
    np.testing.assert_allclose(collection.places.latitude, [51, 52, 50, 50], atol=1e-7)
    np.testing.assert_allclose(collection.places.longitude, [2, 3, 1, 1], atol=1e-7)
    # An altitude without a position, and one from elsewhere, do not mix with a position.
    np.testing.assert_array_equal(column(collection, "altitude"), [np.nan, 4, 9, 9])
    assert collection.places.heading.tolist() == [45, 180, 90, 180]
    np.testing.assert_array_equal(collection.places.time, [78, 77, np.nan, np.nan])
    assert column(collection, "tags") == [["dry"], ["wet"], [], []]
    counts = (collection.from_table, collection.from_names, collection.from_exif)
    assert (*counts, collection.without_position) == (1, 1, 2, 0)
    expected = f"1 of 4 photos are not in table.csv (the first is {tmp_path / 'exif.jpg'})"
    assert collection.notes == (expected,)


def test_exif_fills_what_the_table_leaves_open(tmp_path):
    photo(tmp_path / "1.jpg", 50, GPSImgDirection=90)
    table = tmp_path / "table.csv"
    table.write_text("image,latitude,longitude\n1.jpg,52,3\n")
    row = collect_photos(tmp_path, positions=str(table)).places.row(0)
    assert (row["latitude"], row["heading"]) == (52, 90)


def test_rows_and_photos_that_match_nothing(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        photo(tmp_path / name)
    table = tmp_path / "elsewhere" / "table.csv"
    table.parent.mkdir()
    rows = ["3.jpg,1,2", "gone.jpg,1,2", "1.jpg,3,4", "lost.jpg,1,2", "1.jpg,5,6"]
    table.write_text("image,latitude,longitude\n" + "\n".join(rows) + "\n")
    collection = collect_photos([tmp_path / "a", tmp_path / "b"], positions=table)
    np.testing.assert_array_equal(collection.places.latitude, [5, np.nan, 1])
    second = tmp_path / "a" / "2.jpg"
    assert collection.notes == (
        "2 of 5 rows of table.csv match no photo (the first is gone.jpg)",
        f"1 of 3 photos are not in table.csv (the first is {second})",
        "1 of 5 rows of table.csv do not count because a later row names the same photo "
        "(the first is 1.jpg)",
        f"1 of 3 photos have no position (the first is {second})",
    )


def test_names_without_a_zone(tmp_path):
    path = photo(tmp_path / "@303254@5787875@.jpg")
    collection = collect_photos(tmp_path)
    assert collection.without_position == 1
    assert collection.notes[0] == (
        "1 of 1 photos have metres in their names but no UTM zone; name it, such as 31N "
        f"(the first is {path})"
    )
    told = collect_photos(tmp_path, utm_zone="31n")
    assert told.places.latitude[0] == pytest.approx(52.2, abs=0.05)
    assert (told.from_names, told.notes) == (1, ())


def test_settings(tmp_path):
    photo(tmp_path / "1.jpg")
    with pytest.raises(SettingsError, match="'here' is not a UTM zone"):
        collect_photos(tmp_path, utm_zone="here")
    with pytest.raises(SettingsError, match="threads is -1"):
        collect_photos(tmp_path, threads=-1)


def test_progress(tmp_path):
    for i in range(70):
        (tmp_path / f"{i:02}.jpg").touch()
    events = []
    assert len(collect_photos(tmp_path, report=events.append).places) == 70
    assert events == [Progress("Reading positions", done, 70) for done in (0, 64, 70)]


def test_an_interrupt_does_not_wait_for_the_rest(tmp_path, monkeypatch):
    for i in range(640):
        (tmp_path / f"{i:03}.jpg").touch()
    read = []

    def slow(path):
        read.append(path)
        time.sleep(0.002)
        return PhotoFacts()

    def interrupt(event):
        if event.done:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_photo_facts", slow)
    with pytest.raises(KeyboardInterrupt):
        collect_photos(tmp_path, threads=2, report=interrupt)
    time.sleep(0.5)
    assert 64 <= len(read) < 640


def test_damaged_metadata_say_nothing_aloud(tmp_path):
    path = photo(tmp_path / "1.jpg", 50)
    data = path.read_bytes()
    pointer = data.index(b"\x88\x25")
    path.write_bytes(data[: pointer + 8] + b"\x7f\0\0\0" + data[pointer + 12 :])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        module.read_photo_facts(path)
        assert len(heard) == 1
        assert math.isnan(collect_photos(tmp_path).places.latitude[0])
        assert len(heard) == 1


def test_cambridge(shared):
    table = shared / "data" / "cambridge" / "test.csv"
    with table.open() as file:
        headings = {row["image"]: float(row["heading"]) for row in csv.DictReader(file)}
    collection = collect_photos(table.parent / "001", positions=table, utm_zone="31N")
    images = [os.path.relpath(image, table.parent) for image in collection.places.images()]
    expected = [headings.get(image, np.nan) for image in images]
    np.testing.assert_array_equal(collection.places.heading, expected)
    located = int(np.isfinite(expected).sum())
    assert 0 < located == collection.from_table
    assert collection.from_table + collection.without_position == len(images)
    known = collection.places.has_position
    assert np.abs(collection.places.latitude[known] - 52.2).max() < 0.1
    assert np.abs(collection.places.longitude[known] - 0.1).max() < 0.1


def test_where_positions_come_from_is_told(tmp_path):
    photo(tmp_path / "exif.jpg", 50)
    for name in ("json1.jpg", "json2.jpg", "nothing.jpg"):
        photo(tmp_path / name)
    for name in ("json1.jpg", "json2.jpg"):
        content = {"geoData": {"latitude": 52.0, "longitude": 0.5}}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    half = photo(tmp_path / "half.jpg", 50, GPSLatitudeRef="")
    collection = collect_photos(tmp_path)
    assert (collection.from_exif, collection.from_sidecars, collection.without_position) == (
        1,
        2,
        2,
    )
    assert collection.notes == (
        "positions of photos: 2 from JSON files beside the photos, 1 from EXIF",
        "1 of 5 photos have degrees in EXIF without N or S, or E or W, which are no position "
        f"(the first is {half})",
        f"2 of 5 photos have no position (the first is {half})",
    )


def test_pictures_that_are_not_read_are_counted(tmp_path):
    photo(tmp_path / "a.jpg", 50)
    for name in ("b.dng", "c.DNG", "d.mov", "e.txt", "f.json", ".g.dng"):
        (tmp_path / name).touch()
    told = "3 files are left out, of kinds that are not read: 2 .dng, 1 .mov"
    assert collect_photos(tmp_path).notes == (told,)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"has no images.*; 3 files are left out"):
        collect_photos(tmp_path)
