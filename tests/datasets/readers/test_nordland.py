import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError


def write(root, folder, numbers):
    (root / folder).mkdir(parents=True)
    for number in numbers:
        (root / folder / f"images-{number}.png").touch()


def rows_of(dataset):
    return [dataset.positives.row(i).tolist() for i in range(len(dataset.positives))]


def test_whole_seasons(tmp_path):
    # 8 to 20: sorted as texts, 10 would come before 9.
    write(tmp_path, "winter", range(8, 38))
    write(tmp_path, "summer", range(8, 38))
    dataset = open_dataset("nordland", tmp_path, "all-27592")
    assert dataset.queries.names[:3] == tuple(f"winter/images-{i}.png" for i in (8, 9, 10))
    assert dataset.database.names[0] == "summer/images-8.png"
    expected = [[d for d in range(30) if abs(d - q) <= 10] for q in range(30)]
    assert rows_of(dataset) == expected
    assert set(dataset.database.labels["condition"]) == {"summer"}
    assert dataset.queries.times.tolist() == list(range(30))
    assert dataset.notes == (
        "30 database and 30 query images; the published split all-27592 of nordland has 27592 and "
        "27592.",
    )


def test_other_seasons_and_the_other_way_round(tmp_path):
    for season in ("spring", "fall"):
        write(tmp_path, f"images/{season}", range(5))
    dataset = open_dataset("nordland", tmp_path, "all-27592:spring-fall")
    assert dataset.split == "all-27592:spring-fall"
    assert dataset.queries.names[0] == "images/spring/images-0.png"
    assert dataset.database.names[0] == "images/fall/images-0.png"
    with pytest.raises(SettingsError, match="'fall' are not two seasons"):
        open_dataset("nordland", tmp_path, "all-27592:fall")
    with pytest.raises(SettingsError, match="not two seasons"):
        open_dataset("nordland", tmp_path, "all-27592:fall-fall")


@pytest.mark.parametrize("folder", ["test/{}", "{}_images_test"])
def test_the_test_frames_of_olid(tmp_path, folder):
    for season in ("winter", "summer"):
        write(tmp_path, folder.format(season), range(100, 107))
    dataset = open_dataset("nordland", tmp_path, "test-3450")
    assert rows_of(dataset) == [[d for d in range(7) if abs(d - q) <= 2] for q in range(7)]


def test_frames_in_stations_and_tunnels(tmp_path):
    write(tmp_path, "winter", range(6))
    write(tmp_path, "summer", range(6))
    (tmp_path / "cleanImageNames.txt").write_text("images-1.png\nimages-2.png\nimages-5.png\n")
    dataset = open_dataset("nordland", tmp_path, "all-27592")
    assert [name[-5] for name in dataset.database.names] == ["1", "2", "5"]
    (tmp_path / "cleanImageNames.txt").write_text("other.png\n")
    with pytest.raises(DataError, match=r"cleanImageNames\.txt: names no frame"):
        open_dataset("nordland", tmp_path, "all-27592")


def test_seasons_of_different_length(tmp_path):
    write(tmp_path, "winter", range(6))
    write(tmp_path, "summer", range(5))
    with pytest.raises(DataError, match="winter has 6 frames but summer has 5"):
        open_dataset("nordland", tmp_path, "all-27592")
    with pytest.raises(DataError, match="spring: no such folder"):
        open_dataset("nordland", tmp_path, "all-27592:spring-summer")


def test_the_real_lists(shared):
    lists = shared / "data/structs/gsv_cities"
    dataset = open_dataset("nordland", lists, "list-2760")
    assert (len(dataset.database), len(dataset.queries)) == (27_592, 2_760)
    truth = np.load(lists / "Nordland/Nordland_gt.npy", allow_pickle=True)
    assert rows_of(dataset) == [row.tolist() for row in truth]
    # Every tenth frame of the other season, and its neighbours.
    assert rows_of(dataset) == [
        [d for d in range(10 * q - 1, 10 * q + 2) if 0 <= d < 27_592] for q in range(2_760)
    ]
    assert dataset.queries.names[-1] == "query/0002759.jpg"
    with pytest.raises(SettingsError, match="for summer-winter only"):
        open_dataset("nordland", lists, "list-2760:winter-summer")
