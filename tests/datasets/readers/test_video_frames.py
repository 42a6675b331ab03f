import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.made_videos import (
    ORIGIN,
    START,
    hold_sideways,
    number_shown,
    slow_down,
    write_track,
    write_video,
)

from netvlad.datasets.readers.gpx_track import FrameChoice
from netvlad.datasets.readers.video_frames import (
    FrameRequest,
    VideoFile,
    read_frame_table,
    write_frames,
)
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.geography import to_utm
from netvlad.index.position_table import match, read_position_table
from netvlad.storage import locked
from netvlad.types import Note, Progress

EVERY_5_M = FrameChoice(every_m=5)
EVERY_S = FrameChoice(every_s=1)


@pytest.fixture
def ride(tmp_path):
    """12 s at 10 frames a second; 4 m/s to the east, but for 3 s from second 5 on."""
    write_track(tmp_path / "ride.gpx", range(16), lambda s: (4 * (min(s, 5) + max(0, s - 8)), 0))
    return write_video(tmp_path / "ride.mp4", 120)


def write(video, choice=EVERY_5_M, *, to="frames", report=None, **settings):
    request = FrameRequest(video, video.with_suffix(".gpx"), choice, **settings)
    folder = video.parent / to
    return write_frames(request, folder, **({"report": report} if report else {}))


def east(table):
    positions, _ = to_utm(table.latitude, table.longitude, "31N")
    np.testing.assert_allclose(positions[:, 1], ORIGIN[1], atol=0.01)
    return positions[:, 0] - ORIGIN[0]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_frames_by_distance(ride, suffix):
    video = write_video(ride.parent / f"ride{suffix}", 120)
    frames = write(video)
    # 5 m are 1.25 s: the first frame that is not before; 20 m at 5 s, 25 m at 9.25 s.
    numbers = [0, 13, 25, 38, 50, 93, 105, 118]
    assert frames.table.frames.tolist() == numbers
    assert frames.table.images == tuple(f"ride_{number:06d}.jpg" for number in numbers)
    assert [number_shown(frames.folder / image) for image in frames.table.images] == numbers
    seconds = np.array(numbers) / 10
    np.testing.assert_allclose(frames.table.time, START + seconds, atol=1e-3)
    metres = 4 * (np.minimum(seconds, 5) + np.maximum(0, seconds - 8))
    np.testing.assert_allclose(east(frames.table), metres, atol=0.01)
    np.testing.assert_allclose(frames.table.altitude, 10 + seconds, atol=0.01)
    np.testing.assert_allclose(frames.table.heading, 90, atol=1)
    assert frames.notes == ()


def test_the_table_is_one_that_an_index_reads(ride):
    frames = write(ride, EVERY_S)
    table = read_position_table(frames.folder / "positions.csv")
    files = [frames.folder / image for image in frames.table.images]
    assert match(table, files, []).rows.tolist() == list(range(12))
    np.testing.assert_allclose(table.latitude, frames.table.latitude, atol=1e-8)
    np.testing.assert_allclose(table.altitude, 10 + np.arange(12), atol=0.01)
    np.testing.assert_allclose(table.time, START + np.arange(12), atol=1e-3)
    # From 6 to 7 s nothing moves within a second either way.
    assert np.flatnonzero(np.isnan(table.heading)).tolist() == [6, 7]


@pytest.mark.parametrize(
    ("offset_s", "seconds", "note"),
    [(0.0, range(12), ()), (2.5, range(12), ()), (6, range(10), ("3 of 12 s",)),
     (-3.25, range(4, 12), ("3 of 12 s",))],
)  # fmt: skip
def test_by_time_with_an_offset(ride, offset_s, seconds, note):
    frames = write(ride, EVERY_S, offset_s=offset_s)
    assert frames.table.frames.tolist() == [10 * s for s in seconds]
    np.testing.assert_allclose(frames.table.time, START + offset_s + np.array(seconds), atol=1e-3)
    moving = np.array(seconds) + offset_s
    metres = 4 * (np.minimum(moving, 5) + np.maximum(0, moving - 8))
    np.testing.assert_allclose(east(frames.table), metres, atol=0.01)
    assert [n for n in frames.notes if "not on the track" not in n] == []
    assert all(text in told for text, told in zip(note, frames.notes, strict=True))


