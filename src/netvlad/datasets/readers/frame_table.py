"""``positions.csv`` beside the frames of videos: where and when each was taken."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.tables import TableRow, read_rows
from netvlad.errors import DataError
from netvlad.storage import written_beside

TABLE_NAME = "positions.csv"
"""The table's name in a folder of frames."""

_COLUMNS = ("image", "latitude", "longitude", "altitude", "heading", "time", "frame")
# A tenth of a millimetre to a centimetre, so that nothing is lost that a receiver knows.
_DIGITS = {"latitude": 8, "longitude": 8, "altitude": 2, "heading": 2, "time": 3}


@dataclass(frozen=True, eq=False)
class FrameTable:
    """M frames of one video, in their order.

    Attributes:
        images: M file names: the video's name, ``_``, and the frame's number in six digits.
        frames: (M,) int64 number of each in the video, counted from 0.
        latitude: (M,) WGS84 degrees.
        longitude: (M,) WGS84 degrees.
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


def image_name(video_name: str, frame: int) -> str:
    """The file of a frame: ``ride_000123.jpg`` is frame 123 of ``ride.mp4``, counted from 0."""
    return f"{video_name}_{frame:06d}.jpg"


def is_image_of(video_name: str, image: str) -> bool:
    """Whether :func:`image_name` can have made ``image`` for this video."""
    return re.fullmatch(re.escape(video_name) + r"_\d{6,}\.jpg", image) is not None


def write_frame_table(folder: Path, video_name: str, table: FrameTable) -> None:
    """Write the frames of a video into the folder's table; those of other videos stay there.

    Raises:
        DataError: there is a table of that name that this function did not write.
        StorageError: it cannot be written.
    """
    path = folder / TABLE_NAME
    others = [
        [row.cells.get(column, "") for column in _COLUMNS]
        for row in _rows(path)
        if not is_image_of(video_name, row.cells.get("image", ""))
    ]
    with (
        written_beside(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(others)
        for i, image in enumerate(table.images):
            numbers = [_text(getattr(table, name)[i], digits) for name, digits in _DIGITS.items()]
            writer.writerow([image, *numbers, int(table.frames[i])])


def read_frame_table(folder: Path, video_name: str) -> FrameTable:
    """Read the frames of one video from the folder's table; none where there is no table.

    Raises:
        DataError: there is another table of that name.
    """
    rows = [
        row
        for row in _rows(folder / TABLE_NAME)
        if is_image_of(video_name, row.cells.get("image", ""))
    ]
    columns = {name: np.array([row.number(name) for row in rows], np.float64) for name in _DIGITS}
    return FrameTable(
        images=tuple(row.cells["image"] for row in rows),
        frames=np.array([row.number("frame") for row in rows], np.float64).astype(np.int64),
        latitude=columns["latitude"],
        longitude=columns["longitude"],
        altitude=columns["altitude"],
        heading=columns["heading"],
        time=columns["time"],
    )


def _rows(path: Path) -> Sequence[TableRow]:
    if not path.exists():
        return ()
    header, rows = read_rows(path, _COLUMNS)
    if tuple(header) != _COLUMNS:
        raise DataError(
            f"{path}: is a table of something else than frames of videos; choose another folder"
        )
    return rows


def _text(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
