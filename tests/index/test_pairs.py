from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from netvlad.errors import DataError
from netvlad.index.pairs import (
    common_folder,
    match_in_colmap,
    names_below,
    pair_lists,
    write_hloc_descriptors,
    write_pairs,
)
from netvlad.types import Matches


def found(rows: list[list[int]]) -> Matches:
    indices = np.array(rows)
    return Matches(indices, np.zeros(indices.shape, np.float32))


def test_an_image_is_not_paired_with_itself_and_colmap_wants_a_pair_once() -> None:
    names = ["a", "b", "c"]
    matches = found([[0, 1, 2], [1, 0, 2], [2, 1, -1]])
    ordered = pair_lists(names, names, matches, 1)
    assert ordered == [("a", "b"), ("b", "a"), ("c", "b")]
    assert pair_lists(names, names, matches, 1, unordered=True) == [("a", "b"), ("c", "b")]
    assert pair_lists(["q"], names, found([[2, 0, 1]]), 2) == [("q", "c"), ("q", "a")]


def test_a_name_with_a_blank_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"my photo\.jpg"):
        write_pairs(tmp_path / "pairs.txt", [("a.jpg", "my photo.jpg")])
    assert list(tmp_path.iterdir()) == []


def test_colmap_itself_reads_the_pairs(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    write_pairs(tmp_path / "pairs.txt", [("db/1.jpg", "q/2.jpg"), ("db/3.jpg", "q/4.jpg")])
    database = pycolmap.Database.open(tmp_path / "database.db")
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", 500.0, 640, 480)
    names = ("db/1.jpg", "q/2.jpg", "db/3.jpg", "q/4.jpg")
    camera_id = database.write_camera(camera)
    numbers = {
        name: database.write_image(pycolmap.Image(name=name, camera_id=camera_id)) for name in names
    }
    options = pycolmap.ImportedPairingOptions()
    options.match_list_path = tmp_path / "pairs.txt"
    found = pycolmap.ImportedPairGenerator(options, database).all_pairs()
    assert found == [
        (numbers["db/1.jpg"], numbers["q/2.jpg"]),
        (numbers["db/3.jpg"], numbers["q/4.jpg"]),
    ]


def test_colmap_matches_names_with_blanks_in_its_database(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    rng = np.random.default_rng(0)
    scene = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).resize((480, 320))
    names = ["old town/a 1.jpg", "old town/b.jpg", "other place.jpg"]
    for name, image in zip(
        names,
        (
            scene,
            scene.crop((20, 10, 460, 310)),
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).resize((480, 320)),
        ),
        strict=True,
    ):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "images" / name, quality=95)
    path, root = tmp_path / "database.db", tmp_path / "images"
    match_in_colmap(path, root, [(names[0], names[1])])
    with pycolmap.Database.open(path) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        assert sorted(numbers) == names[:2]
        a, b = (numbers[name] for name in names[:2])
        geometry = database.read_two_view_geometry(a, b)
        assert len(geometry.inlier_matches) > 50
        points = [database.read_keypoints(n)[:, :2] for n in (a, b)]
        one, two = (points[i][geometry.inlier_matches[:, i]] for i in (0, 1))
        # The second is the first, cropped at (20, 10).
        np.testing.assert_allclose(np.median(one - two, axis=0), (20, 10), atol=0.5)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"has no image other place\.jpg; let `colmap feature_"):
        match_in_colmap(path, root, [(names[0], names[2])])
    assert path.read_bytes() == before
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(DataError, match=r"text\.db: COLMAP cannot use it"):
        match_in_colmap(tmp_path / "text.db", root, [(names[0], names[1])])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["database.db", "images", "text.db"]


def test_hloc_finds_a_descriptor_under_each_name(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    names = ["db/1.jpg", "db/sub/2.jpg", "q/1.jpg"]
    write_hloc_descriptors(tmp_path / "global.h5", names, [rows[:2], rows[2:]])
    with h5py.File(tmp_path / "global.h5") as file:
        listed: list[str] = []
        # As hloc's list_h5_names does: datasets' parents, without the leading slash.
        file.visititems(
            lambda _, item: (
                listed.append(item.parent.name.strip("/"))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
        assert sorted(set(listed)) == sorted(names)
        for name, row in zip(names, rows, strict=True):
            stored = file[name]["global_descriptor"]
            assert stored.dtype == np.float16 and stored.shape == (8,)
            np.testing.assert_allclose(stored[:], row, atol=2e-3)


def test_names_are_relative_to_the_image_folder(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("x/db/1.jpg", "x/q/2.jpg")]
    assert common_folder(paths) == tmp_path / "x"
    assert names_below(paths, tmp_path / "x") == ["db/1.jpg", "q/2.jpg"]
    with pytest.raises(DataError, match="choose --root"):
        names_below(paths, tmp_path / "x/db")
