"""Videos with GPX tracks: their frames are the images."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.gpx_track import MAX_GAP_S, FrameChoice
from netvlad.datasets.readers.names import telling
from netvlad.datasets.readers.video_frames import FrameRequest, WrittenFrames, write_frames
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm
from netvlad.storage import read_json
from netvlad.types import ImageSet, PlaceDataset

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")  # of videos, in lower case
# What may lie beside the videos: which frames to take, and when each video began.
SETTINGS_NAME = "video.json"
EVERY_M = 5.0  # metres between frames where nobody says otherwise
_KEYS = ("every_m", "every_s", "offset_s", "max_gap_s")


def read_video(record: DatasetRecord, root: Path, split: str, utm_zone: str | None) -> PlaceDataset:
    """Open videos as two sets of frames, a frame every 5 m of the track.

    The first time, the frames are written into a cache folder, which takes as long as decoding the
    videos; then they are found there until a video (its size or date), its track or the choice
    changes. ``video.json`` in the folder of the videos may choose otherwise: ``{"every_m": 5,
    "offset_s": {"ride.mp4": 2.5}}``, also ``every_s`` and ``max_gap_s``, see
    :class:`netvlad.datasets.readers.video_frames.FrameRequest`. ``times`` are seconds since 1970;
    the labels are ``sequence``, the video's name without suffix, and ``frame``, the number of the
    frame in its video, from 0. Positions are in ``utm_zone``; None takes that of the median frame.

    Raises:
        DataError: a folder, a video or a track is missing or cannot be read, or ``video.json``
            makes no sense.
        StorageError: the frames cannot be written.
        SettingsError: ``utm_zone`` is not a zone.
    """
    # All that can be wrong with names and settings is told before the work.
    asked = [_requests(record, root / split / role) for role in ("database", "queries")]
    cache = frame_cache()
    # Another process that writes the same frames may finish.
    made = [
        [write_frames(one, cache / one.fingerprint(), waiting=lambda: None) for one in requests]
        for requests in asked
    ]
    everything = [frames for part in made for frames in part]
    places = [(frames.table.latitude, frames.table.longitude) for frames in everything]
    latitudes, longitudes = np.concatenate(places, axis=1)
    with telling(root / split):
        positions, zone = to_utm(latitudes, longitudes, utm_zone)
    count = sum(len(frames.table) for frames in made[0])
    sets = (
        _image_set(cache, asked[0], made[0], positions[:count], zone),
        _image_set(cache, asked[1], made[1], positions[count:], zone),
    )
    notes = tuple(note for frames in everything for note in frames.notes)
    return PlaceDataset(record.name, split, *sets, notes=notes)


def frame_cache() -> Path:
    """Where frames are kept: ``$XDG_CACHE_HOME/netvlad/frames``, by default in ``~/.cache``."""
    # The XDG specification has relative paths ignored.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = chosen if chosen.is_absolute() else Path.home() / ".cache"
    return base / "netvlad" / "frames"


def _requests(record: DatasetRecord, folder: Path) -> list[FrameRequest]:
    """What to take of the videos in a folder, in the order of their names."""
    found = record.found(folder, folder=True).iterdir()
    files = sorted(file for file in found if not file.name.startswith("."))
    videos = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not videos:
        raise record.error(folder, "has no videos")
    tracks = {file.stem: file for file in files if file.suffix.lower() == ".gpx"}
    settings = folder / SETTINGS_NAME
    told = read_json(settings, error=DataError) if settings.exists() else {}
    numbers, offsets = _settings(settings, told, {video.name for video in videos})
    max_gap_s = numbers.pop("max_gap_s", MAX_GAP_S)
    for video in videos:
        if video.stem not in tracks:
            told = f"no such file; lay the track of {video.name} there"
            raise DataError(f"{video.with_suffix('.gpx')}: {told}")
    try:
        choice = FrameChoice(**(numbers or {"every_m": EVERY_M}))
        return [
            FrameRequest(v, tracks[v.stem], choice, offsets.get(v.name, 0.0), max_gap_s)
            for v in videos
        ]
    except SettingsError as error:
        raise DataError(f"{settings}: {error}") from error


def _settings(path: Path, told: Any, videos: set[str]) -> tuple[dict[str, float], dict[str, float]]:
    """The settings but for the offsets, and the offset of each video that has one."""
    if not isinstance(told, dict) or not isinstance(told.get("offset_s", {}), dict):
        raise DataError(f'{path}: must be like {{"every_m": 5, "offset_s": {{"NAME.mp4": 2.5}}}}')
    for key in set(told) - set(_KEYS):
        raise DataError(f"{path}: {key} is no setting; there are {', '.join(_KEYS)}")
    offsets = {k: _number(path, k, value) for k, value in told.get("offset_s", {}).items()}
    for video in set(offsets) - videos:
        wrong = f"offset_s names {video}, which is not there"
        raise DataError(f"{path}: {wrong}; write the name with its suffix")
    return {k: _number(path, k, told[k]) for k in _KEYS if k in told and k != "offset_s"}, offsets


def _number(path: Path, what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{path}: {what} is {value!r}; give a number")
    return float(value)


def _image_set(
    root: Path,
    requests: list[FrameRequest],
    made: list[WrittenFrames],
    positions: NDArray[np.float64],
    zone: str,
) -> ImageSet:
    tables = [frames.table for frames in made]
    names = [f"{frames.folder.name}/{image}" for frames in made for image in frames.table.images]
    headings = np.concatenate([table.heading for table in tables])
    times = np.concatenate([table.time for table in tables])
    sequences = np.repeat([request.name for request in requests], [len(t) for t in tables])
    numbers = np.concatenate([table.frames for table in tables]).astype(np.str_)
    labels = {"sequence": sequences.astype(np.str_), "frame": numbers}
    return ImageSet(root, tuple(names), positions, headings, times, zone, labels)
