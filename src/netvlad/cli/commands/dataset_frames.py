"""``netvlad datasets frames``: images with positions, of a video with a GPX track."""

from pathlib import Path

from netvlad.cli.console import reporting, show
from netvlad.datasets.readers.gpx_track import MAX_GAP_S, FrameChoice
from netvlad.datasets.readers.video import EVERY_M
from netvlad.datasets.readers.video_frames import TABLE_NAME, FrameRequest, write_frames
from netvlad.types import counted


def frames(
    video: Path,
    /,
    *,
    track: Path,
    output: Path,
    every_m: float | None = None,
    every_s: float | None = None,
    offset_s: float = 0.0,
    max_gap_s: float = MAX_GAP_S,
) -> None:
    """Take frames of a video, and say where each was taken, by its GPX track.

    ```
    netvlad datasets frames ride.mp4 --track ride.gpx --output frames/ --every-m 5
    netvlad index build frames/ --positions frames/positions.csv --index my.index
    ```

    Writes JPEG files called after the video and the number of the frame (ride_000123.jpg), and
    positions.csv. Repeated, it resumes where it stopped. Several videos may share a folder. Parts
    of the video that are not on the track give no frames.

    Args:
        video: The video: mp4, avi, mov, mkv, webm or whatever else FFmpeg reads.
        track: The GPX file; its points need times.
        output: The folder of the frames.
        every_m: A frame every so many metres [default: 5, unless --every-s is given]. None while
            standing.
        every_s: A frame every so many seconds.
        offset_s: Seconds after the track's first point at which the video begins; negative if it
            began before.
        max_gap_s: Between points of the track farther apart in time than this the position is
            unknown.
    """
    if every_m is None and every_s is None:
        every_m = EVERY_M
    choice = FrameChoice(every_m=every_m, every_s=every_s)
    request = FrameRequest(video, track, choice, offset_s, max_gap_s)
    with reporting() as report:
        made = write_frames(request, output, report=report)
    show(
        f"{output / TABLE_NAME}: {counted(len(made.table), 'frames')} of {video.name} with "
        "their positions"
    )
