import shutil

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError
from netvlad.geography import radius_neighbours


def write(root, *, radius=25, names=("./Town/a.jpg", "./Town/sub/b.jpg"), **arrays):
    root.mkdir(parents=True, exist_ok=True)
    content = {"utmQ": [[1, 2]], "utmDb": [[1.5, 2], [3, 4]], "posDistThr": radius} | arrays
    np.savez(root / "town_test.npz", **content)
    (root / "town_imageNames_index.txt").write_text("\n".join(names) + "\n")
    (root / "town_imageNames_query.txt").write_text("./Town/q/c.jpg\n")


def test_lists_and_positions(tmp_path):
    write(tmp_path, radius=7)
    dataset = open_dataset("patch-netvlad", tmp_path, "town_test", utm_zone="17T")
    assert dataset.database.names == ("Town/a.jpg", "Town/sub/b.jpg")
    assert dataset.queries.names == ("Town/q/c.jpg",)
    assert dataset.database.positions.tolist() == [[1.5, 2], [3, 4]]
    assert dataset.queries.positions.tolist() == [[1, 2]]
    assert (dataset.radius_m, dataset.train_radius_m) == (7, 7)
    assert dataset.queries.utm_zone == "17N"
    assert len(dataset.notes) == 2  # neither database nor queries are there


@pytest.mark.parametrize("place", ["Town/sub/b.jpg", "sub/b.jpg", "images/Town/sub/b.jpg"])
def test_images_are_found_with_and_without_their_first_folder(tmp_path, place):
    write(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    dataset = open_dataset("patch-netvlad", tmp_path, "town_test")
    assert dataset.database.names[1] == place


def test_files_that_do_not_fit(tmp_path):
    for arrays, trouble in (
        ({"utmDb": [[1, 2]]}, "lists 2 images but town_test.npz has 1 positions"),
        ({"utmDb": [1, 2]}, r"utmDb has shape \(2,\)"),
        ({"utmQ": np.zeros((0, 2))}, "utmQ is empty"),
        ({"posDistThr": -1}, "posDistThr is not a number of metres above 0"),
        ({"utmQ": np.array([[None, 1]])}, r"is not an \.npz file of numbers"),
    ):
        write(tmp_path, **arrays)
        with pytest.raises(DataError, match=trouble):
            open_dataset("patch-netvlad", tmp_path, "town_test")
    (tmp_path / "town_test.npz").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"is not an \.npz file of numbers"):
        open_dataset("patch-netvlad", tmp_path, "town_test")
    np.savez(tmp_path / "town_test.npz", utmQ=[[1, 2]])
    with pytest.raises(DataError, match=r"town_test\.npz: has no array 'utmDb"):
        open_dataset("patch-netvlad", tmp_path, "town_test")
    write(tmp_path, names=("../a.jpg", "b.jpg"))
    with pytest.raises(DataError, match="must lie below"):
        open_dataset("patch-netvlad", tmp_path, "town_test")


def test_the_real_pitts30k(shared):
    structs = shared / "data/structs"
    dataset = open_dataset("patch-netvlad", structs / "patch_netvlad", "pitts30k_test")
    assert (len(dataset.database), len(dataset.queries)) == (10_000, 6_816)
    # The same images in the same order as gsv-cities lists them.
    for images, kind in ((dataset.database, "db"), (dataset.queries, "q")):
        listed = np.load(structs / f"gsv_cities/Pittsburgh/pitts30k_test_{kind}Images.npy")
        assert [name.removeprefix("Pittsburgh250k/") for name in images.names] == listed.tolist()
    np.testing.assert_allclose(dataset.queries.positions[0], [584744.96584623, 4476709.91829431])
    assert dataset.radius_m == 25


def test_the_real_nordland_reaches_seven_frames(shared):
    dataset = open_dataset("patch-netvlad", shared / "data/structs/patch_netvlad", "nordland")
    assert (len(dataset.database), len(dataset.queries)) == (27_592, 27_592)
    assert dataset.database.names[0] == "nordland/summer/images-00202.png"
    assert dataset.queries.names[-1] == "nordland/winter/images-35582.png"
    near = radius_neighbours(
        dataset.queries.positions[100:101], dataset.database.positions, dataset.radius_m
    )
    assert near.row(0).tolist() == list(range(93, 108))


def test_the_real_tokyo_has_no_lists_here(shared, tmp_path):
    (tmp_path / "dataset_gt_files").mkdir()
    shutil.copy(shared / "data/structs/patch_netvlad/tokyo247.npz", tmp_path / "dataset_gt_files")
    with pytest.raises(DataError, match=r"tokyo247_imageNames_index\.txt: no such file"):
        open_dataset("patch-netvlad", tmp_path, "tokyo247")
    (tmp_path / "dataset_imagenames").mkdir()
    for kind, count in (("index", 75_984), ("query", 315)):
        lines = "\n".join(f"./tokyo247/{i}.jpg" for i in range(count))
        (tmp_path / f"dataset_imagenames/tokyo247_imageNames_{kind}.txt").write_text(lines)
    dataset = open_dataset("patch-netvlad", tmp_path, "tokyo247", utm_zone="54N")
    np.testing.assert_allclose(dataset.database.positions[0], [381418.23, 3946450.43])
