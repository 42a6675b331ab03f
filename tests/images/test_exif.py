import math
import os
import struct
import zlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts

GPS, BASE, IFD = ExifTags.GPS, ExifTags.Base, ExifTags.IFD
NAMES = ("latitude", "longitude", "altitude", "heading", "time")
# Sydney Opera House: 33° 51' 24.84" S, 151° 12' 54.36" E.
SYDNEY = {
    GPS.GPSLatitudeRef: "S",
    GPS.GPSLatitude: (33, 51, 24.84),
    GPS.GPSLongitudeRef: "E",
    GPS.GPSLongitude: (151, 12, 54.36),
}


def photo(path, gps=None, camera=None, main=None):
    exif = Image.Exif()
    for tags, target in (
        (gps, exif.get_ifd(IFD.GPSInfo)),
        (camera, exif.get_ifd(IFD.Exif)),
        (main, exif),
    ):
        for tag, value in (tags or {}).items():
            target[int(tag)] = value
    Image.new("RGB", (8, 6), "grey").save(path, exif=exif.tobytes())
    return path


def facts(tmp_path, *args):
    return read_photo_facts(photo(tmp_path / "photo.jpg", *args))


def all_unknown(found):
    return all(math.isnan(getattr(found, name)) for name in NAMES)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_each_format(tmp_path, suffix):
    gps = {**SYDNEY, GPS.GPSAltitudeRef: b"\0", GPS.GPSAltitude: 12.5, GPS.GPSImgDirection: 271.25}
    gps |= {GPS.GPSDateStamp: "2024:05:31", GPS.GPSTimeStamp: (23, 59, 1.5)}
    found = read_photo_facts(photo(tmp_path / f"photo{suffix}", gps))
    assert found.latitude == pytest.approx(-33.8569, abs=1e-7)
    assert found.longitude == pytest.approx(151.2151, abs=1e-7)
    assert (found.altitude, found.heading) == (12.5, 271.25)
    assert found.time == datetime(2024, 5, 31, 23, 59, 1, 500_000, UTC).timestamp()


def png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def test_png_with_exif_behind_the_pixels(tmp_path):
    sound = photo(tmp_path / "sound.png", SYDNEY).read_bytes()
    start = sound.index(b"eXIf") - 4
    size = struct.unpack(">I", sound[start : start + 4])[0]
    content = sound[start + 8 : start + 8 + size]
    without = sound[:start] + sound[start + 12 + size :]
    end = png_chunk(b"IEND", b"")
    assert without.endswith(end)
    path = tmp_path / "late.png"
    path.write_bytes(without.removesuffix(end) + png_chunk(b"eXIf", content) + end)
    assert read_photo_facts(path) == read_photo_facts(tmp_path / "sound.png")
    assert read_photo_facts(path).latitude < -33


def test_pixels_are_not_needed(tmp_path):
    # A claim of 400 megapixels with no pixel data behind it: too large for Image.open.
    data = photo(tmp_path / "photo.jpg", SYDNEY).read_bytes()
    frame = data.index(b"\xff\xc0\x00\x11\x08") + 5
    huge = data[:frame] + struct.pack(">HH", 20_000, 20_000) + data[frame + 4 :]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(huge[: huge.index(b"\xff\xda") + 20])
    with pytest.raises(Image.DecompressionBombError):
        Image.open(cut)
    assert read_photo_facts(cut).latitude == pytest.approx(-33.8569, abs=1e-7)


@pytest.mark.parametrize(
    ("refs", "signs"), [("NE", (1, 1)), ("NW", (1, -1)), ("SE", (-1, 1)), ("sw", (-1, -1))]
)
def test_hemispheres(tmp_path, refs, signs):
    gps = {**SYDNEY, GPS.GPSLatitudeRef: refs[0], GPS.GPSLongitudeRef: refs[1]}
    found = facts(tmp_path, gps)
    assert (math.copysign(1, found.latitude), math.copysign(1, found.longitude)) == signs


@pytest.mark.parametrize(
    "change",
    [
        {GPS.GPSLatitudeRef: None},
        {GPS.GPSLongitudeRef: None},
        {GPS.GPSLatitudeRef: "E"},
        {GPS.GPSLatitudeRef: "NS"},
        {GPS.GPSLatitude: (90, 0, 0.5)},
        {GPS.GPSLongitude: (180, 1, 0)},
        {GPS.GPSLatitude: (33, 75, 0)},
        {GPS.GPSLatitude: (33, 51, IFDRational(1, 0))},
        {GPS.GPSLatitude: (IFDRational(0, 0), 51, 24)},
        {GPS.GPSLatitude: (33, 51, 24, 5)},
        {GPS.GPSLongitude: None},
    ],
)
def test_positions_that_cannot_be_trusted(tmp_path, change):
    gps = {tag: value for tag, value in {**SYDNEY, **change}.items() if value is not None}
    found = facts(tmp_path, {**gps, GPS.GPSImgDirection: 45})
    # Half a position is none, and the rest of the directory counts all the same.
    assert math.isnan(found.latitude)
    assert math.isnan(found.longitude)
    assert found.heading == 45


@pytest.mark.parametrize("parts", [(33.5, 0, 0), (33, 30, 0), (33, 29, 60), (33, 30), (33.5,)])
def test_ways_to_write_degrees(tmp_path, parts):
    assert facts(tmp_path, {**SYDNEY, GPS.GPSLatitude: parts}).latitude == pytest.approx(-33.5)


