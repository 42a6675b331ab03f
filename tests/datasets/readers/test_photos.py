import numpy as np
import pytest
from tests.made_photos import write_photo

from netvlad.datasets import open_dataset
from netvlad.errors import DataError
from netvlad.geography import to_utm

PIXELS = np.zeros((8, 8, 3), np.uint8)


def write(root, places):
    for name, position in places.items():
        write_photo(root / name, PIXELS, position, 45.0)


@pytest.mark.parametrize("prefix", ["", "test/"])
def test_positions_headings_and_times(tmp_path, prefix):
    places = {
        f"{prefix}database/a.jpg": (52.2, 0.12),
        f"{prefix}database/deep/b.jpg": None,
        f"{prefix}queries/c.jpg": (52.2001, 0.1201),
    }
    write(tmp_path, places)
    dataset = open_dataset("photos", tmp_path, "test")
    assert dataset.database.names == tuple(places)[:2]
    assert dataset.queries.names == tuple(places)[2:]
    assert dataset.queries.utm_zone == dataset.database.utm_zone == "31N"
    expected, _ = to_utm([52.2, 52.2001], [0.12, 0.1201], "31N")
    np.testing.assert_allclose(dataset.database.positions[0], expected[0], atol=0.01)
    np.testing.assert_allclose(dataset.queries.positions[0], expected[1], atol=0.01)
    assert np.isnan(dataset.database.positions[1]).all()
    np.testing.assert_array_equal(dataset.database.headings, [45, np.nan])
    assert dataset.queries.times.tolist() == [1717156800]
    assert dataset.notes == (
        "1 of 2 photos in database have no position and never count as correct.",
    )
    assert open_dataset("photos", tmp_path, "test", utm_zone="30N").queries.utm_zone == "30N"


def test_photos_without_any_position(tmp_path):
    write(tmp_path, {"database/a.jpg": None, "queries/b.jpg": None})
    with pytest.raises(DataError, match="no point has a latitude"):
        open_dataset("photos", tmp_path, "test")


def test_missing_folders(tmp_path):
    write(tmp_path, {"database/a.jpg": None})
    with pytest.raises(DataError, match="queries: no such folder"):
        open_dataset("photos", tmp_path, "test")
    (tmp_path / "queries").mkdir()
    with pytest.raises(DataError, match="queries: has no images"):
        open_dataset("photos", tmp_path, "test")
