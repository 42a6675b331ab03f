"""Made-up rides: videos whose colours tell the number of the frame, and GPX tracks."""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from netvlad.geography import to_wgs84

START = 1_717_156_800.0
"""2024-05-31 12:00 UTC, where tracks begin."""

ORIGIN = (450_000.0, 5_780_000.0)
"""Easting and northing in zone 31N, where tracks begin; 50 km west of the zone's meridian."""

_LEVELS = 8
_STEP = 32


def colour(number: int) -> tuple[int, int, int]:
    """The colour of a frame: three digits of base 8, far enough apart for any compression."""
    digits = (number % _LEVELS, number // _LEVELS % _LEVELS, number // _LEVELS**2)
    return tuple(_STEP * digit + _STEP // 2 for digit in digits)  # type: ignore[return-value]


def write_video(
    path: Path, frames: int, fps: float = 10.0, size: tuple[int, int] = (64, 48)
) -> Path:
    """A video of 512 frames at most, MJPEG in .avi and MPEG-4 elsewhere; a black bar moves."""
    code = "MJPG" if path.suffix == ".avi" else "mp4v"
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter.fourcc(*code)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size)
    assert writer.isOpened()
    for number in range(frames):
        picture = np.full((size[1], size[0], 3), colour(number), np.uint8)
        picture[:8, number % size[0]] = 0
        writer.write(picture)
    writer.release()
    return path


def number_shown(image: Path) -> int:
    """The number that a picture's colour tells."""
    pixels = np.asarray(Image.open(image).convert("RGB"), np.float64)
    blue_green_red = np.median(pixels, axis=(0, 1))[::-1]
    digits = np.round((blue_green_red - _STEP / 2) / _STEP).astype(int)
    return int(digits @ (1, _LEVELS, _LEVELS**2))


def hold_sideways(path: Path) -> None:
    """Let an .mp4 say that its pictures are to be turned by 90° clockwise (ISO 14496-12, tkhd)."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -(1 << 16), *(0,) * 4, 1 << 30
    )
    path.write_bytes(content)


def slow_down(path: Path, from_frame: int, factor: int) -> None:
    """Let an .mp4 show each frame from one on ``factor`` times as long (ISO 14496-12, stts)."""
    content = bytearray(path.read_bytes())
    # What follows the media data may grow; what lies before it is found by its offset.
    assert content.index(b"mdat") < content.index(b"moov")
    table = content.index(b"stts") + 4
    entries, count, ticks = struct.unpack_from(">III", content, table + 4)
    assert entries == 1
    entry = struct.pack(">III", 2, from_frame, ticks) + struct.pack(
        ">II", count - from_frame, factor * ticks
    )
    content[table + 4 : table + 16] = entry
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        at = content.index(box) - 4
        struct.pack_into(">I", content, at, struct.unpack_from(">I", content, at)[0] + 8)
    path.write_bytes(content)


def write_track(
    path: Path, seconds: Sequence[float], place: Callable[[float], tuple[float, float]]
) -> Path:
    """A GPX track.

    Args:
        path: the file.
        seconds: when it has points, after :data:`START`.
        place: metres east and north of :data:`ORIGIN` at each of them.
    """
    metres = np.array([place(s) for s in seconds]) + ORIGIN
    points = [
        f'<trkpt lat="{lat:.9f}" lon="{lon:.9f}"><ele>{10 + s}</ele><time>{iso(s)}</time></trkpt>'
        for s, lat, lon in zip(seconds, *to_wgs84(metres, "31N"), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(gpx(f"<trk><trkseg>{''.join(points)}</trkseg></trk>"))
    return path


def iso(seconds: float) -> str:
    """A moment after :data:`START` as GPX writes it."""
    moment = datetime.fromtimestamp(START + seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def gpx(body: str) -> str:
    """A GPX file with this in it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1">'
        f"{body}</gpx>"
    )
