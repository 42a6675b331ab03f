"""Frames of a ride, from the command line to an index."""

from pathlib import Path

import pytest
from tests.made_videos import write_track, write_video

from netvlad.cli.main import main
from netvlad.index.photos import collect_photos


@pytest.fixture
def ride(tmp_path: Path) -> Path:
    """6 s at 4 m/s."""
    write_track(tmp_path / "ride.gpx", range(8), lambda s: (4 * s, 0))
    return write_video(tmp_path / "ride.avi", 60)


def frames(ride: Path, *flags: object) -> int:
    folder = ride.parent / "frames"
    track = ride.with_suffix(".gpx")
    try:
        main(
            ["datasets", "frames", *map(str, (ride, "--track", track, "--output", folder, *flags))]
        )
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def numbers(ride: Path) -> list[int]:
    return sorted(int(file.stem.split("_")[1]) for file in (ride.parent / "frames").glob("*.jpg"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), [0, 13, 25, 38, 50]),
        (("--every-m", 10), [0, 25, 50]),
        (("--every-s", 1, "--offset-s", 4.5), [0, 10, 20]),
        (("--every-s", 2, "--max-gap-s", 1), [0, 20, 40]),
    ],
)
def test_frames(
    ride: Path, flags: tuple[object, ...], expected: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert frames(ride, *flags) == 0
        told = capsys.readouterr()
        count = len(expected)
        table = ride.parent / "frames/positions.csv"
        assert told.out == f"{table}: {count} frames of ride.avi with their positions\n"
        assert ("not on the track" in told.err) == ("--offset-s" in flags)
    assert numbers(ride) == expected


def test_an_index_finds_the_positions(ride: Path) -> None:
    assert frames(ride) == 0
    folder = ride.parent / "frames"
    collection = collect_photos([folder], positions=folder / "positions.csv")
    assert len(collection.places) == 5
    assert collection.places.has_position.all()


def test_bad_input_is_one_line(ride: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, trouble in (
        (("--every-m", 5, "--every-s", 1), "either every_m"),
        (("--every-s", 0), "every_s is 0"),
        (("--offset-s", 100), "no frame lies on the track"),
    ):
        assert frames(ride, *flags) == 2
        told = capsys.readouterr().err
        # The bar's stage may stand before it.
        assert trouble in told.splitlines()[-1] and told.splitlines()[-1].startswith("netvlad: ")
    ride.write_text("no video")
    assert frames(ride) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert numbers(ride) == []
