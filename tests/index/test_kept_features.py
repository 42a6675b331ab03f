"""Local features that an index keeps: the right ones, whatever becomes of the index."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.made_photos import mosaic, position_of, write_photo

from netvlad import PlaceIndex
from netvlad.cli.main import main
from netvlad.errors import SettingsError, WeightsError
from netvlad.images import read_image
from netvlad.index import build as building
from netvlad.index.stores import verify
from netvlad.index.stores.manifest import MANIFEST, read_manifest
from netvlad.index.stores.opened import OpenedFolder
from netvlad.matching.features import FeatureLayout, LocalFeatures
from netvlad.matching.sift import ROOT_SIFT
from netvlad.models import PlaceModel


def photo(path: Path, place: int, look: int) -> None:
    path.parent.mkdir(exist_ok=True)
    write_photo(path, mosaic(place, look), position_of(place))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos of three places."""
    for number, place in enumerate((1, 6, 11)):
        for look in range(2):
            photo(tmp_path / f"map/{number}_{look}.jpg", place, look)
    return tmp_path / "map"


def kept_are_those_of_the_photos(index: PlaceIndex) -> None:
    for number, image in enumerate(index.places.images()):
        kept = index.store.local_features(number, ROOT_SIFT)
        assert kept is not None, image
        found = ROOT_SIFT.extract(read_image(Path(image), resize=ROOT_SIFT.max_side))
        np.testing.assert_array_equal(kept.descriptors, found.descriptors)
        np.testing.assert_allclose(kept.points, found.points, atol=max(found.size) / 65535)
        assert kept.size == found.size


@pytest.mark.parametrize("dtype", ["u1", "<f2"])
def test_a_row_gives_back_what_was_put_in(dtype: str) -> None:
    layout = FeatureLayout(5, 8, dtype)
    random = np.random.default_rng(0)
    for n in (0, 1, 5, 7):
        points = random.uniform(0, 320, (n, 2)).astype(np.float32)
        values = random.integers(0, 200, (n, 8)).astype(dtype)
        row = layout.pack(LocalFeatures(points, values, (240, 320)))
        assert row.shape == (layout.row_bytes,)
        back = layout.unpack(row)
        assert back is not None and back.size == (240, 320) and len(back) == min(n, 5)
        np.testing.assert_allclose(back.points, points[:5], atol=320 / 65535)
        np.testing.assert_array_equal(back.descriptors, values[:5])
    assert layout.unpack(layout.pack(None)) is None
    assert layout.unpack(np.full(layout.row_bytes, 255, np.uint8)) is None
    assert layout.unpack(np.zeros(layout.row_bytes, np.uint8)) is None


