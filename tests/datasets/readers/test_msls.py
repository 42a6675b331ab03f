from functools import partial

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.errors import DataError, SettingsError
from netvlad.geography import radius_neighbours, to_utm

read_msls = partial(open_dataset, "msls")

CPH, SF = (55.68, 12.57), (37.77, -122.42)
FILES = {
    "postprocessed.csv": ",key,easting,northing,night,control_panel,view_direction,unique_cluster",
    "raw.csv": ",key,lon,lat,ca,captured_at,pano",
    "seq_info.csv": ",key,sequence_key,frame_number",
    "subtask_index.csv": ",all,s2w,w2s,o2n,n2o,d2n,n2d",
}


def write(root, city, role, keys, *, at=CPH, part="train_val", leave_out=(), **cells):
    """Images 10 m apart to the north of a point, in the tables that the owners distribute."""
    east, north = to_utm([at[0]], [at[1]])[0][0]
    rows = {name: [header] for name, header in FILES.items()}
    for i, key in enumerate(keys):
        night, pano, subtask = (cells.get(n, "False") for n in ("night", "pano", "subtask"))
        latitude = at[0] + 10 * i / 111_200
        rows["postprocessed.csv"].append(
            f"{i},{key},{east},{north + 10 * i},{night},False,Forward,{100 + i}"
        )
        rows["raw.csv"].append(f"{i},{key},{at[1]},{latitude},{45 + i}.5,2016-05-0{i + 1},{pano}")
        rows["seq_info.csv"].append(f"{i},{key},seq_{city},{7 + i}")
        rows["subtask_index.csv"].append(f"{i},True,{subtask},False,False,False,True,False")
    folder = root / part / city / role
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in rows.items():
        if name not in leave_out:
            (folder / name).write_text("\n".join(lines) + "\n")


def write_val(root):
    for city, at in (("cph", CPH), ("sf", SF)):
        write(root, city, "database", [f"{city}-d{i}" for i in range(4)], at=at)
        write(root, city, "query", [f"{city}_q"], at=at, night="True", pano="True", subtask="True")


def test_names_and_labels(tmp_path):
    write_val(tmp_path)
    dataset = open_dataset("msls", tmp_path, "val")
    assert dataset.database.names[:2] == (
        "train_val/cph/database/images/cph-d0.jpg",
        "train_val/cph/database/images/cph-d1.jpg",
    )
    assert dataset.queries.names[1] == "train_val/sf/query/images/sf_q.jpg"
    assert {name: words[1] for name, words in dataset.queries.labels.items()} == {
        "city": "sf",
        "condition": "night",
        "view_direction": "Forward",
        "control_panel": "0",
        "cluster": "100",
        "panorama": "1",
        "date": "2016-05-01",
        "sequence": "seq_sf",
        "subtask": "all s2w d2n",
    }
    labels = dataset.database.labels
    assert labels["city"].tolist() == ["cph"] * 4 + ["sf"] * 4
    assert labels["condition"].tolist() == ["day"] * 8
    assert labels["panorama"].tolist() == ["0"] * 8
    assert labels["subtask"].tolist() == ["all d2n"] * 8
    assert dataset.database.times.tolist() == [7, 8, 9, 10] * 2
    assert dataset.database.headings.tolist() == [45.5, 46.5, 47.5, 48.5] * 2
    assert dataset.notes == ()


def test_one_city_keeps_its_metres_and_knows_its_zone(tmp_path):
    write_val(tmp_path)
    for city, at, zone in (("cph", CPH, "33N"), ("sf", SF, "10N")):
        dataset = open_dataset("msls", tmp_path, f"val:{city}")
        assert dataset.split == f"val:{city}"
        assert dataset.queries.utm_zone == dataset.database.utm_zone == zone
        np.testing.assert_allclose(dataset.queries.positions[0], to_utm([at[0]], [at[1]])[0][0])


def test_cities_at_the_same_metres_never_come_near(tmp_path):
    # The same easting and northing in two zones.
    write(tmp_path, "cph", "database", ["a", "b"], at=(55.0, 9.0))
    write(tmp_path, "cph", "query", ["c"], at=(55.0, 9.0))
    write(tmp_path, "sf", "database", ["d", "e"], at=(55.0, 3.0))
    write(tmp_path, "sf", "query", ["f"], at=(55.0, 3.0))
    dataset = read_msls(tmp_path, "val")
    assert dataset.database.utm_zone is None
    for radius_m in (15, 1_000_000):
        near = radius_neighbours(dataset.queries.positions, dataset.database.positions, radius_m)
        assert [near.row(i).tolist() for i in range(2)] == [[0, 1], [2, 3]]