def test_null_island_is_no_fix(tmp_path):
    zero = {**SYDNEY, GPS.GPSLatitude: (0, 0, 0), GPS.GPSLongitude: (0, 0, 0)}
    assert all_unknown(facts(tmp_path, zero))
    assert math.isnan(facts(tmp_path, {**zero, GPS.GPSStatus: "V"}).latitude)
    assert facts(tmp_path, {**zero, GPS.GPSStatus: "A"}).latitude == 0
    timed = {**zero, GPS.GPSDateStamp: "2024:05:31", GPS.GPSTimeStamp: (1, 2, 3)}
    assert facts(tmp_path, timed).longitude == 0
    # On the equator alone is a place like any other.
    assert facts(tmp_path, {**SYDNEY, GPS.GPSLatitude: (0, 0, 0)}).latitude == 0


@pytest.mark.parametrize(
    ("ref", "value", "altitude"),
    [
        (b"\0", 8848.5, 8848.5),
        (b"\1", 430, -430),
        (b"\2", 430, 430),
        (b"\3", 430, -430),
        (None, 430, 430),
        (b"\0", 200_000, math.nan),
        (b"\1", 20_000, math.nan),
        (b"\0", IFDRational(5, 0), math.nan),
    ],
)
def test_altitudes(tmp_path, ref, value, altitude):
    gps = {GPS.GPSAltitude: value} | ({} if ref is None else {GPS.GPSAltitudeRef: ref})
    assert facts(tmp_path, gps).altitude == pytest.approx(altitude, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "heading"),
    [(0, 0), (359.5, 359.5), (360, 0), (361, math.nan), (IFDRational(0, 0), math.nan)],
)
@pytest.mark.parametrize("ref", ["T", "M"])
def test_headings(tmp_path, ref, value, heading):
    gps = {GPS.GPSImgDirectionRef: ref, GPS.GPSImgDirection: value}
    assert facts(tmp_path, gps).heading == pytest.approx(heading, nan_ok=True)


def test_the_gps_time_only_if_whole(tmp_path):
    camera = {BASE.DateTimeOriginal: "2024:05:31 12:00:00"}
    clock = datetime(2024, 5, 31, 12, tzinfo=UTC).timestamp()
    date, time = {GPS.GPSDateStamp: "2024:05:31"}, {GPS.GPSTimeStamp: (9, 58, 30)}
    assert facts(tmp_path, date | time, camera).time == clock - 2 * 3600 - 90
    for broken in (
        date,
        time,
        time | {GPS.GPSDateStamp: "2024:02:31"},
        time | {GPS.GPSDateStamp: "1980:01:06"},
        date | {GPS.GPSTimeStamp: (25, 0, 0)},
        date | {GPS.GPSTimeStamp: (9, 58, IFDRational(1, 0))},
    ):
        assert facts(tmp_path, broken, camera).time == clock


def test_the_cameras_clock(tmp_path):
    main = {BASE.DateTime: "2001:01:01 00:00:00"}
    later = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
    assert facts(tmp_path, None, None, main).time == later
    taken = {BASE.DateTimeOriginal: "1969:12:31 20:30:00"}
    assert facts(tmp_path, None, taken, main).time == -3.5 * 3600
    offset = {BASE.OffsetTimeOriginal: "-03:30", BASE.SubsecTimeOriginal: "25 "}
    exact = datetime(1969, 12, 31, 20, 30, tzinfo=timezone(-timedelta(hours=3.5))).timestamp()
    assert facts(tmp_path, None, taken | offset, main).time == exact + 0.25 == 0.25
    assert facts(tmp_path, None, taken | {BASE.OffsetTimeOriginal: "   :  "}).time == -3.5 * 3600
    assert facts(tmp_path, None, {BASE.OffsetTime: "+01:00"}, main).time == later - 3600
    blank = {BASE.DateTimeOriginal: "0000:00:00 00:00:00"}
    assert facts(tmp_path, None, blank, main).time == later
    assert math.isnan(facts(tmp_path, None, blank).time)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_in_one_directory_leaves_the_other(tmp_path):
    path = photo(tmp_path / "photo.jpg", SYDNEY, {BASE.DateTimeOriginal: "2024:05:31 12:00:00"})
    data = path.read_bytes()
    tag = data.index(struct.pack(">H", IFD.GPSInfo))
    path.write_bytes(data[: tag + 8] + struct.pack(">I", 2**31) + data[tag + 12 :])
    found = read_photo_facts(path)
    assert math.isnan(found.latitude)
    assert found.time == datetime(2024, 5, 31, 12, tzinfo=UTC).timestamp()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_no_damage_raises(tmp_path, suffix):
    path = photo(
        tmp_path / f"photo{suffix}", SYDNEY, {BASE.DateTimeOriginal: "2024:05:31 12:00:00"}
    )
    data = path.read_bytes()
    outcomes = set()
    for i in range(0, min(len(data), 700), 3):
        for damaged in (data[:i], data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :]):
            path.write_bytes(damaged)
            found = read_photo_facts(path)
            assert math.isnan(found.latitude) == math.isnan(found.longitude)
            outcomes.add(math.isnan(found.latitude))
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    "content",
    [b"", b"not a photo", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0garbage", b"RIFF\0\0\0\0WEBP"],
)
def test_what_is_no_photo(tmp_path, content):
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    assert all_unknown(read_photo_facts(path))


def test_what_cannot_be_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("pipe.jpg", "missing.jpg", "."):
        assert all_unknown(read_photo_facts(tmp_path / name))


def test_a_photo_without_metadata(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "plain.jpg")
    found = read_photo_facts(str(tmp_path / "plain.jpg"))
    assert isinstance(found, PhotoFacts)
    assert all_unknown(found)
