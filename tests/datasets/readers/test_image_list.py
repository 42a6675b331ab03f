import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError

DATABASE = "# a comment\ndb/1.jpg\n./db/two words.jpg\n\ndb/3.jpg\n"
QUERIES = "q/a.jpg SIMPLE_RADIAL 1600 1200 1469.2 800 600 -0.02\nq/b c.jpg\nq/d.jpg\n"
PAIRS = "q/a.jpg db/3.jpg\nq/a.jpg db/1.jpg\nq/b c.jpg db/two words.jpg\nq/a.jpg db/3.jpg\n"


def write(root, pattern="test/{}.txt", *, database=DATABASE, queries=QUERIES, pairs=PAIRS):
    for kind, text in (("database", database), ("queries", queries), ("pairs", pairs)):
        path = root / pattern.format(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("pattern", ["test/{}.txt", "test_{}.txt"])
def test_lists_of_hloc(tmp_path, pattern):
    write(tmp_path, pattern)
    (tmp_path / "images/db").mkdir(parents=True)
    (tmp_path / "images/db/3.jpg").touch()
    dataset = open_dataset("image-list", tmp_path, "test")
    assert dataset.database.names == (
        "images/db/1.jpg",
        "images/db/two words.jpg",
        "images/db/3.jpg",
    )
    assert dataset.queries.names == ("q/a.jpg", "q/b c.jpg", "q/d.jpg")
    assert [dataset.positives.row(i).tolist() for i in range(3)] == [[0, 2], [1], []]
    assert len(dataset.notes) == 1  # the queries are not there


def test_images_of_colmap(tmp_path):
    images = (
        "# Image list with two lines of data per image:\n"
        "1 0.85 0.01 -0.5 1e-3 2.1 0.1 -3 1 db/1.jpg\n"
        "2362 248 58396 1784 268 -1 1190 663 9 1258.77 640.354 59070\n"
        "2 0.85 0.01 -0.5 0.1 2.1 0.1 -3 1 db/two words.jpg\n"
        "\n"
        "7 0.85 0.01 -0.5 0.1 2.1 0.1 -3 2 db/3.jpg\n"
        "1190.83 663.957 23056 1258.77 640.354 59070\n"
    )
    write(tmp_path, database=images)
    dataset = open_dataset("image-list", tmp_path, "test")
    assert dataset.database.names == ("db/1.jpg", "db/two words.jpg", "db/3.jpg")
    assert dataset.positives.row(0).tolist() == [0, 2]


def test_a_file_listed_twice_is_correct_twice(tmp_path):
    write(tmp_path, database="x.jpg\ny.jpg\nx.jpg\n", queries="q.jpg\nq.jpg\n", pairs="q.jpg x.jpg")
    dataset = open_dataset("image-list", tmp_path, "test")
    assert [dataset.positives.row(i).tolist() for i in range(2)] == [[0, 2], [0, 2]]


def test_lists_that_do_not_fit(tmp_path):
    for pairs, line in (("q/a.jpg db/1.jpg\nq/a.jpg db/9.jpg\n", 2), ("\nq/x.jpg db/1.jpg", 2)):
        write(tmp_path, pairs=pairs)
        with pytest.raises(DataError, match=rf"pairs\.txt, line {line}: .*of the lists"):
            open_dataset("image-list", tmp_path, "test")
    write(tmp_path, queries="# nothing\n")
    with pytest.raises(DataError, match=r"queries\.txt: is empty"):
        open_dataset("image-list", tmp_path, "test")
    write(tmp_path, database="/etc/x.jpg\n")
    with pytest.raises(DataError, match=r"database\.txt: image 0 is '/etc/x\.jpg'"):
        open_dataset("image-list", tmp_path, "test")
    with pytest.raises(SettingsError, match="image-list has no positions"):
        open_dataset("image-list", tmp_path, "test", utm_zone="31N")
