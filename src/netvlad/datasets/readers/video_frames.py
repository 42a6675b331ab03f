"""Frames of a video as images, and ``positions.csv`` beside them: where and when each was taken."""

import csv
import json
import math
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.gpx_track import (
    MAX_GAP_S,
    TOLERANCE_S,
    FrameChoice,
    Track,
    read_track,
)
from netvlad.datasets.readers.tables import TableRow, read_rows
from netvlad.errors import DataError, SettingsError
from netvlad.storage import fingerprint, locked, read_json, write_json, written_beside
from netvlad.types import Note, Progress, Reporter, silent

TABLE_NAME = "positions.csv"
"""The table's name in a folder of frames."""

# A tenth of a millimetre to a centimetre, so that nothing is lost that a receiver knows.
_DIGITS = {"latitude": 8, "longitude": 8, "altitude": 2, "heading": 2, "time": 3}
_COLUMNS = ("image", *_DIGITS, "frame")
_QUALITY = 95
# What containers say of a video's length is not exact to the frame.
_LENGTH_SLACK_S = 1.0
# Another way to choose or write frames gets another number, and old frames are not taken for new.
_VERSION = 1


class VideoFile:
    """An open video, a context manager. Only frames that are asked for become pictures.

    Attributes:
        path: the file.
        duration_s: how long the container says it is; None where it does not.

    Raises:
        DataError: there is no such file, or it is no video that can be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; lay the video there")
        # FFmpeg's own messages: read once, when the first video is opened. Nobody but the error of
        # this package says that a file is no video; whoever wants them sets it.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2  # noqa: PLC0415 - takes a while, and few open videos

        self.path = path
        before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            # An absolute path: "a:b.mp4" would be taken for an address.
            self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        finally:
            cv2.utils.logging.setLogLevel(before)
        if not self._capture.isOpened():
            raise self._unreadable("cannot be read as a video")
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        count = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._fps = fps if math.isfinite(fps) and fps > 0 else None
        has_length = math.isfinite(count) and count > 0
        self.duration_s = count / self._fps if has_length and self._fps else None

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frames(self) -> Iterator[tuple[int, float]]:
        """Once: each frame's number, from 0, and its time in seconds since the video's beginning.

        The times are those of the container, so a changing frame rate is followed. Where it has
        none (they stand still), frames follow each other at its frame rate. Ends where the video
        ends or breaks off.

        Raises:
            DataError: the first frame cannot be read; or there are neither times nor a frame rate.
        """
        import cv2  # noqa: PLC0415 - as above

        number, seconds = 0, 0.0
        while self._capture.grab():
            told = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
            if number == 0:
                seconds = max(0.0, told) if math.isfinite(told) else 0.0
            elif math.isfinite(told) and told > seconds:
                seconds = told
            elif self._fps is not None:
                seconds += 1 / self._fps
            else:
                raise self._unreadable("has neither times of its frames nor a frame rate")
            yield number, seconds
            number += 1
        if number == 0:
            raise self._unreadable("has no frame that can be decoded")

    def picture(self) -> NDArray[np.uint8] | None:
        """The frame that :meth:`frames` yielded last: (H, W, 3) BGR, upright, or None if damaged.

        Where the container says that the camera was held sideways, the picture is turned.
        """
        done, pixels = self._capture.retrieve()
        return np.asarray(pixels, np.uint8) if done else None

    def _unreadable(self, trouble: str) -> DataError:
        again = f"ffmpeg -i {shlex.quote(self.path.name)} -c:v libx264 -crf 18 new.mp4"
        return DataError(f"{self.path}: {trouble}; re-encode it: {again}")


@dataclass(frozen=True, eq=False)
class FrameTable:
    """M frames of one video, in their order.

    Attributes:
        images: M file names: the video's name, ``_``, and the frame's number in six digits.
        frames: (M,) int64 number of each in the video, counted from 0.
        latitude, longitude: (M,) WGS84 degrees.
        altitude: (M,) metres, NaN where unknown.
        heading: (M,) degrees clockwise from north, NaN when standing.
        time: (M,) seconds since 1970 (UTC).
    """

    images: tuple[str, ...]
    frames: NDArray[np.int64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    altitude: NDArray[np.float64]
    heading: NDArray[np.float64]
    time: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)


def _is_image_of(video_name: str, image: str) -> bool:
    return re.fullmatch(re.escape(video_name) + r"_\d{6,}\.jpg", image) is not None


def read_frame_table(folder: Path, video_name: str) -> FrameTable:
    """Read the frames of one video from the folder's table; none where there is no table.

    Raises:
        DataError: there is another table of that name.
    """
    rows = [row for row in _rows(folder) if _is_image_of(video_name, row.cells.get("image", ""))]
    columns = {name: np.array([row.number(name) for row in rows], np.float64) for name in _DIGITS}
    frames = np.array([row.number("frame") for row in rows], np.float64).astype(np.int64)
    return FrameTable(tuple(row.cells["image"] for row in rows), frames, **columns)


def _write_frame_table(folder: Path, video_name: str, table: FrameTable) -> None:
    """Write the frames of a video into the folder's table; those of other videos stay there."""
    others = [row.cells for row in _rows(folder)]
    others = [row for row in others if not _is_image_of(video_name, row.get("image", ""))]
    with (
        written_beside(folder / TABLE_NAME) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(others)
        for i, image in enumerate(table.images):
            values = {name: float(getattr(table, name)[i]) for name in _DIGITS}
            texts = {k: f"{v:.{_DIGITS[k]}f}" for k, v in values.items() if math.isfinite(v)}
            writer.writerow({"image": image, "frame": int(table.frames[i]), **texts})


def _rows(folder: Path) -> list[TableRow]:
    path = folder / TABLE_NAME
    if not path.exists():
        return []
    header, rows = read_rows(path, _COLUMNS)
    if tuple(header) != _COLUMNS:
        told = "is a table of something else than frames of videos"
        raise DataError(f"{path}: {told}; choose another folder")
    return rows


@dataclass(frozen=True)
class FrameRequest:
    """Which frames of which video.

    Attributes:
        video: the file.
        track: its GPX file.
        choice: every so many metres or seconds.
        offset_s: where on the track the video begins: seconds after the track's first point;
            negative if the camera ran first.
        max_gap_s: points of the track farther apart in time than this have a gap between them, and
            frames in it no place.

    Raises:
        SettingsError: a number makes no sense.
        DataError: the video's name cannot be that of images in a table.
    """

    video: Path
    track: Path
    choice: FrameChoice
    offset_s: float = 0.0
    max_gap_s: float = MAX_GAP_S

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset_s):
            raise SettingsError(f"offset_s is {self.offset_s}; give a number of seconds")
        if not (math.isfinite(self.max_gap_s) and self.max_gap_s > 0):
            raise SettingsError(f"max_gap_s is {self.max_gap_s}; give a number of seconds above 0")
        name = self.name
        # Hidden images are not listed; tables strip blanks and take backslashes for folders.
        if name.startswith(".") or name != name.strip() or "\\" in name or not name.isprintable():
            remedy = "give it a name without a leading dot, blanks at its ends and backslashes"
            raise DataError(f"{self.video}: frames cannot be called after it; {remedy}")

    @property
    def name(self) -> str:
        """The video's name without its suffix."""
        return self.video.stem

    def identity(self) -> dict[str, Any]:
        """All that the frames depend on, as JSON types; the content of the video by size and date.

        Raises:
            DataError: a file is not there.
        """
        try:
            state, track = self.video.stat(), self.track.read_bytes()
        except OSError as error:
            told = f"cannot be read: {error.strerror or error}"
            remedy = "the video and its GPX track must be there"
            raise DataError(f"{error.filename}: {told}; {remedy}") from error
        return {
            "version": _VERSION,
            "video": self.video.name,
            "size_bytes": state.st_size,
            "mtime_ns": state.st_mtime_ns,
            "track": fingerprint(track),
            "choice": asdict(self.choice),
            "offset_s": float(self.offset_s),
            "max_gap_s": float(self.max_gap_s),
        }

    def fingerprint(self) -> str:
        """A short name for :meth:`identity`."""
        return fingerprint(json.dumps(self.identity(), sort_keys=True))


