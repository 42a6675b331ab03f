"""Each fault is planted into a sound data set, and must be the one that is found."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.made_photos import mosaic

from netvlad.datasets import DATASETS, open_dataset
from netvlad.datasets.checking import are_apart, check_dataset, check_splits
from netvlad.datasets.findings import Checkup
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, Neighbours, PlaceDataset, Progress

HEADER = "image,role,easting,northing,zone"


def line(image: str, role: str, easting: float, northing: float = 5_788_000.0) -> str:
    return f"{image},{role},{float(easting)},{northing},31N"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Three splits 500 m apart, each of 6 places with a database image and a query."""
    for number, split in enumerate(("train", "val", "test")):
        (tmp_path / split).mkdir()
        rows = [HEADER]
        for place in range(6):
            for view, role in enumerate(("database", "query")):
                name = f"{split}/{place}_{view}.png"
                Image.fromarray(mosaic(10 * number + place, view)[:40, :48]).save(tmp_path / name)
                rows.append(line(name, role, 303_000 + 500 * number + 30 * place + view))
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def change(table: Path, old: str, new: str) -> None:
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def faults(checkup: Checkup) -> dict[tuple[str, str], int]:
    return {(f.kind, f.split): f.count for f in checkup.findings if f.is_fault}


def both_ways(root: Path, split: str | None = None) -> dict[tuple[str, str], int]:
    found = [faults(check_dataset("csv", root, split=split, fast=fast)) for fast in (False, True)]
    assert found[0] == found[1]
    return found[0]


def test_a_sound_data_set(sound: Path) -> None:
    seen: list[Progress] = []
    checkup = check_dataset("csv", sound, report=seen.append)  # type: ignore[arg-type]
    assert checkup.is_sound and checkup.findings == ()
    assert checkup.splits == ("train", "val", "test")
    assert (checkup.database, checkup.queries) == (18, 18)
    assert (seen[-1].done, seen[-1].total) == (36, 36)
    assert both_ways(sound) == {}


def test_missing_and_damaged_images(sound: Path) -> None:
    (sound / "val/0_0.png").unlink()
    (sound / "val/3_1.png").unlink()
    (sound / "train/1_1.png").write_text("hello")
    (sound / "train/2_1.png").write_bytes(b"")
    assert both_ways(sound) == {("missing", "val"): 2, ("undecodable", "train"): 2}
    worst, second, *_ = check_dataset("csv", sound).findings
    assert worst.examples == (str(sound / "val/0_0.png"), str(sound / "val/3_1.png"))
    assert "1_1.png: is not an image" in second.examples[0] and "empty" in second.examples[1]


