"""Where and when a photo was taken: by its EXIF metadata, its XMP, or a file beside it.

Account exports (Google Takeout) put a JSON file beside each photo, photo managers an XMP file;
drones write their position into XMP of their own. Sources: the XMP specification part 2 (exif
schema: "DDD,MM.mmk"), DJI's drone-dji schema, and exports as they are met.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from netvlad.images.exif import PhotoFacts, finite, read_exif

_LARGEST_BYTES = 1 << 22
_SUPPLEMENT = ".supplemental-metadata"
# Exports cut names off; no name was met that was cut to fewer characters than this.
_SHORTEST_CUT = 40
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_DJI = "{http://www.dji.com/drone-dji/1.0/}"


def read_photo_facts(path: Path | str) -> PhotoFacts:
    """The position, the direction and the time of a photo, each from the first that knows it.

    EXIF comes first (see :func:`~netvlad.images.exif.read_exif`), then XMP inside the photo (drones
    keep their position there), an XMP file beside it, and the JSON file of an account's export.
    What cannot be read is unknown, and no error.
    """
    facts, xmp = read_exif(path)
    if xmp and _incomplete(facts):
        facts = facts.completed_by(xmp_facts(xmp), "XMP")
    if _incomplete(facts):
        for source, told in sidecar_facts(Path(path)):
            facts = facts.completed_by(told, source)
    return facts


def _incomplete(facts: PhotoFacts) -> bool:
    return any(math.isnan(value) for value in (facts.latitude, facts.heading, facts.time))


def sidecar_facts(photo: Path) -> Iterator[tuple[str, PhotoFacts]]:
    """What the files beside a photo say, ``"XMP"`` and ``"JSON"``; damaged ones say nothing."""
    for name in (f"{photo.name}.xmp", f"{photo.stem}.xmp", f"{photo.stem}.XMP"):
        if (text := _text(photo.with_name(name))) is not None:
            yield "XMP", xmp_facts(text)
    for name in _json_names(photo):
        if (text := _text(photo.with_name(name))) is not None:
            yield "JSON", _json_facts(text)


def _json_names(photo: Path) -> list[str]:
    """The JSON files of an export that belong to a photo, the likeliest first.

    ``IMG_1.jpg`` has ``IMG_1.jpg.supplemental-metadata.json``, or ``IMG_1.jpg.json`` in older
    exports; either may be cut off anywhere behind 40 characters, ``IMG_1(2).jpg`` has its number
    behind the rest (``IMG_1.jpg(2).json``), and an edited copy shares the original's.
    """
    numbered = re.fullmatch(r"(.*)(\(\d+\))(\.\w+)", photo.name)
    name, number = (numbered[1] + numbered[3], numbered[2]) if numbered else (photo.name, "")
    names = [name]
    if edited := re.fullmatch(r"(.*)-edited(\.\w+)", name):
        names.append(edited[1] + edited[2])
    try:
        listed = _json_files(photo.parent, photo.parent.stat().st_mtime_ns)
    except OSError:
        return []
    found = []
    for whole in (name + _SUPPLEMENT for name in names):
        shortest = min(len(whole) - len(_SUPPLEMENT), _SHORTEST_CUT)
        cut = (f"{whole[:length]}{number}.json" for length in range(len(whole), shortest - 1, -1))
        found += [name for name in cut if name in listed]
    # Some exports leave the photo's own suffix out.
    return [*found, f"{photo.stem}.json"]


@lru_cache(maxsize=256)
def _json_files(folder: Path, _changed: int) -> frozenset[str]:
    """The JSON files of a folder; listed once until the folder changes."""
    return frozenset(path.name for path in folder.iterdir() if path.suffix == ".json")


def _text(file: Path) -> str | None:
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_BYTES:
            return None
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _json_facts(text: str) -> PhotoFacts:
    try:
        content = json.loads(text)
        taken = content.get("photoTakenTime") or {}
        latitude, longitude, altitude = math.nan, math.nan, math.nan
        # What a person has set on the map, then what the camera wrote; 0, 0 means neither.
        for name in ("geoData", "geoDataExif"):
            place = content.get(name) or {}
            degrees = finite(place.get("latitude")), finite(place.get("longitude"))
            found = _place_or_nothing(*degrees)
            if not math.isnan(found[0]):
                (latitude, longitude), altitude = found, finite(place.get("altitude"))
                break
        return PhotoFacts(latitude, longitude, altitude, time=finite(taken.get("timestamp")))
    except (ValueError, AttributeError, TypeError):
        return PhotoFacts()


def xmp_facts(text: str) -> PhotoFacts:
    """What an XMP packet says, inside a photo or beside it; one that is damaged says nothing."""
    start, end = text.find("<"), text.rfind(">")
    if start < 0 or "<!DOCTYPE" in text or "<!ENTITY" in text:  # nothing that expands
        return PhotoFacts()
    try:
        root = ElementTree.fromstring(text[start : end + 1])
    except ElementTree.ParseError:
        return PhotoFacts()
    values: dict[str, str] = {}
    for element in root.iter():
        for name, value in (*element.attrib.items(), (element.tag, (element.text or "").strip())):
            if value:
                values.setdefault(name, value)
    latitude, longitude = _place_or_nothing(
        _degrees(values.get(f"{_EXIF}GPSLatitude", ""), "NS"),
        _degrees(values.get(f"{_EXIF}GPSLongitude", ""), "EW"),
    )
    altitude = _rational(values.get(f"{_EXIF}GPSAltitude"))
    if values.get(f"{_EXIF}GPSAltitudeRef") == "1":
        altitude = -altitude
    heading = _rational(values.get(f"{_EXIF}GPSImgDirection"))
    if math.isnan(latitude):
        latitude, longitude, altitude = _drone_position(values)
    if math.isnan(heading):
        heading = _rational(values.get(f"{_DJI}GimbalYawDegree"))
    return PhotoFacts(latitude, longitude, altitude, heading % 360, _time(values))


def _drone_position(values: Mapping[str, str]) -> tuple[float, float, float]:
    # Old firmware writes Longtitude.
    names = ("GpsLongitude", "GpsLongtitude")
    longitude = next((values[_DJI + name] for name in names if _DJI + name in values), None)
    position = _place_or_nothing(_rational(values.get(f"{_DJI}GpsLatitude")), _rational(longitude))
    return *position, _rational(values.get(f"{_DJI}AbsoluteAltitude"))


def _degrees(text: str, refs: str) -> float:
    """``52,12,20N`` or ``52,12.345N``: degrees, minutes and perhaps seconds."""
    found = re.fullmatch(r"(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])", text.strip())
    if found is None or found[4] not in refs:
        return math.nan
    size = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return size if found[4] == refs[0] else -size


def _time(values: Mapping[str, str]) -> float:
    for name in (f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated", f"{_XMP}CreateDate"):
        try:
            moment = datetime.fromisoformat(values[name])
        except (KeyError, ValueError):
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return math.nan


def _place_or_nothing(latitude: float, longitude: float) -> tuple[float, float]:
    """Both, or NaN twice where one is unknown or impossible, or both are 0: no position at all."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or latitude == longitude == 0:
        return math.nan, math.nan
    return latitude, longitude


def _rational(text: str | None) -> float:
    above, _, below = (text or "").partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return math.nan
