"""Positions and times that EXIF lacks: XMP inside a photo, and the files of exports beside it."""

import json
import math

import pytest
from PIL import ExifTags, Image
from tests.images.test_exif import SYDNEY, photo

from netvlad.images.photo_facts import read_photo_facts

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {attributes}>{elements}</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
ADOBE = 'exif:GPSLatitude="52,12.3N" exif:GPSLongitude="0,7,12W" exif:GPSAltitude="125/10"'
DRONE = (
    'drone-dji:GpsLatitude="+52.205" drone-dji:{}="-0.12" drone-dji:AbsoluteAltitude="+88.5" '
    'drone-dji:GimbalYawDegree="-90.0"'
)


def xmp(attributes="", elements=""):
    return XMP.format(attributes=attributes, elements=elements)


def takeout(latitude=52.205, longitude=0.12, seconds="1606000000", **others):
    place = {"latitude": latitude, "longitude": longitude, "altitude": 9.5}
    return json.dumps({"photoTakenTime": {"timestamp": seconds}, "geoData": place} | others)


def plain(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, format="JPEG")
    return path


@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-me.json"),
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.json"),
        ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
        ("IMG_1-edited.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        # Cut to 46 characters, as exports do.
        (f"{'x' * 50}.jpg", f"{'x' * 46}.json"),
        (f"{'x' * 38}.jpg", f"{'x' * 38}.jpg.sup.json"),
    ],
)
def test_names_of_an_exports_files(tmp_path, name, sidecar):
    path = plain(tmp_path / name)
    (tmp_path / sidecar).write_text(takeout())
    found = read_photo_facts(path)
    assert (found.latitude, found.longitude, found.altitude) == (52.205, 0.12, 9.5)
    assert (found.time, found.source) == (1606000000, "JSON")


@pytest.mark.parametrize(
    "other", ["IMG_10.jpg.json", "IMG_1(1).jpg.json", "IMG_1.jpg(1).json", "IMG.json", "x.json"]
)
def test_files_of_other_photos_are_not_taken(tmp_path, other):
    path = plain(tmp_path / "IMG_1.jpg")
    (tmp_path / other).write_text(takeout())
    assert math.isnan(read_photo_facts(path).latitude)


def test_null_island_is_no_place_and_the_cameras_own_comes_second(tmp_path):
    path = plain(tmp_path / "a.jpg")
    exif = {"latitude": 1.5, "longitude": 2.5, "altitude": 0}
    (tmp_path / "a.jpg.json").write_text(takeout(0.0, 0.0, geoDataExif=exif))
    assert read_photo_facts(path).latitude == 1.5
    (tmp_path / "a.jpg.json").write_text(takeout(0.0, 0.0))
    found = read_photo_facts(path)
    assert math.isnan(found.latitude) and found.source == "" and found.time == 1606000000


@pytest.mark.parametrize("name", ["a.xmp", "a.jpg.xmp", "inside"])
def test_xmp_beside_and_inside(tmp_path, name):
    time = "<exif:DateTimeOriginal>2024-05-31T12:00:00+02:00</exif:DateTimeOriginal>"
    text = xmp(ADOBE, time + "<exif:GPSImgDirection>2705/10</exif:GPSImgDirection>")
    path = tmp_path / "a.jpg"
    if name == "inside":
        Image.new("RGB", (8, 6)).save(path, xmp=text.encode())
    else:
        plain(path)
        (tmp_path / name).write_text(text)
    found = read_photo_facts(path)
    # Degrees and minutes by hand: 52 + 12.3/60, -(7 + 12/60)/60.
    assert found.latitude == pytest.approx(52.205) and found.longitude == pytest.approx(-0.12)
    assert (found.altitude, found.heading, found.source) == (12.5, 270.5, "XMP")
    assert found.time == 1717149600  # 2024-05-31 10:00 UTC


@pytest.mark.parametrize("spelling", ["GpsLongitude", "GpsLongtitude"])
def test_a_drones_position(tmp_path, spelling):
    path = tmp_path / "DJI_1.jpg"
    Image.new("RGB", (8, 6)).save(path, xmp=xmp(DRONE.format(spelling)).encode())
    found = read_photo_facts(path)
    assert (found.latitude, found.longitude, found.altitude) == (52.205, -0.12, 88.5)
    assert (found.heading, found.source) == (270, "XMP")


def test_exif_comes_first_and_is_completed(tmp_path):
    path = photo(tmp_path / "a.jpg", SYDNEY)
    (tmp_path / "a.jpg.json").write_text(takeout())
    found = read_photo_facts(path)
    assert found.latitude == pytest.approx(-33.8569, abs=1e-6)
    assert (found.time, found.source) == (1606000000, "EXIF")
    # An altitude of the other source would be that of another place.
    assert math.isnan(found.altitude)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"geoData": 5}', '{"geoData": {"latitude"']
)
def test_damaged_json_says_nothing(tmp_path, text):
    path = plain(tmp_path / "a.jpg")
    (tmp_path / "a.jpg.json").write_text(text)
    assert math.isnan(read_photo_facts(path).latitude)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<x",
        "no xml",
        xmp('exif:GPSLatitude="52,12.3E" exif:GPSLongitude="0,7N"'),
        xmp('exif:GPSLatitude="52,12.3N"'),
        xmp('exif:GPSLatitude="95,0N" exif:GPSLongitude="0,7E"'),
        '<!DOCTYPE x [<!ENTITY a "52,0N">]>' + xmp('exif:GPSLatitude="&a;"'),
    ],
)
def test_damaged_xmp_says_nothing(tmp_path, text):
    path = plain(tmp_path / "a.jpg")
    (tmp_path / "a.xmp").write_text(text)
    assert math.isnan(read_photo_facts(path).latitude)


@pytest.mark.parametrize("missing", ["NS", "EW", "both"])
def test_degrees_without_their_half_are_told(tmp_path, missing):
    refs = {"NS": ExifTags.GPS.GPSLatitudeRef, "EW": ExifTags.GPS.GPSLongitudeRef}
    gone = [tag for name, tag in refs.items() if missing in (name, "both")]
    found = read_photo_facts(
        photo(tmp_path / "a.jpg", {tag: v for tag, v in SYDNEY.items() if tag not in gone})
    )
    assert math.isnan(found.latitude) and found.without_reference
    assert not read_photo_facts(photo(tmp_path / "b.jpg", SYDNEY)).without_reference
    assert not read_photo_facts(plain(tmp_path / "c.jpg")).without_reference
