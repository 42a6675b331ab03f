from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError

read_csv_table = partial(open_dataset, "csv")
read_pitts30k = partial(open_dataset, "pitts30k")
read_pitts250k = partial(open_dataset, "pitts250k")
read_tokyo247 = partial(open_dataset, "tokyo247")
read_tokyo_time_machine = partial(open_dataset, "tokyo-time-machine")

PITTSBURGH, TOKYO = (585_000.0, 4_477_000.0), (382_000.0, 3_947_000.0)


def write(path, *, centre=PITTSBURGH, database=("000/a.jpg", "000/b.jpg"), **changes):
    def cells(texts):
        column = np.empty((len(texts), 1), object)
        column[:, 0] = texts
        return column

    queries = changes.pop("queries", ("000/a.jpg",))
    struct = {
        "whichSet": "val",
        "dbImageFns": cells(database),
        "utmDb": np.add(np.zeros((2, len(database))), np.array(centre)[:, None]),
        "qImageFns": cells(queries),
        "utmQ": np.add(np.zeros((2, len(queries))), np.array(centre)[:, None]),
        "numImages": float(len(database)),
        "numQueries": float(len(queries)),
        "posDistThr": 25.0,
        "posDistSqThr": 625.0,
        "nonTrivPosDistSqThr": 100.0,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"dbStruct": struct | changes})


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pittsburgh_as_pytorch_netvlad_has_it(tmp_path):
    write(tmp_path / "datasets/pitts30k_val.mat", nonTrivPosDistSqThr=49.0, posDistThr=20.0)
    touch(tmp_path, "000/a.jpg", "queries_real/000/a.jpg")
    dataset = read_pitts30k(tmp_path, "val")
    assert (dataset.name, dataset.split) == ("pitts30k", "val")
    assert dataset.database.names == ("000/a.jpg", "000/b.jpg")
    assert dataset.queries.names == ("queries_real/000/a.jpg",)
    assert dataset.queries.path(0).exists()
    assert dataset.database.utm_zone == dataset.queries.utm_zone == "17N"
    assert (dataset.radius_m, dataset.train_radius_m) == (20, 7)
    assert dataset.notes == (
        "2 database and 1 query images; the published split val of pitts30k has 10000 and 7608.",
    )


def test_pittsburgh_as_the_matlab_code_has_it(tmp_path):
    write(tmp_path / "pitts250k_val.mat")
    touch(tmp_path, "images/000/b.jpg", "queries/000/a.jpg")
    dataset = read_pitts250k(tmp_path, "val")
    assert dataset.database.names == ("images/000/a.jpg", "images/000/b.jpg")
    assert dataset.queries.names == ("queries/000/a.jpg",)


def test_test250k_is_the_test_of_the_larger_set(tmp_path):
    write(tmp_path / "datasets/pitts250k_test.mat", whichSet="test")
    touch(tmp_path, "000/a.jpg", "queries_real/000/a.jpg")
    dataset = read_pitts30k(tmp_path, "test250k")
    assert dataset.split == "test250k"
    assert "83952 and 8280" in dataset.notes[0]
    assert len(dataset.notes) == 1


def test_images_need_not_be_there_but_a_note_says_so(tmp_path):
    write(tmp_path / "datasets/pitts30k_val.mat")
    dataset = read_pitts30k(tmp_path, "val")
    assert dataset.database.names == ("000/a.jpg", "000/b.jpg")
    assert dataset.queries.names == ("queries_real/000/a.jpg",)
    assert f"{tmp_path}/queries_real/000/a.jpg or {tmp_path}/queries/000/a.jpg" in dataset.notes[2]


def test_another_city_in_this_layout_has_no_known_zone(tmp_path):
    write(tmp_path / "datasets/pitts30k_val.mat", centre=(303_000.0, 5_788_000.0))
    assert read_pitts30k(tmp_path, "val").database.utm_zone is None
    assert read_pitts30k(tmp_path, "val", utm_zone="31u").queries.utm_zone == "31N"
    with pytest.raises(SettingsError):
        read_pitts30k(tmp_path, "val", utm_zone="thirty-one")


def test_claims_of_the_struct_that_do_not_hold_are_notes(tmp_path):
    write(tmp_path / "datasets/pitts30k_test.mat", numImages=10_000.0, numQueries=1.0)
    touch(tmp_path, "000/a.jpg", "queries_real/000/a.jpg")
    notes = read_pitts30k(tmp_path, "test").notes
    assert "numImages says 10000 but 2 names are listed; the list counts." in notes
    assert "The struct says that it is the split val, not test." in notes
    assert not any("numQueries" in note for note in notes)


def test_missing_and_empty_structs(tmp_path):
    with pytest.raises(DataError, match=r"datasets/pitts30k_val\.mat: no such file; expected"):
        read_pitts30k(tmp_path, "val")
    write(tmp_path / "datasets/pitts30k_val.mat", queries=())
    with pytest.raises(DataError, match="lists no queries"):
        read_pitts30k(tmp_path, "val")
    write(tmp_path / "datasets/pitts30k_val.mat", database=())
    with pytest.raises(DataError, match="lists no database images"):
        read_pitts30k(tmp_path, "val")


def test_tokyo247_finds_png_for_jpg(tmp_path):
    write(tmp_path / "datasets/tokyo247.mat", centre=TOKYO, database=("03814/x/a.jpg",))
    touch(tmp_path, "images/03814/x/a.png", "247query_subset_v2/000/a.jpg")
    dataset = read_tokyo247(tmp_path, "test")
    assert dataset.database.names == ("images/03814/x/a.png",)
    assert dataset.queries.names == ("247query_subset_v2/000/a.jpg",)
    assert dataset.database.utm_zone == "54N"


def test_tokyo_time_machine_has_times(tmp_path):
    times = {"dbTimeStamp": np.array([[200901.0, 201307.0]]), "qTimeStamp": 201307.0}
    write(tmp_path / "datasets/tokyoTM_val.mat", centre=TOKYO, **times)
    touch(tmp_path, "images/000/a.jpg")
    dataset = read_tokyo_time_machine(tmp_path, "val")
    assert dataset.name == "tokyo-time-machine"
    assert dataset.database.times.tolist() == [200901, 201307]
    assert dataset.queries.times.tolist() == [201307]
    assert dataset.queries.names == ("images/000/a.jpg",)
    assert "49056 and 7186" in dataset.notes[0]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_real_folder_reads_the_same_from_struct_and_table(shared, split):
    root = shared / "data/cambridge"
    struct, table = read_pitts30k(root, split), read_csv_table(root, split, utm_zone="31N")
    for one, other in ((struct.database, table.database), (struct.queries, table.queries)):
        assert one.names == other.names
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-3, rtol=0)
        assert all(one.path(i).is_file() for i in range(0, len(one), 50))
    assert len(struct.notes) == 1
