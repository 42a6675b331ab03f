"""What several tests share: the folder of real data, when it is there."""

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported. Several processes with a thread each are faster than threads that fight
# over the cores, and the last bits of a sum depend on how many threads add it up.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image
from tests.made_photos import mosaic, position_of, write_photo

from netvlad.models import ModelSpec, PlaceModel, build_model

_TORCH = Path.home() / ".cache/torch"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real data: beside each of these stands a test of data made for it."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that another run has prepared changes what these tests see."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("TORCH_HOME", os.environ.get("TORCH_HOME", str(_TORCH)))
        context.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images, weights and golden numbers, which does not ship."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NETVLAD_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data is not at {folder} (set NETVLAD_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the csv layout: 3 splits of 12 places with 2 database images and 1 query each.

    Each place is a random mosaic of coloured tiles; its other images are the same mosaic shifted
    and dimmed, so a network can tell the places apart, and mistakes some.
    """
    root = tmp_path_factory.mktemp("tiny")
    for number, split in enumerate(("train", "val", "test")):
        random = np.random.default_rng(number)
        rows = ["image,easting,northing,role"]
        (root / split).mkdir()
        for place in range(12):
            tiles = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            mosaic = np.kron(tiles, np.ones((12, 12, 1), dtype=np.uint8))
            for view, role in enumerate(("database", "database", "query")):
                shifted = np.roll(mosaic, random.integers(0, 24, 2), axis=(0, 1))[:80, :96]
                noise = random.normal(0, 20, shifted.shape)
                pixels = np.clip(shifted * random.uniform(0.5, 1.0) + noise, 0, 255)
                name = f"{split}/{place:02d}_{view}.jpg"
                Image.fromarray(pixels.astype(np.uint8)).save(root / name)
                rows.append(f"{name},{500_000 + 100 * place + 3 * view},5000000,{role}")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 places with two photos each in ``map``, and a third of each in ``queries``."""
    root = tmp_path_factory.mktemp("photos")
    for place in range(40):
        for view in range(2):
            name = f"map/{place:02d}_{view}.jpg"
            write_photo(root / name, mosaic(place, view), position_of(place), 9.0 * place)
        write_photo(root / f"queries/{place:02d}.jpg", mosaic(place, 2), position_of(place))
    return root


@pytest.fixture(scope="session")
def quick_model() -> PlaceModel:
    return build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")
