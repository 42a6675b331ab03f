import shutil

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError
from netvlad.geography import radius_neighbours


def write_sped(folder, database=3, rows=([0], [1], [2])):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "SPED_dbImages.npy", [f"ref/{i:07}.jpg" for i in range(database)])
    np.save(folder / "SPED_qImages.npy", [f"query/{i:07}.jpg" for i in range(3)])
    truth = np.empty(len(rows), dtype=object)
    truth[:] = list(rows)
    np.save(folder / "SPED_gt.npy", truth)


@pytest.mark.parametrize("folder", ["", "SPED", "datasets/SPED"])
def test_lists_and_images_in_several_places(tmp_path, folder):
    write_sped(tmp_path / folder, rows=([0, 2], [], [1]))
    (tmp_path / "SPEDTEST/ref").mkdir(parents=True)
    (tmp_path / "SPEDTEST/ref/0000002.jpg").touch()
    dataset = open_dataset("sped", tmp_path, "test")
    assert dataset.database.names == tuple(f"SPEDTEST/ref/{i:07}.jpg" for i in range(3))
    assert dataset.queries.names[0] == "query/0000000.jpg"
    assert [dataset.positives.row(i).tolist() for i in range(3)] == [[0, 2], [], [1]]
    assert dataset.database.positions is None
    assert dataset.notes[0].startswith("3 database and 3 query images; the published split test")
    assert "None of a few images" in dataset.notes[1]


def test_lists_that_do_not_belong_together(tmp_path):
    write_sped(tmp_path, database=2)
    with pytest.raises(DataError, match=r"SPED_gt\.npy: .*database image 2 is correct for query 2"):
        open_dataset("sped", tmp_path, "test")
    write_sped(tmp_path, rows=([0],))
    with pytest.raises(DataError, match=r"SPED_gt\.npy: has rows for 1 queries but 3 are listed"):
        open_dataset("sped", tmp_path, "test")
    (tmp_path / "SPED_gt.npy").unlink()
    with pytest.raises(DataError, match=r"SPED_gt\.npy: no such file; expected SPED_dbImages"):
        open_dataset("sped", tmp_path, "test")


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/secret.jpg", "a/../../b.jpg", ""])
def test_names_that_lead_out_of_the_folder(tmp_path, name):
    write_sped(tmp_path)
    np.save(tmp_path / "SPED_qImages.npy", ["query/0.jpg", name, "query/2.jpg"])
    with pytest.raises(DataError, match=r"SPED_qImages\.npy: image 1 is .*must lie below"):
        open_dataset("sped", tmp_path, "test")


def test_what_lists_have_no_use_for(tmp_path):
    write_sped(tmp_path)
    with pytest.raises(SettingsError, match="sped has no positions"):
        open_dataset("sped", tmp_path, "test", utm_zone="31N")
    with pytest.raises(SettingsError, match="sped says image by image what is correct"):
        open_dataset("sped", tmp_path, "test", radius_m=10)


@pytest.mark.parametrize(("name", "count"), [("sped", 607), ("essex3in1", 210)])
def test_the_real_pairs(shared, name, count):
    dataset = open_dataset(name, shared / "data/structs/gsv_cities", "test")
    assert len(dataset.queries) == len(dataset.database) == count
    assert dataset.queries.names[count - 1] == f"query/{count - 1:07}.jpg"
    assert dataset.positives.counts().tolist() == [1] * count
    assert dataset.positives.indices.tolist() == list(range(count))
    assert len(dataset.notes) == 2  # no images here


def test_the_real_msls_lists(shared, tmp_path):
    lists = shared / "data/structs"
    names = [
        name.removeprefix("./Mapillary_Street_Level_Sequences/")
        for city in ("cph", "sf")
        for name in (lists / f"patch_netvlad/mapillary{city}_imageNames_index.txt")
        .read_text()
        .split()
    ]
    for file in (lists / "gsv_cities/msls_val").iterdir():
        shutil.copy(file, tmp_path)
    np.save(tmp_path / "msls_val_dbImages.npy", names)
    dataset = open_dataset("msls-lists", tmp_path, "val")
    assert (len(dataset.database), len(dataset.queries)) == (18_871, 740)
    assert dataset.positives.counts().min() > 0
    expected = np.load(tmp_path / "msls_val_pIdx.npy", allow_pickle=True)
    indices = np.concatenate([np.unique(row) for row in expected])
    assert np.array_equal(dataset.positives.indices, indices)
    cities = dataset.queries.labels["city"]
    assert dict(zip(*np.unique(cities, return_counts=True), strict=True)) == {"cph": 498, "sf": 242}
    # No correct answer lies in another city.
    rows = np.repeat(np.arange(740), dataset.positives.counts())
    of_positives = dataset.database.labels["city"][dataset.positives.indices]
    assert (of_positives == cities[rows]).all()


def test_the_real_pitts30k_lists(shared, tmp_path):
    structs = shared / "data/structs"
    for file in (structs / "gsv_cities/Pittsburgh").glob("pitts30k_test*"):
        shutil.copy(file, tmp_path)
    # The published ground truth is not here; this is how it was made.
    positions = np.load(structs / "patch_netvlad/pitts30k_test.npz")
    near = radius_neighbours(positions["utmQ"], positions["utmDb"], 25)
    truth = np.empty(len(near), dtype=object)
    truth[:] = [near.row(i) for i in range(len(near))]
    np.save(tmp_path / "pitts30k_test_gt.npy", truth)
    dataset = open_dataset("pitts30k-lists", tmp_path, "test")
    assert (len(dataset.database), len(dataset.queries)) == (10_000, 6_816)
    assert np.array_equal(dataset.positives.indices, near.indices)
    assert np.array_equal(dataset.positives.offsets, near.offsets)
    assert dataset.queries.names[0] == "queries_real/000/000546_pitch1_yaw1.jpg"
