"""Where and when a photo was taken, as its camera noted it in the EXIF metadata.

Sources: CIPA DC-008 (EXIF 2.32 and 3.0), W3C PNG (third edition, ``eXIf``), the WebP container.
"""

import io
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

_GPS, _EXIF = ExifTags.GPS, ExifTags.Base
_TIFF_STARTS = (b"II*\0", b"MM\0*")
# From the bottom of the ocean to the rim of space.
_LOWEST_M, _HIGHEST_M = -11_000.0, 100_000.0
# A receiver without a fix counts from 6 January 1980, and no camera had a receiver before this.
_FIRST_GPS_YEAR = 1990
_MAX_EXIF_BYTES = 1 << 24

_PLACE = (
    (_GPS.GPSLatitude, _GPS.GPSLatitudeRef, "NS", 90),
    (_GPS.GPSLongitude, _GPS.GPSLongitudeRef, "EW", 180),
)
_Tags = Mapping[int, Any]


@dataclass(frozen=True)
class PhotoFacts:
    """What the metadata of a photo say; NaN where they say nothing that can be trusted.

    Attributes:
        latitude: WGS84 degrees, -90 to 90.
        longitude: WGS84 degrees, -180 to 180; known exactly where the latitude is.
        altitude: metres, negative below the reference. EXIF 2 says sea level, EXIF 3 says ellipsoid
            where the same value is written; the number is kept as it is.
        heading: where the camera looked, degrees clockwise from north, 0 up to 360. A direction
            from magnetic north is kept as it is.
        time: seconds since 1970 (UTC). The GPS time if it is whole, else the camera's clock; a
            clock that does not say its offset from UTC is read as if it showed UTC.
        source: where the position is from: ``"EXIF"``, ``"XMP"`` or ``"JSON"``; empty without one.
        without_reference: whether EXIF has a position that does not say north or south, or east or
            west, and so is none.
    """

    latitude: float = math.nan
    longitude: float = math.nan
    altitude: float = math.nan
    heading: float = math.nan
    time: float = math.nan
    source: str = ""
    without_reference: bool = False

    def completed_by(self, other: "PhotoFacts", source: str) -> "PhotoFacts":
        """This, with what only ``other`` knows; a position and its altitude stay together."""
        told = math.isnan(self.latitude) and not math.isnan(other.latitude)
        place = replace(other, source=source) if told else self
        return replace(
            place,
            heading=other.heading if math.isnan(self.heading) else self.heading,
            time=other.time if math.isnan(self.time) else self.time,
            without_reference=self.without_reference,
        )


def read_exif(path: Path | str) -> tuple[PhotoFacts, str]:
    """Read the position, the direction and the time from the EXIF metadata of a photo.

    Reads headers only, never pixels, of JPEG, PNG, WEBP and TIFF files. A latitude or longitude
    without its N, S, E or W is unknown, as is any value out of its range. Latitude and longitude 0
    ("null island") mean that there was no fix, unless the receiver says that there was one, by its
    status or by a whole GPS date and time. A file that is missing, is no image, has no metadata or
    damaged ones is no error: what cannot be read is unknown.

    Returns:
        the facts, and the XMP packet of a JPEG, ``""`` without one.
    """
    xmp = ""
    try:
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return PhotoFacts(), xmp
        with Path(path).open("rb") as file:
            exif, xmp = _exif_and_xmp(file)
            if exif is None:
                return PhotoFacts(), xmp
            camera = _directory(exif, ExifTags.IFD.Exif)
            gps = _directory(exif, ExifTags.IFD.GPSInfo)
            clock = {int(_EXIF.DateTime): exif.get(_EXIF.DateTime)}
    except Exception:  # metadata are anything but well-formed, and Pillow raises what it meets
        return PhotoFacts(), xmp
    gps_time = _gps_time(gps)
    latitude, longitude = _position(gps, has_time=not math.isnan(gps_time))
    known = not math.isnan(latitude)
    return PhotoFacts(
        latitude=latitude,
        longitude=longitude,
        altitude=_altitude(gps),
        heading=_heading(gps),
        time=gps_time if not math.isnan(gps_time) else _clock_time({**clock, **camera}),
        source="EXIF" if known else "",
        without_reference=not known and _lacks_reference(gps),
    ), xmp


def _exif_and_xmp(file: IO[bytes]) -> tuple[Image.Exif | None, str]:
    # Not Image.open: it refuses images above a limit of pixels, decodes a PNG to find what lies
    # behind its pixels, copies a WEBP whole, and logs what it dislikes about a TIFF.
    start = file.read(12)
    file.seek(0)
    if start.startswith(b"\xff\xd8\xff"):
        image = JpegImageFile(file)
        return image.getexif(), image.info.get("xmp", b"").decode("utf-8", "replace")
    exif = Image.Exif()
    if start.startswith(_TIFF_STARTS):
        exif.load_from_fp(file)
        return exif, ""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        content = _chunk(file, 8, b"eXIf", byteorder="big")
    elif start.startswith(b"RIFF") and start.endswith(b"WEBP"):
        content = _chunk(file, 12, b"EXIF", byteorder="little")
    else:
        return None, ""
    if content is not None:
        exif.load(content)
    return exif, ""