def test_no_frames_in_gaps(ride):
    write_track(ride.with_suffix(".gpx"), [0, 1, 2, 9, 10, 11, 12], lambda s: (4 * s, 0))
    frames = write(ride, EVERY_S, max_gap_s=5)
    assert frames.table.frames.tolist() == [0, 10, 20, 90, 100, 110]
    assert "7 of 12 s of ride.mp4 are not on the track, or in its gaps of more" in frames.notes[0]
    assert len(write(ride, EVERY_S, to="all").table) == 12


def test_a_changing_frame_rate_is_followed(ride):
    slow_down(ride, 40, 3)  # frame n >= 40 is shown at 4 + 0.3 (n - 40) s
    frames = write(ride, EVERY_S)
    # The first that are not before the full second; the file still says that it lasts 12 s.
    numbers = [0, 10, 20, 30, 40, 44, 47, 50, 54, 57, 60, 64]
    assert frames.table.frames.tolist() == numbers
    expected = [n / 10 if n < 40 else 4 + 0.3 * (n - 40) for n in numbers]
    np.testing.assert_allclose(frames.table.time - START, expected, atol=1e-3)
    assert number_shown(frames.folder / "ride_000050.jpg") == 50


def test_pictures_are_upright(ride):
    hold_sideways(ride)
    frames = write(ride)
    with Image.open(frames.folder / frames.table.images[0]) as picture:
        assert picture.size == (48, 64)


def test_fewer_frames_than_moments(ride):
    frames = write(ride, FrameChoice(every_s=0.03))
    assert frames.table.frames.tolist() == list(range(120))


def test_a_stopped_run_goes_on(ride, monkeypatch):
    encoded = []
    encode = cv2.imencode

    def counted(*arguments):
        if len(encoded) == 3:
            raise KeyboardInterrupt
        encoded.append(1)
        return encode(*arguments)

    monkeypatch.setattr(cv2, "imencode", counted)
    with pytest.raises(KeyboardInterrupt):
        write(ride)
    folder = ride.parent / "frames"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.jpg")}
    assert len(kept) == 3 and not (folder / "positions.csv").exists()
    monkeypatch.setattr(cv2, "imencode", encode)
    frames = write(ride)
    assert frames.table.frames.tolist() == [0, 13, 25, 38, 50, 93, 105, 118]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))
    # Finished: nothing is opened again, unless an image is gone.
    monkeypatch.setattr(cv2, "VideoCapture", None)
    again = write(ride)
    assert again.table.images == frames.table.images
    np.testing.assert_allclose(again.table.latitude, frames.table.latitude, atol=1e-8)
    monkeypatch.undo()
    (folder / "ride_000050.jpg").unlink()
    assert len(write(ride).table) == 8 and number_shown(folder / "ride_000050.jpg") == 50


def test_other_settings_and_foreign_images_are_refused(ride):
    write(ride)
    before = sorted((ride.parent / "frames").iterdir())
    for settings in ({"choice": EVERY_S}, {"offset_s": 1.0}, {"max_gap_s": 5.0}):
        with pytest.raises(DataError, match="frames: has frames of another ride, or of this one"):
            write(ride, **settings)
    assert sorted((ride.parent / "frames").iterdir()) == before
    (ride.parent / "own").mkdir()
    (ride.parent / "own/ride_000000.jpg").touch()
    with pytest.raises(DataError, match=r"ride_000000\.jpg: is there already; choose another"):
        write(ride, to="own")
    (ride.parent / "table").mkdir()
    (ride.parent / "table/positions.csv").write_text("image,latitude,longitude\n")
    with pytest.raises(DataError, match=r"positions\.csv: is a table of something else"):
        write(ride, to="table")
    assert not list((ride.parent / "table").glob("*.jpg"))
    with (
        locked(ride.parent / "taken", "writing frames"),
        pytest.raises(StorageError, match="another process is writing frames here"),
    ):
        write(ride, to="taken")


