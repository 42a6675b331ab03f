"""A small index whose content tells whether it is whole: place number n has n in its name and row.

Descriptors are 8 numbers long; the model is a real one, because an index has to carry it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from netvlad.index.places import Places
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.writer import writing
from netvlad.models import ModelSpec, PlaceModel, build_model

Numbered = Callable[[int, int], tuple[Places, NDArray[np.float32]]]


@pytest.fixture(scope="session")
def model() -> PlaceModel:
    torch.manual_seed(0)
    return build_model(ModelSpec(arch="alexnet", pooling="max"), weights=None)


@pytest.fixture(scope="session")
def numbered() -> Numbered:
    """Places first, ..., last - 1 and their descriptors: n in every one of 8 columns."""

    def make(first: int, last: int) -> tuple[Places, NDArray[np.float32]]:
        numbers = np.arange(first, last)
        places = Places.of([f"{n}.jpg" for n in numbers], {"latitude": numbers / 1000})
        return places, np.repeat(numbers[:, None], 8, axis=1).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, model: PlaceModel, numbered: Numbered):
    """An index of the places 0 to 99 but 10 to 19, with a search structure and a document."""
    folder = tmp_path_factory.mktemp("template") / "my.index"
    places, rows = numbered(0, 100)
    with writing(folder, "building", create=True, dim=8) as writer:
        writer.put_model(model, "fingerprint of the model")
        writer.append(places, [rows])
        writer.commit()
        writer.put_structure(lambda file: file.write(b"structure" * 50), {"rows": 100})
        writer.put_document("settings", {"threshold": 0.5})
        writer.remove(np.arange(10, 20))
        writer.commit()
    return folder


@pytest.fixture
def index(tmp_path: Path, template: Path) -> Path:
    """A copy of the template that may be changed."""
    return Path(shutil.copytree(template, tmp_path / "my.index"))


@pytest.fixture
def quick_copy(template: Path) -> Callable[[Path], Path]:
    """Copies the template, for tests that leave the model, its largest part, alone."""

    def copied(source: str, destination: str) -> object:
        if source.endswith(".safetensors"):
            return os.link(source, destination)
        return shutil.copy2(source, destination)

    return lambda to: Path(shutil.copytree(template, to, copy_function=copied))


@pytest.fixture(scope="session")
def content() -> Callable[[Path], list[int]]:
    """The numbers of an index's places, after a check that names and descriptors agree."""

    def read(index: Path) -> list[int]:
        with FolderStore.open(index) as store:
            numbers = [int(name.removesuffix(".jpg")) for name in store.places.images()]
            assert len(store.rows) == len(numbers) == store.manifest.count
            np.testing.assert_array_equal(store.places.latitude, np.array(numbers) / 1000)
            expected = np.repeat(np.array(numbers).reshape(-1, 1), store.manifest.dim, axis=1)
            np.testing.assert_array_equal(store.matrix[store.rows], expected)
            return numbers

    return read


@pytest.fixture(scope="session")
def state() -> Callable[[Path], dict[str, bytes]]:
    """Every file of an index but the lock, by its name in the folder."""

    def read(index: Path) -> dict[str, bytes]:
        found = (path for path in index.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(index)): path.read_bytes() for path in found}

    return read


@pytest.fixture(scope="session")
def flip() -> Callable[[Path, int], None]:
    """Changes one bit of a file."""

    def damage(path: Path, position: int) -> None:
        raw = bytearray(path.read_bytes())
        raw[position] ^= 1 << (position % 8)
        path.write_bytes(raw)

    return damage
