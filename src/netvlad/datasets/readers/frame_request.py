"""What frames are asked for: of which video and track, how often, and from when."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netvlad.datasets.readers.frame_choice import FrameChoice
from netvlad.datasets.readers.gpx_track import MAX_GAP_S
from netvlad.errors import DataError, SettingsError
from netvlad.storage import fingerprint

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
