from functools import partial

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError
from netvlad.geography import to_utm

read_utm_names = partial(open_dataset, "utm-names")

FULL = "@0585001.15@4476900.30@17@T@040.43@-079.99@pano@3@{heading}@5@@12@{time}@note@.jpg"


def write(root, split="val", base="images", database=(), queries=()):
    for folder, names in (("database", database), ("queries", queries)):
        for name in names:
            path = root / base / split / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.mark.parametrize("base", ["images", "."])
def test_full_names(tmp_path, base):
    one = FULL.format(heading="90", time="201307")
    two = FULL.format(heading="", time="yesterday")
    write(tmp_path, base=base, database=[f"deep/er/{one}", two], queries=[one])
    dataset = read_utm_names(tmp_path, "val")
    prefix = "val" if base == "." else "images/val"
    assert dataset.database.names == (
        f"{prefix}/database/{two}",
        f"{prefix}/database/deep/er/{one}",
    )
    assert all(dataset.database.path(i).is_file() for i in range(2))
    assert dataset.database.positions.tolist() == [[585001.15, 4476900.3]] * 2
    np.testing.assert_array_equal(dataset.database.headings, [np.nan, 90])
    np.testing.assert_array_equal(dataset.database.times, [np.nan, 201307])
    assert dataset.database.utm_zone == dataset.queries.utm_zone == "17N"
    assert dataset.notes == ()


def test_short_names_and_other_suffixes(tmp_path):
    write(tmp_path, database=["@585001@4476900@.png", "@585002@4476900.JPG"], queries=["@1@2@.jpg"])
    dataset = read_utm_names(tmp_path, "val")
    assert dataset.database.positions.tolist() == [[585001, 4476900], [585002, 4476900]]
    assert dataset.database.headings is dataset.database.times is dataset.database.utm_zone is None
    assert read_utm_names(tmp_path, "val", utm_zone="17T").queries.utm_zone == "17N"


def test_band_s_is_in_the_north(tmp_path):
    write(tmp_path, database=["@385001@3946900@54@S@@.jpg"], queries=["@385001@3946900@54@S@.jpg"])
    assert read_utm_names(tmp_path, "val").database.utm_zone == "54N"


def test_several_zones_become_one(tmp_path):
    # One place on the border between zones 30 and 31, written in either.
    east, _ = to_utm([52.0], [0.0], "31N")
    west, _ = to_utm([52.0], [0.0], "30N")
    names = [f"@{e:.3f}@{n:.3f}@{z}@U@.jpg" for (e, n), z in ((east[0], 31), (west[0], 30))]
    write(tmp_path, database=names, queries=names[:1])
    dataset = read_utm_names(tmp_path, "val")
    assert dataset.database.utm_zone == "31N"
    np.testing.assert_allclose(dataset.database.positions, np.repeat(east, 2, axis=0), atol=2e-3)
    assert dataset.notes == ("1 positions of other UTM zones were brought into 31N.",)


def test_names_without_positions_are_left_out_with_a_note(tmp_path):
    names = ["@1@2@.jpg", "holiday.jpg", "@x@y@.jpg", "@nan@2@.jpg", "@1@2@99@T@.jpg"]
    write(tmp_path, database=names, queries=["@1@2@.jpg"])
    dataset = read_utm_names(tmp_path, "val")
    assert dataset.database.names == ("images/val/database/@1@2@.jpg",)
    assert dataset.notes[0].startswith("4 of 5 file names")
    assert "@1@2@99@T@.jpg" in dataset.notes[0]


def test_only_names_without_positions(tmp_path):
    write(tmp_path, database=["a.jpg", "b.jpg"], queries=["@1@2@.jpg"])
    with pytest.raises(DataError, match=r"database/a\.jpg: 2 of 2 file names"):
        read_utm_names(tmp_path, "val")


def test_names_that_are_not_alike(tmp_path):
    write(tmp_path, database=["@1@2@17@T@.jpg"], queries=["@1@2@.jpg"])
    with pytest.raises(DataError, match="1 of 2 file names give no UTM zone"):
        read_utm_names(tmp_path, "val")


def test_missing_folders(tmp_path):
    with pytest.raises(DataError, match="images/val/database: no such folder"):
        read_utm_names(tmp_path, "val")
    write(tmp_path, database=["@1@2@.jpg"])
    with pytest.raises(DataError, match="images/val/queries: no such folder"):
        read_utm_names(tmp_path, "val")
    (tmp_path / "images/val/queries").mkdir()
    with pytest.raises(DataError, match="images/val/queries: has no images"):
        read_utm_names(tmp_path, "val")
