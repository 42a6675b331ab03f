"""A video, frame by frame, with the time of each."""

import contextlib
import math
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")
"""How the names of videos end, in lower case."""

_RETRY = "re-encode it: ffmpeg -i {name} -c:v libx264 -crf 18 new.mp4"


class VideoFile:
    """An open video. Frames come in their order; only those asked for become pictures.

    Use it as a context manager, and :meth:`frames` once.

    Attributes:
        path: the file.
        duration_s: how long the container says it is; None where it does not.
    """

    def __init__(self, path: Path) -> None:
        """Open a video.

        Raises:
            DataError: there is no such file, or it is no video that can be read.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; lay the video there")
        import cv2  # noqa: PLC0415 - takes a while, and few open videos

        self.path = path
        with _silent_opencv():
            # An absolute path: "a:b.mp4" would be taken for an address.
            self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise self._unreadable("cannot be read as a video")
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        count = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._fps = fps if math.isfinite(fps) and fps > 0 else None
        has_length = self._fps is not None and math.isfinite(count) and count > 0
        self.duration_s = count / self._fps if has_length and self._fps else None

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()

    def frames(self) -> Iterator[tuple[int, float]]:
        """Yield each frame's number, from 0, and its time in seconds since the video's beginning.

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
        return DataError(
            f"{self.path}: {trouble}; " + _RETRY.format(name=shlex.quote(self.path.name))
        )


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """Let nobody but the error of this package say that a file is no video."""
    # FFmpeg's own messages: read once, when the first video is opened. Whoever wants them sets it.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2  # noqa: PLC0415 - as above

    logging = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(before)
