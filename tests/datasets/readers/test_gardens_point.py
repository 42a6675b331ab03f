import pytest

from netvlad.datasets import DATASETS, open_dataset
from netvlad.errors import DataError, SettingsError


def write(root, **counts):
    for walk, count in counts.items():
        (root / walk).mkdir()
        for i in range(count):
            (root / walk / f"Image{i}.jpg").touch()


def test_walks(tmp_path):
    write(tmp_path, day_left=12, day_right=12, night_right=12)
    for split in DATASETS["gardens-point"].splits:
        queries, database = split.split("-")
        dataset = open_dataset("gardens-point", tmp_path, split)
        assert dataset.queries.names[:1] == (f"{queries}/Image0.jpg",)
        assert dataset.database.names[9:11] == (
            f"{database}/Image9.jpg",
            f"{database}/Image10.jpg",
        )
        rows = [dataset.positives.row(i).tolist() for i in range(12)]
        assert rows == [[d for d in range(12) if abs(d - q) <= 2] for q in range(12)]
        assert set(dataset.queries.labels["condition"]) == {queries.split("_")[0]}
        assert dataset.notes[0].startswith("12 database and 12 query images; the published")
    assert len(DATASETS["gardens-point"].splits) == 6


def test_walks_that_do_not_fit(tmp_path):
    write(tmp_path, day_left=3, night_right=4)
    with pytest.raises(DataError, match="night_right has 4 frames but day_left has 3"):
        open_dataset("gardens-point", tmp_path, "night_right-day_left")
    with pytest.raises(DataError, match="day_right: no such folder"):
        open_dataset("gardens-point", tmp_path, "night_right-day_right")
    with pytest.raises(SettingsError, match="has no split day_left-day_left"):
        open_dataset("gardens-point", tmp_path, "day_left-day_left")