def _chunk(file: IO[bytes], offset: int, wanted: bytes, *, byteorder: str) -> bytes | None:
    """The content of the first chunk of a kind in a PNG (big) or a WEBP (little) file."""
    file.seek(offset)
    while len(head := file.read(8)) == 8:
        if byteorder == "big":
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            behind = 4  # a checksum
        else:
            size, kind = int.from_bytes(head[4:], "little"), head[:4]
            behind = size % 2  # chunks begin at even addresses
        if kind == wanted:
            return file.read(size) if size <= _MAX_EXIF_BYTES else None
        file.seek(size + behind, io.SEEK_CUR)
    return None


def _directory(exif: Image.Exif, directory: int) -> _Tags:
    try:
        return dict(exif.get_ifd(directory))
    except Exception:  # damage in one directory is no reason to lose the other
        return {}


def _position(gps: _Tags, *, has_time: bool) -> tuple[float, float]:
    latitude, longitude = (_degrees(gps, *fields) for fields in _PLACE)
    unknown = math.isnan(latitude) or math.isnan(longitude)
    has_fix = has_time or _text(gps.get(_GPS.GPSStatus)).upper() == "A"
    if unknown or (latitude == longitude == 0 and not has_fix):
        return math.nan, math.nan
    return latitude, longitude


def _lacks_reference(gps: _Tags) -> bool:
    """Whether there are degrees that would be a position if they said on which half they lie."""
    missing = [(_text(gps.get(ref)).upper() or "?") not in refs for _, ref, refs, _ in _PLACE]
    assumed: _Tags = {**gps, **{int(ref): refs[0] for _, ref, refs, _ in _PLACE}}
    sizes = [_degrees(assumed, *fields) for fields in _PLACE]
    return any(missing) and not any(map(math.isnan, sizes)) and any(sizes)


def _degrees(gps: _Tags, tag: int, ref_tag: int, refs: str, limit: float) -> float:
    parts, ref = _numbers(gps.get(tag)), _text(gps.get(ref_tag)).upper()
    # Whole degrees, minutes and seconds, where the last may be absent. Rounding writes 60 seconds.
    if not 1 <= len(parts) <= 3 or len(ref) != 1 or ref not in refs:
        return math.nan
    degrees, minutes, seconds = parts + [0.0] * (3 - len(parts))
    if not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60):
        return math.nan
    size = degrees + minutes / 60 + seconds / 3600
    if size > limit:
        return math.nan
    return size if ref == refs[0] else -size


def _altitude(gps: _Tags) -> float:
    altitude = finite(gps.get(_GPS.GPSAltitude))
    ref = gps.get(_GPS.GPSAltitudeRef, 0)
    if isinstance(ref, bytes):
        ref = ref[0] if ref else 0
    # EXIF 3.0 adds 2 and 3, above and below the other of the two references.
    if ref in (1, 3, "1", "3"):
        altitude = -abs(altitude)
    return altitude if _LOWEST_M <= altitude <= _HIGHEST_M else math.nan


def _heading(gps: _Tags) -> float:
    heading = finite(gps.get(_GPS.GPSImgDirection))
    return heading % 360 if 0 <= heading <= 360 else math.nan


def _gps_time(gps: _Tags) -> float:
    date = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)", _text(gps.get(_GPS.GPSDateStamp)))
    parts = _numbers(gps.get(_GPS.GPSTimeStamp))
    if date is None or len(parts) != 3 or int(date[1]) < _FIRST_GPS_YEAR:
        return math.nan
    hours, minutes, seconds = parts
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds <= 60):
        return math.nan
    try:
        midnight = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=UTC)
    except ValueError:
        return math.nan
    return midnight.timestamp() + 3600 * hours + 60 * minutes + seconds


def _clock_time(tags: _Tags) -> float:
    time = _moment(tags, _EXIF.DateTimeOriginal, _EXIF.OffsetTimeOriginal, _EXIF.SubsecTimeOriginal)
    if math.isnan(time):
        time = _moment(tags, _EXIF.DateTime, _EXIF.OffsetTime, _EXIF.SubsecTime)
    return time


def _moment(tags: _Tags, tag: int, offset_tag: int, fraction_tag: int) -> float:
    found = re.match(
        r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", _text(tags.get(tag)), re.ASCII
    )
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", _text(tags.get(offset_tag)), re.ASCII)
    fraction = re.match(r"\d{1,9}", _text(tags.get(fraction_tag)), re.ASCII)
    if found is None:
        return math.nan
    east = timedelta()
    if offset is not None:
        east = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
    try:
        zone = timezone(-east if offset is not None and offset[1] == "-" else east)
        year, month, day, hour, minute, second = map(int, found.groups())
        whole = datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return math.nan
    return whole + (float(f"0.{fraction[0]}") if fraction else 0.0)


def _numbers(value: Any) -> list[float]:
    return [finite(part) for part in (value if isinstance(value, tuple | list) else (value,))]


def finite(value: Any) -> float:
    """A rational as a float; NaN where its denominator is zero, or where it is something else."""
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip(" \0") if isinstance(value, str) else ""
