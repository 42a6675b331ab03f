import json

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError


def write(root, queries=3, references=3):
    for folder, count in (("query", queries), ("ref", references)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            (root / folder / f"{i}.jpg").touch()


def rows_of(dataset):
    return [dataset.positives.row(i).tolist() for i in range(len(dataset.positives))]


def test_json_lists(tmp_path):
    write(tmp_path, 11, 12)
    (tmp_path / "gt.json").write_text(json.dumps({"10": [11, 3], "0": [0], "2": 5}))
    dataset = open_dataset("vpr-bench", tmp_path, "test")
    assert dataset.queries.names[10] == "query/10.jpg"
    expected = [[] for _ in range(11)]
    expected[10], expected[0], expected[2] = [3, 11], [0], [5]
    assert rows_of(dataset) == expected
    (tmp_path / "gt.json").write_text("[[0], [1, 2]]")
    assert rows_of(open_dataset("vpr-bench", tmp_path, "test"))[:3] == [[0], [1, 2], []]


def test_numpy_lists(tmp_path):
    write(tmp_path / "night")
    truth = np.empty((2, 2), dtype=object)
    truth[0] = [2, [0, 1]]
    truth[1] = [0, [2]]
    np.save(tmp_path / "night/ground_truth_new.npy", truth)
    dataset = open_dataset("vpr-bench", tmp_path, "night")
    assert dataset.database.names[0] == "night/ref/0.jpg"
    assert rows_of(dataset) == [[2], [], [0, 1]]
    assert dataset.notes == ()


def test_without_a_list(tmp_path):
    write(tmp_path)
    dataset = open_dataset("vpr-bench", tmp_path, "test")
    assert rows_of(dataset) == [[0], [1], [2]]
    assert "image k of ref shows the place of image k of query" in dataset.notes[0]
    (tmp_path / "ref/3.jpg").touch()
    with pytest.raises(DataError, match="3 queries and 4 references cannot be paired"):
        open_dataset("vpr-bench", tmp_path, "test")


def test_lists_that_do_not_fit(tmp_path):
    write(tmp_path)
    for text, trouble in (
        ('{"3": [0]}', "names query '3' but there are 3 queries"),
        ('{"one": [0]}', "names query 'one'"),
        ('{"1": [3]}', "database image 3 is correct for query 1, but there are 3"),
        ('{"1": ["a"]}', "not an image's index"),
        ("{", "is not valid JSON"),
    ):
        (tmp_path / "gt.json").write_text(text)
        with pytest.raises(DataError, match=rf"gt\.json: .*{trouble}"):
            open_dataset("vpr-bench", tmp_path, "test")
    (tmp_path / "gt.json").unlink()
    np.save(tmp_path / "ground_truth_new.npy", np.arange(3))
    with pytest.raises(DataError, match=r"ground_truth_new\.npy: each row must be"):
        open_dataset("vpr-bench", tmp_path, "test")


def test_the_real_corridor(shared):
    dataset = open_dataset("corridor", shared / "data/corridor", "test")
    assert (len(dataset.database), len(dataset.queries)) == (111, 111)
    listed = json.loads((shared / "data/corridor/gt.json").read_text())
    assert rows_of(dataset) == [listed[str(i)] for i in range(111)]
    assert all(dataset.database.path(i).is_file() for i in range(111))
    assert dataset.notes == ()


def test_the_real_pairs_of_day_and_night(shared):
    dataset = open_dataset("vpr-bench", shared / "data/daynight", "gardens_point")
    assert rows_of(dataset) == [[i] for i in range(10)]
