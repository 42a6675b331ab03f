"""Writing frames of a video as images, with the place of each from a GPX track."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from netvlad.datasets.readers.frame_table import (
    FrameTable,
    image_name,
    is_image_of,
    read_frame_table,
    write_frame_table,
)
from netvlad.datasets.readers.gpx_track import (
    MAX_GAP_S,
    TOLERANCE_S,
    FrameChoice,
    Track,
    read_track,
)
from netvlad.datasets.readers.video_file import VideoFile
from netvlad.errors import DataError, SettingsError
from netvlad.storage import fingerprint, locked, read_json, write_json, written_beside
from netvlad.types import Note, Progress, Reporter, silent

_QUALITY = 95
# What containers say of a video's length is not exact to the frame.
_LENGTH_SLACK_S = 1.0
# Another way to choose or write frames gets another number, and old frames are not taken for new.
_VERSION = 1


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
            raise DataError(
                f"{self.video}: frames cannot be called after it; give it a name without a leading "
                "dot, blanks at its ends and backslashes"
            )

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
            raise DataError(
                f"{error.filename}: cannot be read: {error.strerror or error}; the video and its "
                "GPX track must be there"
            ) from error
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


class _Pass(NamedTuple):
    """What one pass through a video found.

    Attributes:
        chosen: number and time of each frame that has an image.
        damaged: how many frames were wanted but could not be decoded.
        length_s: how long the video turned out to be; None where it was not read to its end.
    """

    chosen: list[tuple[int, float]]
    damaged: int
    length_s: float | None


@dataclass(frozen=True, eq=False)
class WrittenFrames:
    """What was written.

    Attributes:
        folder: where the images and their table lie.
        table: one row per image.
        notes: what a person should know, one sentence each.
    """

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
    frames = _finished(request.name, folder, request.identity())
    if frames is None:
        frames = _write(request, folder, waiting, report)
    for note in frames.notes:
        report(Note(note))
    return frames


def _write(
    request: FrameRequest, folder: Path, waiting: Callable[[], None] | None, report: Reporter
) -> WrittenFrames:
    identity = request.identity()
    track = read_track(request.track)
    with VideoFile(request.video) as video, locked(folder, "writing frames", waiting=waiting):
        # Whoever held the folder until now may have done it all.
        finished = _finished(request.name, folder, identity)
        if finished is not None:
            return finished
        _claim(request.name, folder, identity)
        start = float(track.times[0]) + request.offset_s
        found = _write_images(request, video, track, start, folder, report)
        table = _table(request, track, start, found.chosen)
        notes = _notes(request, track, start, found, video.duration_s)
        write_frame_table(folder, request.name, table)
        state = {"identity": identity, "finished": True, "notes": notes}
        write_json(_state_path(request.name, folder), state)
    return WrittenFrames(folder, table, tuple(notes))


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
        raise DataError(
            f"{folder}: has frames of another {name}, or of this one by other settings; choose "
            f"another folder, or remove {name}_*.jpg there"
        )
    if not state.get("finished"):
        return None
    table = read_frame_table(folder, name)
    if not len(table) or not all((folder / image).is_file() for image in table.images):
        return None
    return WrittenFrames(folder, table, tuple(state.get("notes", ())))


def _claim(name: str, folder: Path, identity: dict[str, Any]) -> None:
    """Note what is being written; refuse where images of these names are already there."""
    path = _state_path(name, folder)
    foreign = None if path.exists() else _first_image(name, folder)
    if foreign is not None:
        raise DataError(f"{foreign}: is there already; choose another folder for the frames")
    read_frame_table(folder, name)  # a table of another kind is found out before the work
    write_json(path, {"identity": identity, "finished": False})


def _first_image(name: str, folder: Path) -> Path | None:
    return next((file for file in folder.iterdir() if is_image_of(name, file.name)), None)


def _write_images(
    request: FrameRequest,
    video: VideoFile,
    track: Track,
    start: float,
    folder: Path,
    report: Reporter,
) -> _Pass:
    """Write the images that are not there yet."""
    # The length may be a little wrong; no frame at the end shall be lost for it.
    length = math.inf if video.duration_s is None else 1.1 * video.duration_s + 10
    gap = request.max_gap_s
    moments = request.choice.moments(track, start, start + length, max_gap_s=gap) - start
    if not len(moments):
        raise _apart(request, track, start, video.duration_s)
    likely = moments if video.duration_s is None else moments[moments <= video.duration_s]
    stage, total = f"Frames of {request.video.name}", max(1, len(likely))
    chosen: list[tuple[int, float]] = []
    done, damaged, seconds, length_s = 0, 0, 0.0, None
    report(Progress(stage, 0, total, "frames"))
    for number, seconds in video.frames():
        if seconds + TOLERANCE_S < moments[done]:
            continue
        done = int(np.searchsorted(moments, seconds + TOLERANCE_S, side="right"))
        if track.covers([start + seconds], max_gap_s=gap)[0]:
            if _write_image(video, folder / image_name(request.name, number)):
                chosen.append((number, seconds))
            else:
                damaged += 1
        if done == len(moments):
            break
        if done < total:
            report(Progress(stage, done, total, "frames"))
    else:
        length_s = seconds
    report(Progress(stage, total, total, "frames"))
    if not chosen:
        raise _apart(request, track, start, seconds)
    return _Pass(chosen, damaged, length_s)


def _write_image(video: VideoFile, path: Path) -> bool:
    """Write the present frame unless an earlier run did; False when it is damaged."""
    if path.exists():
        return True
    pixels = video.picture()
    if pixels is None:
        return False
    import cv2  # noqa: PLC0415 - takes a while, and few open videos

    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        return False
    with written_beside(path) as temporary:
        temporary.write_bytes(jpeg.tobytes())
    return True


def _table(
    request: FrameRequest, track: Track, start: float, chosen: list[tuple[int, float]]
) -> FrameTable:
    times = start + np.array([seconds for _, seconds in chosen], np.float64)
    points = track.at(times, max_gap_s=request.max_gap_s)
    return FrameTable(
        images=tuple(image_name(request.name, number) for number, _ in chosen),
        frames=np.array([number for number, _ in chosen], np.int64),
        latitude=points.latitudes,
        longitude=points.longitudes,
        altitude=points.elevations,
        heading=points.headings,
        time=times,
    )


def _notes(
    request: FrameRequest,
    track: Track,
    start: float,
    found: _Pass,
    duration_s: float | None,
) -> list[str]:
    notes = []
    length_s = found.length_s
    gpx, video = request.track.name, request.video.name
    if track.without_time:
        notes.append(f"{gpx}: {track.without_time} points without a time were left out.")
    if track.same_time:
        notes.append(f"{gpx}: {track.same_time} points have the time of another, left out.")
    if found.damaged:
        notes.append(f"{video}: {found.damaged} frames could not be decoded and were left out.")
    slack = _LENGTH_SLACK_S if duration_s is None else max(_LENGTH_SLACK_S, 0.01 * duration_s)
    if duration_s is not None and length_s is not None and length_s < duration_s - slack:
        notes.append(
            f"{video} breaks off after {length_s:.1f} s of {duration_s:.1f} s; there are frames of "
            "its beginning only."
        )
    length = length_s if length_s is not None else duration_s
    if length is not None:
        beside = length - track.covered_s(start, start + length, max_gap_s=request.max_gap_s)
        if beside > _LENGTH_SLACK_S:
            notes.append(
                f"{beside:.0f} of {length:.0f} s of {video} are not on the track, or in its gaps "
                f"of more than {request.max_gap_s:g} s: no frames of them."
            )
    return notes


def _apart(request: FrameRequest, track: Track, start: float, length: float | None) -> DataError:
    seconds = float(track.times[-1] - track.times[0])
    at = f"{start - track.times[0]:g} s after the track's first point"
    video = "it begins" if length is None else f"it begins, for {length:.1f} s,"
    return DataError(
        f"{request.video}: no frame lies on the track {request.track.name}, which lasts "
        f"{seconds:.1f} s; {video} {at} (offset_s), and gaps of more than {request.max_gap_s:g} s "
        "count as unknown (max_gap_s)"
    )
