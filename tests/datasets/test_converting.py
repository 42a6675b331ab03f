"""Round trips: what is written must be read back by our own readers as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netvlad.datasets import open_dataset
from netvlad.datasets.converting import convert_dataset, utm_name
from netvlad.datasets.readers.dbstruct import read_dbstruct
from netvlad.datasets.readers.utm_names import parse_utm_name
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, Neighbours, Note, PlaceDataset

NAMES = (
    "a/same name.png",
    "b/same name.png",
    "c/@with@ats.png",
    "d/«é».png",
    "e/" + "x" * 90 + ".png",
)


def make(root: Path, zone: str | None = "31N", north: float = 5_788_000.0) -> PlaceDataset:
    """Three database images and two queries, each of another colour."""
    positions = np.array([[303_000.1234 + 100 * i, north + 7.5 * i] for i in range(5)])
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (50 * i, 0, 0)).save(root / name)
    headings = np.array([0.0, 359.5, np.nan, 12.25, 90.0])
    times = np.array([0.0, 201307.0, np.nan, 1.5, 3.0])
    images = ImageSet(root, NAMES, positions, headings, times, zone)
    database, queries = images.subset([0, 1, 2]), images.subset([3, 4])
    return PlaceDataset("made", "val", database, queries, radius_m=20.0, train_radius_m=8.0)


def colours(images: ImageSet) -> list[int]:
    """What is really in the files, in their order."""
    return [Image.open(images.path(i)).getpixel((0, 0))[0] // 50 for i in range(len(images))]  # type: ignore[index]


def assert_same(read: PlaceDataset, written: PlaceDataset, *, headings: bool = True) -> None:
    for ours, theirs in ((read.database, written.database), (read.queries, written.queries)):
        # Names decide the order of some layouts; the colours tell which image is which.
        order, expected = np.argsort(colours(ours)), np.argsort(colours(theirs))
        assert sorted(colours(ours)) == sorted(colours(theirs))
        a, b = ours.subset(order), theirs.subset(expected)
        np.testing.assert_allclose(a.positions, b.positions, atol=6e-4)  # type: ignore[arg-type]
        np.testing.assert_allclose(a.times, b.times)  # type: ignore[arg-type]
        if headings:
            np.testing.assert_allclose(a.headings, b.headings, atol=6e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize(
    ("zone", "north"), [("31N", 5_788_000.0), ("56S", 6_950_000.0), ("31N", -50.0), (None, 17.0)]
)
def test_utm_names(tmp_path: Path, copy: bool, zone: str | None, north: float) -> None:
    dataset = make(tmp_path / "in", zone, north)
    made = convert_dataset(dataset, "utm-names", tmp_path / "out", copy=copy)
    assert made == tmp_path / "out/images/val"
    read = open_dataset("utm-names", tmp_path / "out", "val")
    assert_same(read, dataset)
    assert read.database.utm_zone == zone and read.notes == ()
    assert all(read.database.path(i).is_symlink() != copy for i in range(3))
    again = make(tmp_path / "in", zone, north)
    assert colours(again.database) == [0, 1, 2]


def test_csv(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    convert_dataset(dataset, "csv", tmp_path / "out")
    read = open_dataset("csv", tmp_path / "out", "val")
    assert_same(read, dataset)
    assert read.queries.utm_zone == "31N"


def test_mat(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    path = convert_dataset(dataset, "mat", tmp_path / "out")
    read = open_dataset("pitts30k", tmp_path / "out", "val", utm_zone="31N")
    assert_same(read, dataset, headings=False)
    assert (read.radius_m, read.train_radius_m) == (20.0, 8.0)
    struct = read_dbstruct(path)
    assert (struct.which_set, struct.num_images, struct.num_queries) == ("val", 3, 2)


def test_from_one_layout_to_the_next_and_back(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    convert_dataset(dataset, "mat", tmp_path)
    convert_dataset(open_dataset("pitts30k", tmp_path, "val", utm_zone="31N"), "csv", tmp_path)
    convert_dataset(open_dataset("csv", tmp_path, "val"), "utm-names", tmp_path)
    assert_same(open_dataset("utm-names", tmp_path, "val"), dataset, headings=False)


def test_the_name_of_an_image() -> None:
    images = ImageSet(Path(), ("x/p.JPG",), np.array([[585_001.5, 4_476_900.0]]), utm_zone="17N")
    name = utm_name(images, 0, (40.4367, -79.9973), 7)
    assert name == "@585001.500@4476900.000@17@T@40.436700@-79.997300@@@@@@@@0000007 p@.jpg"
    assert parse_utm_name(name) == (
        585_001.5,
        4_476_900.0,
        "17N",
        pytest.approx(np.nan, nan_ok=True),
        pytest.approx(np.nan, nan_ok=True),
    )


def test_images_without_position_are_left_out_and_told(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    positions = dataset.database.positions
    assert positions is not None
    positions[1] = np.nan
    notes: list[str] = []
    convert_dataset(
        dataset,
        "utm-names",
        tmp_path / "out",
        report=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert notes == ["1 of 5 images have no position and are left out."]
    assert colours(open_dataset("utm-names", tmp_path / "out", "val").database) == [0, 2]
    positions[:] = np.nan
    with pytest.raises(DataError, match="no image of the database has a position"):
        convert_dataset(dataset, "utm-names", tmp_path / "other")


def test_nothing_is_left_when_an_image_is_missing(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    dataset.queries.path(1).unlink()
    with pytest.raises(DataError, match=r"xxx\.png: is not there"):
        convert_dataset(dataset, "utm-names", tmp_path / "out")
    assert list((tmp_path / "out/images").iterdir()) == []


def test_refusals(tmp_path: Path) -> None:
    dataset = make(tmp_path / "in")
    for to in ("utm-names", "csv", "mat"):
        made = convert_dataset(dataset, to, tmp_path / "out")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match=f"{made}: exists already"):
            convert_dataset(dataset, to, tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="--copy makes no sense with --to csv"):
        convert_dataset(dataset, "csv", tmp_path / "b", copy=True)
    listed = replace(dataset, positives=Neighbours(np.zeros(3, np.int64), np.zeros(0, np.int64)))
    with pytest.raises(DataError, match="image by image"):
        convert_dataset(listed, "csv", tmp_path / "b")
