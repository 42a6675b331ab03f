from pathlib import Path

import numpy as np
import pytest

from netvlad.descriptors import describe, passes
from netvlad.descriptors.rows import FileRows
from netvlad.errors import ImageError
from netvlad.images import Unreadable
from netvlad.images.listing import images_fingerprint
from netvlad.index.ray.engine import SectionsInAnyOrder
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import ImageSet, Note


def test_sections_in_any_order_make_the_same_file_and_survive_a_kill(tmp_path: Path) -> None:
    images = ImageSet(tmp_path, tuple(f"{i}.jpg" for i in range(22)))
    values = np.random.default_rng(1).normal(size=(22, 6)).astype(np.float32)
    values[21] = 0
    last = [Unreadable(21, ImageError(images.path(21), "is gone"))]

    def opened() -> tuple[FileRows, SectionsInAnyOrder]:
        rows = FileRows(tmp_path / "d.npy", images, 6, np.dtype(np.float32), {"of": "this"})
        return rows, SectionsInAnyOrder(rows, 22, 4)

    rows, sections = opened()
    assert sections.missing() == [range(i, min(i + 4, 22)) for i in range(0, 22, 4)]
    for begin in (4, 0, 12, 20, 12):  # the last one twice: a worker was thought dead
        part = values[begin : begin + 4]
        sections.put(begin, part, last if begin == 20 else [])
    assert sections.missing() == [range(8, 12), range(16, 20)] and sections.done == 14
    rows.close()
    # A kill here costs what had run ahead.
    rows, sections = opened()
    assert [part.start for part in sections.missing()] == [8, 12, 16, 20] and sections.done == 8
    for begin in (16, 20, 8, 12):
        sections.put(begin, values[begin : begin + 4], last if begin == 20 else [])
    assert not sections.missing() and sections.done == 22
    found, unreadable = rows.finish()
    np.testing.assert_array_equal(found, values)
    assert [(image.index, image.error.reason) for image in unreadable] == [(21, "is gone")]


def test_the_local_way_goes_on_with_such_a_file(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "SECTION", 8)
    names = tuple(str(path) for path in sorted((photos / "map").iterdir())[:30])
    images = ImageSet(Path(), names)
    expected = describe(quick_model, images).values
    identity = {
        "model": model_fingerprint(quick_model),
        "images": images_fingerprint(images),
        "storage": "32",
        "precision": "32",
    }
    output = tmp_path / "d.npy"
    rows = FileRows(output, images, expected.shape[1], np.dtype(np.float32), identity)
    sections = SectionsInAnyOrder(rows, 30, 8)
    for begin in (24, 8, 0):
        sections.put(begin, np.array(expected[begin : begin + 8]), [])
    rows.close()
    notes: list[str] = []
    found = describe(
        quick_model,
        images,
        output=output,
        report=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert notes == ["Describing images: resumed after 16 of 30 images"]
    np.testing.assert_array_equal(found.values, expected)