def test_they_follow_the_places_through_every_change(
    folder: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    index = PlaceIndex.build(folder, quick_model, output=tmp_path / "i")
    assert index.store.features == "sift"
    kept_are_those_of_the_photos(index)
    index.remove([folder / "0_1.jpg"])
    photo(folder / "1_0.jpg", 7, 0)  # another picture
    photo(folder / "9_0.jpg", 9, 0)
    change = index.add(folder)
    assert (change.added, change.replaced) == (2, 1)
    kept_are_those_of_the_photos(index)
    index.remove([folder / "2_0.jpg"])
    main(["index", "optimize", "--index", str(tmp_path / "i")])
    index = PlaceIndex.open(tmp_path / "i")
    assert read_manifest(tmp_path / "i").matrix_rows == len(index) == 6
    kept_are_those_of_the_photos(index)
    assert verify(tmp_path / "i").problems == ()


def test_answers_are_those_of_the_photos_and_need_them_no_longer(
    folder: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    photo(tmp_path / "query.jpg", 1, 2)
    index = PlaceIndex.build(folder, quick_model, output=tmp_path / "i")
    plain = PlaceIndex.build(folder, quick_model, output=tmp_path / "j", features="none")
    memory = PlaceIndex.build(folder, quick_model)
    assert plain.store.features is None and not plain.locate(tmp_path / "query.jpg").verified
    by_photos = plain.locate(tmp_path / "query.jpg", rerank=True)
    shutil.rmtree(folder)
    for one in (index, memory):
        answer = one.locate(tmp_path / "query.jpg")
        assert answer.verified and answer.places[0].inliers
        assert [place.inliers for place in answer.places] == [
            place.inliers for place in by_photos.places
        ]
        assert [p.image for p in answer.places] == [p.image for p in by_photos.places]
        assert not one.locate(tmp_path / "query.jpg", rerank=False).verified
    memory.save(tmp_path / "saved")
    assert PlaceIndex.open(tmp_path / "saved").locate(tmp_path / "query.jpg").verified


def test_frames_without_files_are_verified_too(
    quick_model: PlaceModel, folder: Path, tmp_path: Path
) -> None:
    on_disk = PlaceIndex.build(folder, quick_model, output=tmp_path / "i")
    for index in (PlaceIndex.in_memory(quick_model, features="sift"), on_disk):
        for number in range(10, 13):
            index.add(mosaic(number, 0), position=position_of(number))
        answer = index.locate(mosaic(11, 1))
        frames = [place for place in answer.places if place.image.startswith("frame-")]
        assert answer.verified and frames[0].inliers
    assert verify(tmp_path / "i").problems == ()


def test_the_command_finds_and_drops_them(
    folder: Path, quick_model: PlaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "i"
    PlaceIndex.build(folder, quick_model, output=index, features="none")
    size = ROOT_SIFT.layout.row_bytes * 6
    main(["index", "features", "sift", "--index", str(index)])
    assert f"local features by sift ({size / 1e6:.1f} MB)" in capsys.readouterr().out
    kept_are_those_of_the_photos(PlaceIndex.open(index))
    main(["index", "info", "--index", str(index), "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["features"], figures["features_bytes"]) == ("sift", size)
    main(["index", "features", "none", "--index", str(index)])
    assert "no local features" in capsys.readouterr().out
    assert not list(index.glob("features-*")) and verify(index).problems == ()


def test_damage_is_found(folder: Path, quick_model: PlaceModel, tmp_path: Path) -> None:
    PlaceIndex.build(folder, quick_model, output=tmp_path / "i")
    file = next((tmp_path / "i").glob("features-*"))
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert f"{file.name}: is damaged in rows 0 to 5" in verify(tmp_path / "i").problems[0]


def test_an_index_of_format_1_is_read_and_gets_features(
    folder: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "i"
    PlaceIndex.build(folder, quick_model, output=index, features="none")
    content = json.loads((index / MANIFEST).read_text())
    for name in ("features", "sha256"):
        del content[name]
    from netvlad.index.stores import manifest

    (index / MANIFEST).write_bytes(manifest._rendered(content | {"format": 1}))
    opened = PlaceIndex.open(index)
    assert opened.store.features is None and len(opened) == 6
    main(["index", "features", "sift", "--index", str(index)])
    kept_are_those_of_the_photos(PlaceIndex.open(index))
    assert json.loads((index / MANIFEST).read_text())["format"] == 2


def test_a_change_of_the_format_finds_them_anew(
    folder: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PlaceIndex.build(folder, quick_model, output=tmp_path / "i")
    monkeypatch.setattr("netvlad.matching.sift.FORMAT", 99)
    assert index.store.local_features(0, ROOT_SIFT) is None
    index.add(folder)
    kept_are_those_of_the_photos(index)


def test_without_the_matcher_answers_are_not_verified_and_say_so(
    folder: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PlaceIndex.build(folder, quick_model, output=tmp_path / "i")

    def missing(*_: object, **__: object) -> None:
        raise WeightsError("no weights")

    monkeypatch.setattr("netvlad.index.place_index.load_matcher", missing)
    told: list[object] = []
    answers = index.locate_all([folder / "0_0.jpg"], report=told.append)
    assert not answers[0].verified and any("not verified: no weights" in str(n) for n in told)
    with pytest.raises(WeightsError):
        index.locate(folder / "0_0.jpg", rerank=True)


def test_what_cannot_keep_them_says_so(quick_model: PlaceModel, folder: Path) -> None:
    with pytest.raises(SettingsError, match="only index folders and memory keep them"):
        PlaceIndex.build(folder, quick_model, output="milvus://x:1/c", features="sift")
    with pytest.raises(SettingsError, match="unknown matcher 'nonsense'"):
        PlaceIndex.build(folder, quick_model, features="nonsense")


def test_a_kill_in_the_middle_loses_nothing(
    quick_model: PlaceModel, folder: Path, tmp_path: Path
) -> None:
    """A process that is killed between two commits, and one that is killed within."""
    index = tmp_path / "i"
    code = f"""
import sys, time
from pathlib import Path
from netvlad import PlaceIndex
from netvlad.index import build
from netvlad.matching import extracting
build._FEATURES_AT_ONCE = 2
real, count = extracting.read_image, 0
def slow(path, **how):
    global count
    count += 1
    if count > 3:
        print("now", flush=True)
        time.sleep(60)
    return real(path, **how)
extracting.read_image = slow
from netvlad.compute import Compute
import netvlad
model = netvlad.load_model("efficientnet-lite0-avg")
PlaceIndex.build({str(folder)!r}, model, output={str(index)!r}, compute=Compute(threads=1))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    opened = PlaceIndex.open(index)
    assert len(opened) == 6 and opened.store.features == "sift"
    kept = read_manifest(index).features
    assert kept is not None and kept.file.rows == 2
    assert "unfinished" in OpenedFolder(index).summary()
    assert opened.locate(folder / "2_1.jpg").places[0].inliers
    change = opened.add(folder)
    assert (change.added, change.unchanged) == (0, 6)
    kept_are_those_of_the_photos(opened)
    assert verify(index).problems == () and verify(index).notes == ()
    assert building._FEATURES_AT_ONCE > 2