def test_several_videos_share_a_folder(ride):
    other = write_video(ride.parent / "ride_1.avi", 40)
    other.with_suffix(".gpx").write_bytes(ride.with_suffix(".gpx").read_bytes())
    first, second = write(ride), write(other)
    for name, frames in (("ride", first), ("ride_1", second)):
        table = read_frame_table(frames.folder, name)
        assert table.images == frames.table.images
        np.testing.assert_array_equal(table.frames, frames.table.frames)
    assert len(read_position_table(first.folder / "positions.csv")) == 8 + 4


def test_a_video_that_breaks_off(ride):
    video = write_video(ride.parent / "ride.avi", 120)
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 6 // 10])
    frames = write(video, EVERY_S)
    numbers = frames.table.frames.tolist()
    assert 30 <= numbers[-1] < 80 and numbers == list(range(0, numbers[-1] + 1, 10))
    assert "ride.avi breaks off after" in frames.notes[0] and "of 12.0 s" in frames.notes[0]
    assert write(video, EVERY_S).notes == frames.notes


def test_damaged_frames_are_counted(ride, monkeypatch):
    picture = VideoFile.picture
    times = iter(range(100))
    monkeypatch.setattr(
        VideoFile, "picture", lambda video: None if next(times) in (1, 4) else picture(video)
    )
    frames = write(ride)
    assert frames.table.frames.tolist() == [0, 25, 38, 93, 105, 118]
    assert frames.notes == ("ride.mp4: 2 frames could not be decoded and were left out.",)


def test_files_that_are_no_videos(ride, capfd):
    cut = ride.parent / "cut.mp4"
    cut.write_bytes(ride.read_bytes()[:2000])
    (ride.parent / "text.mp4").write_text("text")
    for name in ("cut", "text"):
        (ride.parent / f"{name}.gpx").write_bytes(ride.with_suffix(".gpx").read_bytes())
        with pytest.raises(DataError, match=f"{name}.mp4: cannot .* re-encode it: ffmpeg -i"):
            write(ride.parent / f"{name}.mp4", to=name)
        assert not (ride.parent / name).exists()
    assert "VIDEOIO" not in capfd.readouterr().err
    with pytest.raises(DataError, match=r"none\.mp4: cannot be read: No such file"):
        write(ride.parent / "none.mp4")
    ride.with_suffix(".gpx").unlink()
    with pytest.raises(DataError, match=r"ride\.gpx: cannot be read: No such file"):
        write(ride)


def test_a_video_beside_the_track(ride):
    for offset_s in (-20, 16):
        with pytest.raises(
            DataError, match=r"no frame lies on the track ride\.gpx, which lasts 15"
        ):
            write(ride, offset_s=offset_s)
    # Nothing was written, so nothing is in the way of another try.
    assert len(write(ride).table) == 8


def test_settings_and_names_that_make_no_sense(ride):
    with pytest.raises(SettingsError, match="offset_s is nan"):
        write(ride, offset_s=float("nan"))
    for gap in (0, float("inf"), float("nan")):
        with pytest.raises(SettingsError, match=f"max_gap_s is {gap}; give"):
            write(ride, max_gap_s=gap)
    for name in (".ride.mp4", "ri\\de.mp4", "ride .mp4", "ri\nde.mp4"):
        with pytest.raises(DataError, match="frames cannot be called after it"):
            FrameRequest(Path(name), Path("ride.gpx"), EVERY_S)


def test_progress_counts_frames(ride):
    events = []
    write(ride, report=events.append)
    assert {(event.stage, event.total, event.unit) for event in events} == {
        ("Frames of ride.mp4", 8, "frames")
    }
    assert [event.done for event in events] == list(range(9))
    ride.with_suffix(".gpx").write_text(
        ride.with_suffix(".gpx")
        .read_text()
        .replace("</trkseg>", "<trkpt lat='0' lon='0'/></trkseg>")
    )
    events.clear()
    write(ride, to="again", report=events.append)
    assert isinstance(events[-2], Progress)
    assert events[-1] == Note("ride.gpx: 1 points without a time were left out.")


def test_a_full_disk_is_told_in_a_line(ride, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"ride_000000\.jpg: cannot be written: No space left"):
        write(ride)
    monkeypatch.undo()
    assert len(write(ride).table) == 8
