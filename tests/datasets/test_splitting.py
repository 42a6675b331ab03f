"""Strips against brute force: every pair of photos is measured."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.made_photos import mosaic

from netvlad.datasets import open_dataset
from netvlad.datasets.checking import check_dataset
from netvlad.datasets.readers.csv_table import write_csv_split
from netvlad.datasets.splitting import (
    SplitSettings,
    Strips,
    copies_among,
    split_strips,
    write_strips,
)
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, PlaceDataset


def town(photos: int, seed: int = 0, tilt: float = 0.6) -> np.ndarray:
    """Photos of a street of 3 km and its side streets, three or so at each stop."""
    random = np.random.default_rng(seed)
    stops = random.uniform([-1500, -150], [1500, 150], (photos // 3, 2))
    taken = stops[random.integers(0, len(stops), photos)] + random.normal(0, 2, (photos, 2))
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return taken @ turn + [400_000, 5_700_000]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gap_m", [30.0, 50.0, 200.0])
def test_no_place_leaks_and_every_query_has_a_positive(seed: int, gap_m: float) -> None:
    positions = town(600, seed)
    strips = split_strips(positions, SplitSettings(gap_m=gap_m, seed=seed))
    away = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    for a in range(3):
        for b in range(a):
            assert away[np.ix_(strips.split == a, strips.split == b)].min() >= gap_m
        queries = (strips.split == a) & strips.is_query
        database = (strips.split == a) & ~strips.is_query
        assert queries.sum() > 0
        assert away[np.ix_(queries, database)].min(axis=1).max() <= 10
    assert strips.in_gap == (strips.split == -1).sum()
    assert strips.is_query[strips.split == -1].sum() == 0


def test_the_shares_are_met_along_the_longer_axis() -> None:
    positions = town(3000)
    strips = split_strips(positions, SplitSettings(val=0.2, test=0.3))
    sizes = np.array([(strips.split == number).sum() for number in range(3)])
    np.testing.assert_allclose(sizes / 3000, [0.5, 0.2, 0.3], atol=0.08)
    along = (positions - positions.mean(axis=0)) @ [np.cos(0.6), np.sin(0.6)]
    ranges = [np.ptp(along[strips.split == number]) for number in range(3)]
    assert sum(ranges) < np.ptp(along)  # strips side by side, across the long axis


def test_a_cut_lies_where_nothing_is_lost() -> None:
    blocks = np.concatenate([np.repeat(np.arange(20.0), 4), 500 + np.repeat(np.arange(22.0), 4)])
    positions = np.stack([blocks, np.zeros(len(blocks))], axis=1)
    strips = split_strips(positions, SplitSettings(val=0, test=0.5, place_m=0.0))
    assert strips.names == ("train", "test") and strips.in_gap == 0
    assert np.bincount(strips.split).tolist() == [80, 88]
    assert strips.places == (20, 22)


def test_the_share_of_queries_of_each_place() -> None:
    positions = np.repeat(np.stack([np.arange(40.0) * 100, np.zeros(40)], axis=1), 10, axis=0)
    strips = split_strips(positions, SplitSettings(query_share=0.3))
    kept = strips.split >= 0
    per_place = strips.is_query.reshape(40, 10).sum(axis=1)
    assert set(per_place[kept.reshape(40, 10)[:, 0]]) == {3}


def test_photos_without_position_are_left_out() -> None:
    positions = town(300)
    strange = np.insert(positions, [0, 150], np.nan, axis=0)
    strips, plain = split_strips(strange), split_strips(positions)
    assert strips.without_position == 2
    assert np.array_equal(np.delete(strips.split, [0, 151]), plain.split)
    assert strips.split[[0, 151]].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("positions", "settings", "message"),
    [
        (np.full((9, 2), np.nan), SplitSettings(), "no photo has a position"),
        (np.zeros((1, 2)), SplitSettings(), "val would have 0 places|train would have 0 places"),
        (np.zeros((50, 2)), SplitSettings(), "would have 0 places, fewer than 5"),
        (town(300), SplitSettings(gap_m=2000), "a smaller --gap-m"),
        (np.arange(600.0).reshape(-1, 2) * 20, SplitSettings(), "no queries.*larger --place-m"),
    ],
)
def test_too_little_is_refused(
    positions: np.ndarray, settings: SplitSettings, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        split_strips(positions, settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"val": 0.6, "test": 0.6},
        {"val": 0.0, "test": 0.0},
        {"val": -0.1},
        {"gap_m": 25.0},
        {"gap_m": float("nan")},
        {"place_m": 26.0},
        {"query_share": 1.0},
    ],
)
def test_settings_without_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SplitSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("relative", [False, True])
def test_the_tables_are_read_back(tmp_path: Path, relative: bool) -> None:
    positions = town(240)
    names = tuple(f"photos/{i}, «north».png" for i in range(240))
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(names):
        Image.fromarray(mosaic(i, 0)[:8, :8] + np.uint8(i)).save(tmp_path / name)
    headings = np.arange(240.0)
    headings[5] = np.nan
    photos = ImageSet(tmp_path, names, positions, headings, headings * 1e7, "31N")
    strips = split_strips(positions)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("photos/*")}
    tables = write_strips(tmp_path / "out/here", photos, strips, relative=relative)
    assert [path.name for path in tables] == ["train.csv", "val.csv", "test.csv"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("photos/*")} == before
    assert str(tmp_path) in tables[0].read_text() or relative
    _compare(photos, strips, tmp_path / "out/here")
    assert check_dataset("csv", tmp_path / "out/here", fast=True).is_sound
    with pytest.raises(SettingsError, match=r"train\.csv: exists already"):
        write_strips(tmp_path / "out/here", photos, strips)


def test_copies_among_photos(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "copy of a.png", "c.png", "again a.png"]
    for name, place in zip(names, (0, 1, 0, 2, 0), strict=True):
        Image.fromarray(mosaic(place, 0)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"")
    paths = [tmp_path / name for name in [*names, "not there", "nor this", "b.png"]]
    copies = copies_among(paths)
    assert np.flatnonzero(copies).tolist() == [2, 4]


def _compare(photos: ImageSet, strips: Strips, folder: Path) -> None:
    for number, split in enumerate(strips.names):
        dataset = open_dataset("csv", folder, split)
        for read, is_query in ((dataset.database, False), (dataset.queries, True)):
            members = np.flatnonzero((strips.split == number) & (strips.is_query == is_query))
            written = photos.subset(members)
            assert [read.path(i).resolve() for i in range(len(read))] == [
                written.path(i).resolve() for i in range(len(written))
            ]
            np.testing.assert_allclose(read.positions, written.positions, atol=6e-4)
            np.testing.assert_allclose(read.headings, written.headings, atol=6e-4)
            np.testing.assert_allclose(read.times, written.times)
            assert read.utm_zone == "31N"


@pytest.mark.parametrize("name", ["a\\b.jpg", "a.jpg ", "\udcff.jpg"])
def test_a_name_that_no_table_can_hold(tmp_path: Path, name: str) -> None:
    images = ImageSet(tmp_path, (name,), np.zeros((1, 2)))
    with pytest.raises(DataError, match="rename the image"):
        write_csv_split(tmp_path / "t.csv", PlaceDataset("csv", "t", images, images))
    assert list(tmp_path.iterdir()) == []