def test_a_city_whose_images_lie_in_two_zones_has_none(tmp_path):
    write(tmp_path, "london", "database", ["a"], at=(51.5, 0.01))
    write(tmp_path, "london", "query", ["b"], at=(51.5, -0.01))
    assert read_msls(tmp_path, "train:london").database.utm_zone is None
    assert read_msls(tmp_path, "train:london", utm_zone="31N").database.utm_zone == "31N"


def test_cities_that_are_not_there_are_told(tmp_path):
    write(tmp_path, "zurich", "database", ["a"])
    write(tmp_path, "zurich", "query", ["b"])
    dataset = read_msls(tmp_path, "train")
    assert len(dataset.database) == 1
    assert dataset.notes[0].startswith("21 of 22 cities are not there: trondheim, london")


def test_the_test_split_has_no_positions(tmp_path):
    for role in ("database", "query"):
        left_out = ("postprocessed.csv", "raw.csv")
        write(tmp_path, "miami", role, ["a", "b"], part="test", leave_out=left_out)
    dataset = read_msls(tmp_path, "test:miami")
    assert dataset.queries.names == (
        "test/miami/query/images/a.jpg",
        "test/miami/query/images/b.jpg",
    )
    assert dataset.queries.positions is None
    assert dataset.queries.labels["subtask"].tolist() == ["all d2n"] * 2
    assert [note.split(";")[0] for note in dataset.notes] == [
        "The positions of the test split are not published"
    ]


def test_missing_tables_are_told_or_refused(tmp_path):
    write(tmp_path, "sf", "database", ["a"], leave_out=["raw.csv"])
    write(tmp_path, "sf", "query", ["b"])
    dataset = read_msls(tmp_path, "val:sf")
    assert "panorama" not in dataset.database.labels
    assert "1 tables are missing" in dataset.notes[0]
    assert "sf/database/raw.csv" in dataset.notes[0]
    (tmp_path / "train_val/sf/query/postprocessed.csv").unlink()
    with pytest.raises(DataError, match=r"query/postprocessed\.csv: no such file"):
        read_msls(tmp_path, "val:sf")


def test_tables_that_contradict_each_other(tmp_path):
    write(tmp_path, "sf", "database", ["a", "b"])
    write(tmp_path, "sf", "query", ["c"])
    raw = tmp_path / "train_val/sf/database/raw.csv"
    raw.write_text(raw.read_text().replace(",b,", ",x,"))
    with pytest.raises(DataError, match=r"raw\.csv: lists other images than postprocessed\.csv"):
        read_msls(tmp_path, "val:sf")
    raw.write_text("key,lon,lat\na,1,2\n")
    write(tmp_path, "sf", "query", ["c"])
    raw.write_text("key,lon,lat,pano\na,1,95,False\nb,1,2,False\n")
    with pytest.raises(DataError, match=r"database/raw\.csv: latitude 95"):
        read_msls(tmp_path, "val:sf")
    raw.write_text("key,lon,lat\na,1,2\n")
    with pytest.raises(DataError, match=r"raw\.csv: has no column pano \(it has key, lon, lat\)"):
        read_msls(tmp_path, "val:sf")
    places = tmp_path / "train_val/sf/query/postprocessed.csv"
    write(tmp_path, "sf", "database", ["a", "b"])
    places.write_text("key,easting,northing\nc,east,1\n")
    with pytest.raises(DataError, match=r"postprocessed\.csv: column easting: .*east"):
        read_msls(tmp_path, "val:sf")


def test_splits(tmp_path):
    with pytest.raises(SettingsError, match=r"val of msls has no city 'paris'.*cph, sf"):
        open_dataset("msls", tmp_path, "val:paris")
    with pytest.raises(SettingsError, match="cannot be the name of a split"):
        open_dataset("msls", tmp_path, "val:../../etc")
    with pytest.raises(SettingsError, match="msls has no split tran; did you mean train"):
        open_dataset("msls", tmp_path, "tran:london")
    write_val(tmp_path)
    with pytest.raises(SettingsError, match="utm_zone is 33N but val has cities in several"):
        open_dataset("msls", tmp_path, "val", utm_zone="33N")


def test_the_real_lists_of_the_official_val_lie_in_this_layout(shared, tmp_path):
    lists = shared / "data/structs/patch_netvlad"
    for city in ("cph", "sf"):
        for role, file in (("database", "index"), ("query", "query")):
            names = (lists / f"mapillary{city}_imageNames_{file}.txt").read_text().split()
            write(tmp_path, city, role, [name.split("/")[-1][:-4] for name in names])
    dataset = open_dataset("msls", tmp_path, "val")
    assert (len(dataset.database), len(dataset.queries)) == (18_871, 740)
    prefix = "./Mapillary_Street_Level_Sequences/"
    expected = [
        name.removeprefix(prefix)
        for city in ("cph", "sf")
        for name in (lists / f"mapillary{city}_imageNames_query.txt").read_text().split()
    ]
    assert list(dataset.queries.names) == expected
