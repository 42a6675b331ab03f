import numpy as np
import pytest

from netvlad.datasets import DATASETS, open_dataset
from netvlad.errors import DataError, SettingsError
from netvlad.geography import radius_neighbours

TREES = {
    "st-lucia": [("test", "images/test", "gallery", "queries")],
    "eynsham": [("test", "images/test", "database", "queries")],
    "amstertime": [("test", "test", "database", "queries")],
    "tokyo247-utm": [("test", "images/test", "database", "queries")],
    "msls-utm": [("train", "train", "database", "queries"), ("val", "val", "database", "queries")],
    "svox": [
        ("train", "images/train", "gallery", "queries"),
        ("val", "images/val", "gallery", "queries"),
        ("test", "images/test", "gallery", "queries"),
        *(
            (f"test-{w}", "images/test", "gallery", f"queries_{w}")
            for w in ("night", "overcast", "rain", "snow", "sun")
        ),
    ],
    "sf-xl": [
        ("val", "processed/val", "database", "queries"),
        *(
            (f"test-{q}", "test", "database", f"queries_{q}")
            for q in ("v1", "v2", "night", "occlusion")
        ),
        ("small-val", "small/val", "database", "queries"),
        ("small-test", "small/test", "database", "queries_v1"),
    ],
}


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("name", TREES)
def test_splits_and_folders(tmp_path, name):
    assert DATASETS[name].splits == tuple(split for split, *_ in TREES[name])
    for _, folder, database, queries in TREES[name]:
        touch(tmp_path / folder / database, "@10@20@31@N@@@p1@2@@@@@@@.jpg")
        touch(tmp_path / folder / queries, f"@11@20@31@N@@@{queries}@2@@@@@@@.jpg")
    for split, folder, database, queries in TREES[name]:
        dataset = open_dataset(name, tmp_path, split)
        assert (dataset.name, dataset.split) == (name, split)
        assert dataset.database.names == (f"{folder}/{database}/@10@20@31@N@@@p1@2@@@@@@@.jpg",)
        assert dataset.queries.names[0].startswith(f"{folder}/{queries}/@11")
        assert dataset.queries.labels["panorama"].tolist() == [queries]
        known = DATASETS[name].counts.get(split)
        notes = (
            []
            if known is None
            else [
                f"1 database and 1 query images; the published split {split} of {name} has "
                f"{known[0]} and {known[1]}."
            ]
        )
        assert list(dataset.notes) == notes
        weather = split.removeprefix("test-")
        if weather in ("night", "overcast", "rain", "snow", "sun", "occlusion"):
            assert dataset.queries.labels["condition"].tolist() == [weather]


def test_missing_queries_name_their_folder(tmp_path):
    touch(tmp_path / "images/test/gallery", "@1@2@.jpg")
    with pytest.raises(DataError, match=r"queries_rain: no such folder; expected images/\{train"):
        open_dataset("svox", tmp_path, "test-rain")
    with pytest.raises(SettingsError, match="svox has no split test-fog"):
        open_dataset("svox", tmp_path, "test-fog")


def test_cities_of_msls_stay_apart(tmp_path):
    # Copenhagen lies in zone 33, San Francisco in zone 10: no zone shows both.
    for city, zone, band in (("cph", 33, "U"), ("sf", 10, "S")):
        names = [
            f"@{easting}@4180000@{zone}@{band}@@@key@@@@@@20160501@night_sideways_{city}@.jpg"
            for easting in (550_000, 550_020, 550_001)
        ]
        touch(tmp_path / "val/database", *names[:2])
        touch(tmp_path / "val/queries", names[2])
    dataset = open_dataset("msls-utm", tmp_path, "val")
    cities = dataset.queries.labels["city"], dataset.database.labels["city"]
    assert sorted(cities[0]) == ["cph", "sf"]
    for radius_m in (10, 25, 1e6):
        near = radius_neighbours(dataset.queries.positions, dataset.database.positions, radius_m)
        for query, city in enumerate(cities[0]):
            expected = np.flatnonzero(cities[1] == city)[: 1 if radius_m == 10 else 2]
            assert near.row(query).tolist() == expected.tolist()
    assert dataset.queries.labels["condition"].tolist() == ["night", "night"]
    assert dataset.queries.labels["view_direction"].tolist() == ["sideways", "sideways"]
    assert dataset.queries.times.tolist() == [20160501, 20160501]
    assert dataset.queries.utm_zone is None
    with pytest.raises(SettingsError, match="cities in several zones"):
        open_dataset("msls-utm", tmp_path, "val", utm_zone="33N")
