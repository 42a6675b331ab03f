import pytest

from netvlad.datasets import DATASETS, open_dataset
from netvlad.errors import DataError, SettingsError

TABLE = "image,role,easting,northing\na.jpg,database,1,2\nq.jpg,query,3,4\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "val.csv").write_text(TABLE)
    return tmp_path


def test_open_by_name(folder):
    dataset = open_dataset("csv", folder, "val", utm_zone="31N")
    assert dataset.database.names == ("a.jpg",)
    assert dataset.queries.utm_zone == "31N"
    assert (dataset.radius_m, dataset.train_radius_m) == (25, 10)


def test_a_radius_of_ones_own(folder):
    assert open_dataset("csv", folder, "val", radius_m=50).radius_m == 50
    narrow = open_dataset("csv", str(folder), "val", radius_m=5)
    assert (narrow.radius_m, narrow.train_radius_m) == (5, 5)
    for radius_m in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="radius_m"):
            open_dataset("csv", folder, "val", radius_m=radius_m)


def test_unknown_names_get_a_suggestion(folder):
    with pytest.raises(SettingsError, match=r"did you mean pitts30k.*, pitts250k") as caught:
        open_dataset("Pitts30", folder, "val")
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match="no data set called paris; choose from pitts30k"):
        open_dataset("paris", folder, "val")


def test_unknown_splits_list_the_known(folder):
    with pytest.raises(SettingsError, match=r"pitts30k has no split tset; did you mean test.*val"):
        open_dataset("pitts30k", folder, "tset")
    with pytest.raises(SettingsError, match=r"tokyo247 has no split train.*test"):
        open_dataset("tokyo247", folder, "train")
    for split in ("", "..", "../val"):
        with pytest.raises(SettingsError, match="cannot be the name of a split"):
            open_dataset("csv", folder, split)


@pytest.mark.parametrize("name", DATASETS)
def test_missing_files_name_the_path_and_the_layout(tmp_path, name):
    record = DATASETS[name]
    split = record.splits[0] if record.splits else "val"
    with pytest.raises(DataError, match="no such") as caught:
        open_dataset(name, tmp_path, split)
    assert str(tmp_path) in str(caught.value)
    assert record.layout in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="missing: no such folder"):
        open_dataset(name, tmp_path / "missing", split)


def test_a_file_is_no_folder(folder):
    with pytest.raises(DataError, match=r"val\.csv: is not a folder"):
        open_dataset("csv", folder / "val.csv", "val")


def test_records_describe_themselves():
    for name, record in DATASETS.items():
        assert record.name == name
        assert record.description
        assert "\n" not in record.description + record.layout


@pytest.mark.parametrize("split", DATASETS["pitts30k"].splits[:3])
def test_a_real_folder_in_two_formats(shared, split):
    root = shared / "data/cambridge"
    struct, table = open_dataset("pitts30k", root, split), open_dataset("csv", root, split)
    assert struct.database.names == table.database.names
    assert struct.queries.names == table.queries.names
