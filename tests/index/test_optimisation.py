from pathlib import Path

import numpy as np
import pytest

from netvlad import PlaceIndex
from netvlad.errors import SettingsError
from netvlad.index.optimisation import optimize_folder
from netvlad.index.stores import verify
from netvlad.models import PlaceModel


@pytest.fixture
def folder(photos: Path, quick_model: PlaceModel, tmp_path: Path) -> Path:
    PlaceIndex.build(photos, quick_model, output=tmp_path / "i")
    return tmp_path / "i"


def answers(folder: Path, photos: Path) -> list[list[tuple[str, float]]]:
    index = PlaceIndex.open(folder)
    return [
        [(place.image, round(place.score, 3)) for place in index.locate(query).places]
        for query in sorted((photos / "queries").iterdir())[:12]
    ]


@pytest.mark.parametrize("kind", ["hnsw", "exact"])
def test_what_is_found_stays_the_same(folder: Path, photos: Path, kind: str) -> None:
    before = answers(folder, photos)
    done = optimize_folder(folder, kind=kind)
    assert (done.kind, done.dropped, done.dim) == (kind, 0, 112)
    structure = PlaceIndex.open(folder).store.snapshot.manifest.structure
    assert (structure is None) == (kind == "exact")
    assert answers(folder, photos) == before
    assert not verify(folder).problems


def test_a_structure_serves_while_places_come_and_go(folder: Path, photos: Path) -> None:
    optimize_folder(folder, kind="hnsw")
    index = PlaceIndex.open(folder)
    index.remove([photos / "map"])
    query = photos / "queries/05.jpg"
    assert all("/queries/" in place.image for place in index.locate(query, k=40).places)
    index.add(photos / "map")
    assert index.store.searcher.structure is not None
    first = index.locate(photos / "map/05_0.jpg").places[0]
    assert first.image.endswith("map/05_0.jpg") and first.score > 0.999
    assert len(index.locate(query, k=200).places) == 120
    # Now the rows of the places that were removed are dropped, and the structure with them.
    done = optimize_folder(folder)
    assert (done.dropped, done.kind) == (80, "exact")
    index = PlaceIndex.open(folder)
    assert len(index.store.snapshot.matrix) == len(index) == 120


def test_a_dimension_that_the_photos_do_not_span_is_refused_and_nothing_changes(
    folder: Path, photos: Path
) -> None:
    before = answers(folder, photos)
    with pytest.raises(SettingsError, match="choose at most"):
        optimize_folder(folder, whiten=500)
    with pytest.raises(SettingsError, match="--kind tree"):
        optimize_folder(folder, kind="tree")
    assert answers(folder, photos) == before and not verify(folder).problems
    optimize_folder(folder, whiten=32)
    with pytest.raises(SettingsError, match="whitened to 32 dimensions already"):
        optimize_folder(folder, whiten=16)


def test_what_was_whitened_in_part_is_whitened_as_if_it_had_not_been(
    photos: Path, tmp_path: Path
) -> None:
    for name, whiten in (("partly", None), ("plain", 0)):
        PlaceIndex.build(
            photos, output=tmp_path / name, whiten=whiten, storage="32", features="none"
        )
        optimize_folder(tmp_path / name, whiten=24)
    partly, plain = (answers(tmp_path / name, photos) for name in ("partly", "plain"))
    assert [[image for image, _ in places] for places in partly] == [
        [image for image, _ in places] for places in plain
    ]
    for ours, theirs in zip(partly, plain, strict=True):
        assert [s for _, s in ours] == pytest.approx([s for _, s in theirs], abs=2e-3)


def test_stored_bits_are_changed(folder: Path) -> None:
    optimize_folder(folder, storage="32")
    store = PlaceIndex.open(folder).store
    assert store.snapshot.matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(store.snapshot.matrix, axis=1), 1, atol=1e-3)
