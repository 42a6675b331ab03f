import json

import numpy as np
import pytest
from tests.made_videos import ORIGIN, START, number_shown, write_track, write_video

from netvlad.datasets import open_dataset
from netvlad.datasets.checking import check_dataset
from netvlad.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/netvlad/frames"


@pytest.fixture
def root(tmp_path):
    """Three videos of 6 s at 4 m/s to the east; the queries' is 3 m farther north."""
    root = tmp_path / "data"
    for name, suffix, north, width in (
        ("database/b", ".avi", 0, 64),
        ("database/a", ".mp4", 0, 80),
        ("queries/q", ".MOV", 3, 96),
    ):
        # OpenCV writes by suffixes in lower case.
        video = write_video(root / f"test/{name}{suffix.lower()}", 60, size=(width, 48))
        video.rename(video.with_suffix(suffix))
        write_track(video.with_suffix(".gpx"), range(8), lambda s, north=north: (4 * s, north))
    return root


def choose(root, role, **settings):
    (root / f"test/{role}/video.json").write_text(json.dumps(settings))


def test_frames_with_their_places(root, cache):
    dataset = open_dataset("video", root, "test")
    # 24 m, a frame every 5 m: every 12.5 frames.
    numbers = [0, 13, 25, 38, 50]
    assert [number_shown(dataset.database.path(i)) for i in range(10)] == numbers * 2
    assert [number_shown(dataset.queries.path(i)) for i in range(5)] == numbers
    assert dataset.database.labels["sequence"].tolist() == ["a"] * 5 + ["b"] * 5
    assert dataset.queries.labels["frame"].tolist() == [str(number) for number in numbers]
    seconds = np.array(numbers) / 10
    for images, north in ((dataset.database.subset(range(5)), 0), (dataset.queries, 3)):
        expected = np.stack([4 * seconds, np.full(5, north)], axis=1) + ORIGIN
        np.testing.assert_allclose(images.positions, expected, atol=0.01)
        np.testing.assert_allclose(images.headings, 90, atol=1)
        np.testing.assert_allclose(images.times, START + seconds, atol=1e-3)
        assert images.utm_zone == "31N" and images.root == cache
    assert (dataset.name, dataset.split, dataset.notes) == ("video", "test", ())
    assert open_dataset("video", root, "test", utm_zone="30N").queries.utm_zone == "30N"
    assert check_dataset("video", root).is_sound
    assert sorted(f.suffix.lower() for f in (root / "test/database").iterdir()) == [
        ".avi", ".gpx", ".gpx", ".mp4",
    ]  # fmt: skip


def test_frames_are_written_once_until_something_changes(root, cache):
    def images():
        return {path: path.stat().st_mtime_ns for path in cache.glob("*/*.jpg")}

    open_dataset("video", root, "test")
    first = images()
    open_dataset("video", root, "test")
    assert images() == first and len(first) == 15
    write_track(root / "test/queries/q.gpx", range(8), lambda s: (2 * s, 3))
    assert len(open_dataset("video", root, "test").queries) == 3
    choose(root, "database", every_m=10)
    assert len(open_dataset("video", root, "test").database) == 2 * 3
    assert first.items() <= images().items()


def test_video_json_chooses(root):
    choose(root, "database", every_s=2, offset_s={"b.avi": 1.5, "a.mp4": -1})
    choose(root, "queries", offset_s={"q.MOV": 4}, max_gap_s=1)
    dataset = open_dataset("video", root, "test")
    assert dataset.database.labels["frame"].tolist() == ["20", "40", "0", "20", "40"]
    seconds = dataset.database.times - START
    np.testing.assert_allclose(seconds, [1, 3, 1.5, 3.5, 5.5], atol=1e-3)
    np.testing.assert_allclose(dataset.queries.times - START, [4, 5.3, 6.5], atol=1e-3)
    assert [note[:25] for note in dataset.notes] == ["3 of 6 s of q.MOV are not"]


@pytest.mark.parametrize(
    ("settings", "trouble"),
    [
        ([], "must be like"),
        ({"offset_s": 2}, "must be like"),
        ({"every": 2}, "every is no setting; there are every_m, every_s, offset_s, max_gap_s"),
        ({"every_m": "5"}, "every_m is '5'; give a number"),
        ({"every_m": True}, "every_m is True; give a number"),
        ({"every_m": 0}, "every_m is 0"),
        ({"every_m": 1, "every_s": 1}, "give either every_m"),
        ({"offset_s": {"a": 2}}, "offset_s names a, which is not there"),
        ({"offset_s": {"a.mp4": None}}, r"a\.mp4 is None; give a number"),
        ({"max_gap_s": 0}, "max_gap_s is 0"),
    ],
)
def test_settings_that_make_no_sense(root, cache, settings, trouble):
    (root / "test/database/video.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match=rf"database/video\.json: .*{trouble}"):
        open_dataset("video", root, "test")
    assert not cache.exists()


def test_files_that_are_missing(root, cache):
    (root / "test/queries/q.gpx").unlink()
    with pytest.raises(DataError, match=r"q\.gpx: no such file; lay the track of q\.MOV there"):
        open_dataset("video", root, "test")
    (root / "test/queries/q.MOV").unlink()
    with pytest.raises(DataError, match="queries: has no videos; expected <split>/"):
        open_dataset("video", root, "test")
    with pytest.raises(DataError, match="val/database: no such folder; expected <split>/"):
        open_dataset("video", root, "val")
    assert not cache.exists()


def test_the_cache_of_somebody_without_the_variable(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in (None, "relative"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if value:
            monkeypatch.setenv("XDG_CACHE_HOME", value)
        dataset = open_dataset("video", root, "test")
        assert dataset.queries.root == tmp_path / "home/.cache/netvlad/frames"