@dataclass(frozen=True, eq=False)
class WrittenFrames:
    """Where images and their table lie, the table, and what a person should know of them."""

    folder: Path
    table: FrameTable
    notes: tuple[str, ...]


def write_frames(
    request: FrameRequest,
    folder: Path,
    *,
    waiting: Callable[[], None] | None = None,
    report: Reporter = silent,
) -> WrittenFrames:
    """Write frames as JPEG files (quality 95), and their places into ``positions.csv``.

    Moment 0 of the video is the track's first time plus the offset. A frame is taken at the first
    moment that is not before a wanted one, and its place is that of its own time. Frames without a
    place (before, beside, after the track) are not written. The video is decoded from its
    beginning in one pass, but only frames that are wanted become pictures.

    A run that was stopped goes on; one that is finished does nothing. Frames of several videos may
    lie in one folder; but not frames of one video by two choices.

    Args:
        request: which frames.
        folder: made if need be.
        waiting: see :func:`netvlad.storage.locked`; None raises when another process writes there.
        report: progress in frames, and notes.

    Raises:
        DataError: the video or the track cannot be read, they have no moment in common, or the
            folder has images or a table that something else wrote.
        StorageError: an image cannot be written, or another process writes there.
    """
    identity = request.identity()
    frames = _finished(request.name, folder, identity)
    if frames is None:
        track = read_track(request.track)
        with VideoFile(request.video) as video, locked(folder, "writing frames", waiting=waiting):
            # Whoever held the folder until now may have done it all.
            frames = _finished(request.name, folder, identity)
            if frames is None:
                frames = _Writing(request, folder, video, track).run(identity, report)
    for note in frames.notes:
        report(Note(note))
    return frames