def test_only_decoding_finds_a_truncated_image(sound: Path) -> None:
    whole = (sound / "test/4_0.png").read_bytes()
    (sound / "test/4_0.png").write_bytes(whole[: len(whole) // 2])
    assert faults(check_dataset("csv", sound)) == {("undecodable", "test"): 1}
    assert faults(check_dataset("csv", sound, fast=True)) == {}


def test_a_picture_in_two_splits_and_a_query_in_the_database(sound: Path) -> None:
    shutil.copy(sound / "train/0_0.png", sound / "test/2_1.png")
    shutil.copy(sound / "val/5_0.png", sound / "val/1_1.png")
    shutil.copy(sound / "val/3_0.png", sound / "val/4_0.png")
    assert both_ways(sound) == {
        ("image-in-two-splits", "train, test"): 1,
        ("query-in-database", "val"): 1,
    }
    findings = {f.kind: f for f in check_dataset("csv", sound).findings}
    assert findings["image-in-two-splits"].examples == ("train/0_0.png = test/2_1.png",)
    assert findings["query-in-database"].examples == ("val/1_1.png = val/5_0.png",)
    assert findings["repeated"].examples == ("val/3_0.png = val/4_0.png",)


def test_equal_pixels_in_another_file_are_the_same_picture(sound: Path) -> None:
    Image.open(sound / "train/0_0.png").save(sound / "test/0_0.png", compress_level=0)
    kinds = {("image-in-two-splits", "train, test"): 1}
    assert faults(check_dataset("csv", sound)) == kinds
    assert faults(check_dataset("csv", sound, fast=True)) == {}


def test_files_with_equal_ends_are_not_equal(sound: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    for name, first in (("train/0_0.png", 0), ("test/0_0.png", 1)):
        noise[0, 0] = first
        Image.fromarray(noise).save(sound / name, format="BMP")
    # BMP is written from below: the first pixel of the picture is near the end of the file.
    bytes_a, bytes_b = ((sound / s / "0_0.png").read_bytes() for s in ("train", "test"))
    (sound / "train/0_0.png").write_bytes(bytes_a[:60] + b"\1" + bytes_a[61:])
    (sound / "test/0_0.png").write_bytes(bytes_a[:60] + b"\2" + bytes_a[61:])
    assert len(bytes_a) == len(bytes_b) and both_ways(sound) == {}


def test_positions_of_different_splits_within_the_radius(sound: Path) -> None:
    # The last place of train is at 303,150; the first query of val at 303,501.
    change(
        sound / "val.csv",
        line("val/0_1.png", "query", 303_501),
        line("val/0_1.png", "query", 303_175),
    )
    checkup = check_dataset("csv", sound)
    assert faults(checkup) == {("place-in-two-splits", "train, val"): 2}
    assert checkup.findings[0].examples[0] == "train/5_0.png is 25 m from val/0_1.png"
    change(sound / "val.csv", "303175.0", "303176.5")
    assert faults(check_dataset("csv", sound)) == {}


def test_the_rim_of_the_radius_by_brute_force(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    sets = [
        _dataset(tmp_path, split, random.uniform(0, 400, (40, 2)) + 400_000)
        for split in ("train", "test")
    ]
    a, b = (s.database.joined(s.queries).positions for s in sets)
    assert a is not None and b is not None
    near = np.linalg.norm(a[:, None] - b[None], axis=2).min(axis=1) <= 25
    found = {f.kind: f.count for f in check_splits(sets).findings}
    assert 0 < near.sum() < 40 and found["place-in-two-splits"] == near.sum()
    assert "place-in-two-splits" not in {
        f.kind for f in check_splits([sets[0], replace(sets[1], split="train2")]).findings
    }


def test_a_list_of_positives_wants_no_metres(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, "test", np.zeros((40, 2)))
    listed = replace(dataset, positives=Neighbours(np.repeat([0, 19], [2, 19]), np.arange(19)))
    kinds = {f.kind: f.count for f in check_splits([listed]).findings}
    assert kinds == {"queries-without-positives": 19, "missing": 40}
    assert "positions-equal" in {f.kind for f in check_splits([dataset]).findings}


def test_a_split_whose_owners_keep_the_positions(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, "test", np.zeros((4, 2)))
    sets = {"database": dataset.database, "queries": dataset.queries}
    dataset = replace(dataset, **{k: replace(s, positions=None) for k, s in sets.items()})
    kinds = {f.kind: f.is_fault for f in check_splits([dataset]).findings}
    assert kinds == {"missing": True, "no-ground-truth": False}


PLANTED = {
    "unknown": ("303030.0,5788000.0", "303030.0,", "positions-unknown"),
    "far": ("303030.0,5788000.0", "303030.0,5898000.0", "positions-far"),
    "outside": ("303030.0,5788000.0", "9303030.0,5788000.0", "positions-outside-zone"),
    "metres swapped": ("303030.0,5788000.0", "5788000.0,303030.0", "positions-swapped"),
}


@pytest.mark.parametrize(("old", "new", "kind"), PLANTED.values(), ids=list(PLANTED))
def test_an_implausible_position(sound: Path, old: str, new: str, kind: str) -> None:
    change(sound / "train.csv", old, new)
    checkup = check_dataset("csv", sound, split="train", fast=True)
    assert faults(checkup) == {(kind, "train"): 1}
    assert checkup.findings[0].examples[0].startswith("train/1_0.png")
    assert "not-compared" in [finding.kind for finding in checkup.findings]


def test_degrees(sound: Path) -> None:
    rows = [
        f"train/{i}_{v}.png,{r},{30 + i / 1000},{32 + v / 100000}"
        for i in range(6)
        for v, r in enumerate(("database", "query"))
    ]
    good = ["image,role,latitude,longitude", *rows]
    (sound / "train.csv").write_text("\n".join(good))
    assert faults(check_dataset("csv", sound, split="train", fast=True)) == {}
    swapped = good[4].split(",")
    good[4] = ",".join([*swapped[:2], swapped[3], swapped[2]])
    (sound / "train.csv").write_text("\n".join(good))
    found = faults(check_dataset("csv", sound, split="train", fast=True))
    assert found[("positions-swapped", "train")] == 1 and len(found) == 1
    good[4] = ",".join(swapped)
    (sound / "train.csv").write_text("\n".join(["image,role,easting,northing", *rows]))
    assert faults(check_dataset("csv", sound, split="train", fast=True)) == {
        ("positions-are-degrees", "train"): 12
    }


def test_all_eastings_and_northings_swapped(sound: Path) -> None:
    text = (sound / "train.csv").read_text().replace("easting,northing", "northing,easting")
    (sound / "train.csv").write_text(text)
    found = faults(check_dataset("csv", sound, split="train", fast=True))
    assert ("positions-swapped", "train") in found


def test_equal_positions_and_queries_elsewhere(sound: Path) -> None:
    rows = [
        line(f"val/{i}_{v}.png", r, 303_000 + 900 * v)
        for i in range(6)
        for v, r in enumerate(("database", "query"))
    ]
    (sound / "val.csv").write_text("\n".join([HEADER, *rows]))
    assert faults(check_dataset("csv", sound, split="val")) == {("no-positives-at-all", "val"): 6}
    (sound / "val.csv").write_text("\n".join([HEADER, *rows]).replace("303900", "303000"))
    assert faults(check_dataset("csv", sound, split="val")) == {("positions-equal", "val"): 12}


def test_queries_without_positive_are_counted_and_no_fault(sound: Path) -> None:
    change(sound / "test.csv", "304001.0,", "304901.0,")
    checkup = check_dataset("csv", sound)
    assert checkup.is_sound
    assert [(f.kind, f.count, f.of) for f in checkup.findings] == [
        ("queries-without-positives", 1, 6)
    ]


def test_queries_that_are_database_images_by_design(sound: Path) -> None:
    dataset = open_dataset("csv", sound, "val")
    queries = dataset.database.subset([0, 1])
    timeless = replace(dataset, queries=queries)
    assert faults(check_splits([timeless])) == {("query-in-database", "val"): 2}
    sets = {"database": dataset.database, "queries": queries}
    timed = {k: replace(s, times=np.arange(len(s), dtype=float)) for k, s in sets.items()}
    assert check_splits([replace(dataset, **timed)]).is_sound


def test_counts_against_the_published_ones(sound: Path) -> None:
    record = replace(DATASETS["csv"], counts={"val": (6, 6), "test": (7, 6)})
    sets = [open_dataset("csv", sound, split) for split in ("val", "test")]
    checkup = check_splits(sets, record=record)
    assert checkup.is_sound
    assert [(f.kind, f.split) for f in checkup.findings] == [("counts", "test")]


def test_a_damaged_split_is_a_fault_and_an_absent_one_is_none(sound: Path) -> None:
    (sound / "val.csv").write_text("image,role\na.png,database\n")
    assert faults(check_dataset("csv", sound)) == {("cannot-be-opened", "val"): 0}
    with pytest.raises(DataError, match=r"val\.csv: needs the columns"):
        check_dataset("csv", sound, split="val")
    with pytest.raises(SettingsError, match="did you mean csv"):
        check_dataset("cvs", sound)
    with pytest.raises(DataError, match="no such folder"):
        check_dataset("csv", sound / "elsewhere")
    with pytest.raises(SettingsError, match="shows no splits of csv"):
        check_dataset("csv", sound / "val")
    with pytest.raises(DataError, match="no such file"):
        check_dataset("pitts30k", sound)


def test_uses_of_splits() -> None:
    assert are_apart("val", "test") and not are_apart("test_v1", "test_v2")
    assert not are_apart("day_left", "night_right") and not are_apart("test", "list-2760")


def test_real_data(shared: Path) -> None:
    checkup = check_dataset("csv", shared / "data/cambridge", fast=True)
    assert checkup.is_sound and (checkup.database, checkup.queries) == (2508, 1596)
    repeats = {f.split: f.count for f in checkup.findings if f.kind == "repeated"}
    assert sum(repeats.values()) == 16 and len(checkup.findings) == 3


def _dataset(root: Path, split: str, positions: np.ndarray) -> PlaceDataset:
    names = tuple(f"{split}{i}.jpg" for i in range(len(positions)))
    half = len(names) // 2
    everything = ImageSet(root, names, positions)
    first, second = everything.subset(range(half)), everything.subset(range(half, len(names)))
    return PlaceDataset("made", split, first, second)
