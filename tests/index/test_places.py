import io
from pathlib import Path

import numpy as np
import pytest

from netvlad.errors import DataError, StorageError
from netvlad.index.places import ROW_GROUP, Places, StoredPlaces
from netvlad.index.where import Where


def many(count: int) -> Places:
    random = np.random.default_rng(0)
    columns = {
        "latitude": np.where(random.random(count) < 0.2, np.nan, random.uniform(-90, 90, count)),
        "longitude": random.uniform(-180, 180, count),
        "heading": random.uniform(0, 360, count),
        "time": random.uniform(0, 2e9, count),
        "mtime_ns": random.integers(0, 2**62, count),
    }
    tags = [["day"] * (i % 2) + ["été"] * (i % 3 == 0) for i in range(count)]
    return Places.of([f"/p/{i}.jpg" for i in range(count)], columns, tags=tags)


def test_what_is_written_is_read_whole_and_in_parts() -> None:
    places = many(2 * ROW_GROUP + 7)
    file = io.BytesIO()
    places.write(file)
    whole = Places.read(io.BytesIO(file.getvalue()), "p.parquet")
    # NaN is not equal to itself, but is written alike.
    assert repr(whole.table.to_pylist()) == repr(places.table.to_pylist())
    parts = StoredPlaces(file.getvalue(), "p.parquet")
    for i in (0, 1, ROW_GROUP - 1, ROW_GROUP, 2 * ROW_GROUP, len(places) - 1):
        assert parts.row(i) == places.row(i)
    assert places.row(0)["image"] == "/p/0.jpg" and places.row(0)["altitude"] is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text" * 100])
def test_a_damaged_table_is_named(content: bytes) -> None:
    for read in (
        lambda: Places.read(io.BytesIO(content), "p.parquet"),
        lambda: StoredPlaces(content, "p.parquet"),
    ):
        with pytest.raises(StorageError, match=r"p\.parquet: is damaged"):
            read()


def test_columns_must_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 places but 3 values of latitude"):
        Places.of(["a", "b"], {"latitude": np.zeros(3)})
    with pytest.raises(DataError, match="no column colour"):
        Places.of(["a"], {"colour": np.zeros(1)})


def test_conditions_are_those_of_a_loop_over_places() -> None:
    places = many(500)
    where = Where(
        bounding_box=(-40, 100, 60, -20), after=5e8, before=1.5e9, tags=("été",), heading=(350, 60)
    )
    met = []
    for i in range(len(places)):
        row = places.row(i)
        inside = row["latitude"] is not None and -40 <= row["latitude"] <= 60
        # Across the date line: from 100° east to 20° west.
        inside = inside and (row["longitude"] >= 100 or row["longitude"] <= -20)
        turned = min(abs(row["heading"] - a) for a in (350, -10, 710))
        met.append(inside and 5e8 <= row["time"] < 1.5e9 and "été" in row["tags"] and turned <= 60)
    assert where.mask(places).tolist() == met and sum(met) > 3
    assert Where().mask(places) is None
    # Of rows that are a part of a larger table, too.
    part = places.take(np.arange(100, 300))
    assert where.mask(part).tolist() == met[100:300]