def _state_path(name: str, folder: Path) -> Path:
    return folder / f".{name}.frames.json"


def _finished(name: str, folder: Path, identity: dict[str, Any]) -> WrittenFrames | None:
    """The frames, if an earlier run wrote all of them and they are still there."""
    path = _state_path(name, folder)
    if not path.exists():
        return None
    state = read_json(path, error=DataError)
    if not isinstance(state, dict) or state.get("identity") != identity:
        if _first_image(name, folder) is None:
            return None
        told = f"has frames of another {name}, or of this one by other settings"
        raise DataError(f"{folder}: {told}; choose another folder, or remove {name}_*.jpg there")
    if not state.get("finished"):
        return None
    table = read_frame_table(folder, name)
    if not len(table) or not all((folder / image).is_file() for image in table.images):
        return None
    return WrittenFrames(folder, table, tuple(state.get("notes", ())))


def _first_image(name: str, folder: Path) -> Path | None:
    return next((file for file in folder.iterdir() if _is_image_of(name, file.name)), None)


class _Writing:
    """One pass through a video, which writes the images that are not there yet."""

    def __init__(self, request: FrameRequest, folder: Path, video: VideoFile, track: Track) -> None:
        self.request, self.folder, self.video, self.track = request, folder, video, track
        self.start = float(track.times[0]) + request.offset_s
        self.chosen: list[tuple[int, float]] = []  # number and time of each that has an image
        self.damaged = 0
        self.length_s: float | None = None  # known when the video was read to its end

    def run(self, identity: dict[str, Any], report: Reporter) -> WrittenFrames:
        name, folder = self.request.name, self.folder
        path = _state_path(name, folder)
        foreign = None if path.exists() else _first_image(name, folder)
        if foreign is not None:
            raise DataError(f"{foreign}: is there already; choose another folder for the frames")
        read_frame_table(folder, name)  # a table of another kind is found out before the work
        write_json(path, {"identity": identity, "finished": False})
        self._write_images(report)
        times = self.start + np.array([seconds for _, seconds in self.chosen], np.float64)
        points = self.track.at(times, max_gap_s=self.request.max_gap_s)
        images = tuple(self._image(number) for number, _ in self.chosen)
        numbers = np.array([number for number, _ in self.chosen], np.int64)
        table = FrameTable(images, numbers, *points[:4], times)
        notes = self._notes()
        _write_frame_table(folder, name, table)
        write_json(path, {"identity": identity, "finished": True, "notes": notes})
        return WrittenFrames(folder, table, tuple(notes))

    def _image(self, number: int) -> str:
        return f"{self.request.name}_{number:06d}.jpg"

    def _write_images(self, report: Reporter) -> None:
        duration_s, gap = self.video.duration_s, self.request.max_gap_s
        # The length may be a little wrong; no frame at the end shall be lost for it.
        end = self.start + (math.inf if duration_s is None else 1.1 * duration_s + 10)
        moments = self.request.choice.moments(self.track, self.start, end, max_gap_s=gap)
        moments -= self.start
        if not len(moments):
            raise self._apart(duration_s)
        likely = moments if duration_s is None else moments[moments <= duration_s]
        stage, total = f"Frames of {self.request.video.name}", max(1, len(likely))
        done, seconds = 0, 0.0
        report(Progress(stage, 0, total, "frames"))
        for number, seconds in self.video.frames():
            if seconds + TOLERANCE_S < moments[done]:
                continue
            done = int(np.searchsorted(moments, seconds + TOLERANCE_S, side="right"))
            if self.track.covers([self.start + seconds], max_gap_s=gap)[0]:
                if self._write_image(self.folder / self._image(number)):
                    self.chosen.append((number, seconds))
                else:
                    self.damaged += 1
            if done == len(moments):
                break
            if done < total:
                report(Progress(stage, done, total, "frames"))
        else:
            self.length_s = seconds
        report(Progress(stage, total, total, "frames"))
        if not self.chosen:
            raise self._apart(seconds)

    def _write_image(self, path: Path) -> bool:
        """Write the present frame unless an earlier run did; False when it is damaged."""
        if path.exists():
            return True
        pixels = self.video.picture()
        if pixels is None:
            return False
        import cv2  # noqa: PLC0415 - takes a while, and few open videos

        done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if done:
            with written_beside(path) as temporary:
                temporary.write_bytes(jpeg.tobytes())
        return bool(done)

    def _notes(self) -> list[str]:
        length_s, duration_s = self.length_s, self.video.duration_s
        gpx, video = self.request.track.name, self.request.video.name
        left_out = (
            (gpx, self.track.without_time, "points without a time were left out"),
            (gpx, self.track.same_time, "points have the time of another, left out"),
            (video, self.damaged, "frames could not be decoded and were left out"),
        )
        notes = [f"{name}: {count} {told}." for name, count, told in left_out if count]
        whole = math.inf if length_s is None else length_s
        if duration_s is not None and whole < duration_s - max(_LENGTH_SLACK_S, 0.01 * duration_s):
            told = f"{video} breaks off after {whole:.1f} s of {duration_s:.1f} s"
            notes.append(f"{told}; there are frames of its beginning only.")
        length, gap = length_s if length_s is not None else duration_s, self.request.max_gap_s
        if length is not None:
            covered = self.track.covered_s(self.start, self.start + length, max_gap_s=gap)
            if length - covered > _LENGTH_SLACK_S:
                notes.append(
                    f"{length - covered:.0f} of {length:.0f} s of {video} are not on the track, or "
                    f"in its gaps of more than {gap:g} s: no frames of them."
                )
        return notes

    def _apart(self, length: float | None) -> DataError:
        times, track = self.track.times, self.request.track.name
        video = "it begins" if length is None else f"it begins, for {length:.1f} s,"
        return DataError(
            f"{self.request.video}: no frame lies on the track {track}, which lasts "
            f"{times[-1] - times[0]:.1f} s; {video} {self.request.offset_s:g} s after the track's "
            f"first point (offset_s), and gaps of more than {self.request.max_gap_s:g} s "
            "count as unknown (max_gap_s)"
        )
