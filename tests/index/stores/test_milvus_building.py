"""Photos in Milvus, and the same in a folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.made_photos import mosaic, position_of, write_photo

pytest.importorskip("pymilvus", reason="needs netvlad[milvus]")
pytest.importorskip("milvus_lite", reason="Milvus Lite is not there for this platform")

from netvlad import PlaceIndex, Where
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.index import Question, photo_descriptors
from netvlad.index.stores.milvus import building as milvus_building
from netvlad.models import PlaceModel


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The beginning of addresses in one file of Milvus Lite."""
    file = tmp_path_factory.mktemp("milvus") / "lite.db"
    yield f"milvus://{file}"
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(file))


@pytest.fixture(scope="module")
def built(photos: Path, quick_model: PlaceModel, lite: str) -> str:
    PlaceIndex.build(photos / "map", quick_model, output=f"{lite}/built")
    return f"{lite}/built"


def test_answers_are_those_of_a_folder(
    built: str, photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    folder = PlaceIndex.build(
        photos / "map", quick_model, output=tmp_path / "i", storage="32", features="none"
    )
    index = PlaceIndex.open(built)
    assert index.places.images() == folder.places.images() and len(index) == 80
    queries = sorted((photos / "queries").iterdir())[::5]
    box = Where(bounding_box=(52.0, 0.1395, 53.0, 1.0))
    for question in (Question(), Question(k=30, where=box), Question(heading_deg=20.0)):
        ours = index.locate_all(queries, question, heading=100.0)
        theirs = folder.locate_all(queries, question, heading=100.0)
        assert any(answer.places for answer in theirs)
        for first, second in zip(ours, theirs, strict=True):
            assert [p.image for p in first.places] == [p.image for p in second.places]
            scores = [[place.score for place in answer.places] for answer in (first, second)]
            np.testing.assert_allclose(*scores, atol=1e-4)
            assert [p.to_json() | {"score": 0} for p in first.places] == [
                p.to_json() | {"score": 0} for p in second.places
            ]
            assert first.probability == pytest.approx(second.probability, abs=1e-3)
    reranked = index.locate(queries[3], rerank=True)
    assert reranked.places[0].inliers is not None


def test_one_request_answers_one_query(
    built: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, query = PlaceIndex.open(built), photos / "queries/05.jpg"
    expected = index.locate(query)
    client, asked = index.store._client, []
    for name in ("search", "query", "get", "query_iterator", "has_collection"):
        method = getattr(client, name)

        def counted(*given, _name=name, _method=method, **named):
            asked.append(_name)
            return _method(*given, **named)

        monkeypatch.setattr(client, name, counted)
    assert index.locate(query) == expected and asked == ["search"]


def test_adding_describes_only_what_is_new_or_changed(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, lite: str, monkeypatch
) -> None:
    monkeypatch.setattr(milvus_building, "SLICE", 7)
    shutil.copytree(photos / "queries", tmp_path / "map")
    index = PlaceIndex.build(tmp_path / "map", quick_model, output=f"{lite}/grown")
    write_photo(tmp_path / "map/new.jpg", mosaic(77, 0), position_of(77))
    write_photo(tmp_path / "map/00.jpg", mosaic(78, 0), position_of(78))
    (tmp_path / "map/broken.jpg").write_bytes(b"\xff\xd8 not really")
    (tmp_path / "t.csv").write_text("image,latitude,longitude,tags\n03.jpg,10.5,20.5,old;dusk\n")
    change = index.add(tmp_path / "map", positions=tmp_path / "t.csv")
    assert (change.added, change.replaced, change.unchanged, change.updated) == (1, 1, 39, 1)
    assert [image.error.path.name for image in change.skipped] == ["broken.jpg"]
    assert len(index) == 41
    by_name = {Path(p.image).name: p for p in index.locate(photos / "map/03_0.jpg", k=41).places}
    assert (by_name["03.jpg"].latitude, by_name["03.jpg"].tags) == (10.5, ("old", "dusk"))
    for place, name in ((77, "new.jpg"), (78, "00.jpg")):
        first = index.locate(tmp_path / "map" / name, k=1).places[0]
        assert Path(first.image).name == name and first.score > 0.999
        assert first.longitude == pytest.approx(position_of(place)[1], abs=1e-7)
    assert index.remove([tmp_path / "map/new.jpg"]) == 1
    (tmp_path / "map/07.jpg").unlink()
    assert index.remove_missing() == 1
    with pytest.raises(DataError, match=r"new\.jpg: is not in the index"):
        index.remove([tmp_path / "map/new.jpg"])
    assert len(PlaceIndex.open(f"{lite}/grown")) == 39


def test_a_killed_build_is_completed_by_adding(
    photos: Path, quick_model: PlaceModel, lite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_building, "SLICE", 30)
    described, calls = photo_descriptors.describe, []

    def killed(*given, **named):
        calls.append(len(given[1]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return described(*given, **named)

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(photo_descriptors, "describe", killed)
        PlaceIndex.build(photos / "map", quick_model, output=f"{lite}/killed")
    index = PlaceIndex.open(f"{lite}/killed")
    assert len(index) == 30
    change = index.add(photos / "map")
    assert (change.added, change.unchanged, len(index)) == (50, 30, 80)


def test_frames_and_times(quick_model: PlaceModel, lite: str, photos: Path) -> None:
    index = PlaceIndex.build(photos / "queries/00.jpg", quick_model, output=f"{lite}/frames")
    start = 1717156800.0  # When made-up photos were taken.
    for second in range(1, 6):
        frame = mosaic(second, 0)
        index.add(frame, position=position_of(second), time=start + second)
    seen = index.locate(mosaic(3, 1), k=9, time=start + 5, exclude_last_s=2.5)
    assert {place.time - start for place in seen.places} == {0.0, 1.0, 2.0}
    latest = index.locate(mosaic(3, 1), k=9, exclude_last_s=1)
    assert {place.time - start for place in latest.places} == {0.0, 1.0, 2.0, 3.0}


def test_whitening_and_what_cannot_become_an_index(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, lite: str, built: str
) -> None:
    whitened = PlaceIndex.build(photos / "map", quick_model, output=f"{lite}/white", whiten=16)
    folder = PlaceIndex.build(
        photos / "map", quick_model, output=tmp_path / "i", whiten=16, features="none"
    )
    query = photos / "queries/12.jpg"
    scores = [[p.score for p in index.locate(query).places] for index in (whitened, folder)]
    np.testing.assert_allclose(*scores, atol=2e-3)
    assert whitened.store.dim == 16
    with pytest.raises(StorageError, match="netvlad index add"):
        PlaceIndex.build(photos / "map", quick_model, output=built)
    (tmp_path / "bad.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"none of 1 photos can be used \(the first: .*bad\.jpg"):
        PlaceIndex.build(tmp_path / "bad.jpg", quick_model, output=f"{lite}/bad")
    with pytest.raises(SettingsError, match="kept in Milvus"):
        whitened.save(tmp_path / "saved")
    with pytest.raises(SettingsError, match="build there instead"):
        PlaceIndex.in_memory(quick_model).save(f"{lite}/saved")
