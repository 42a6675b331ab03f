"""Videos with GPX tracks, known before OpenCV and gpxpy are: these come when a video is opened."""

from pathlib import Path

from netvlad.types import PlaceDataset

LAYOUT = "<split>/{database,queries}/NAME.mp4 (or avi, mov, mkv, webm) with NAME.gpx beside it"


def read_video_later(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open videos as two sets of frames, see :func:`netvlad.datasets.readers.video.read_video`."""
    from netvlad.datasets.readers.video import read_video  # noqa: PLC0415 - brings OpenCV, gpxpy

    return read_video(root, split, utm_zone=utm_zone)
