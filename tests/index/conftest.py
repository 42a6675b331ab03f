"""Photos with EXIF positions, and a model that is quick to run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from netvlad.models import ModelSpec, PlaceModel, build_model


def rational(degrees: float) -> tuple[float, float, float]:
    """Degrees, minutes and seconds, as EXIF has them."""
    whole = int(degrees)
    minutes = int((degrees - whole) * 60)
    return float(whole), float(minutes), round(((degrees - whole) * 60 - minutes) * 60, 6)


def write_photo(
    path: Path, pixels: np.ndarray, position: tuple[float, float] | None, heading: float = 0.0
) -> None:
    """A JPEG whose EXIF data say where it was taken (north and east only)."""
    exif = Image.Exif()
    if position is not None:
        exif[ExifTags.IFD.GPSInfo] = {
            1: "N",
            2: rational(position[0]),
            3: "E",
            4: rational(position[1]),
            17: heading,
        }
        exif[ExifTags.Base.DateTime] = "2024:05:31 12:00:00"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=92, exif=exif)


def mosaic(place: int, view: int) -> np.ndarray:
    """A place's tiles of two colours, as large as only it has them, seen a little shifted."""
    look = np.random.default_rng(place)
    side = int(look.choice([8, 16, 32, 64]))
    colours = look.integers(0, 256, (2, 3))
    tiles = colours[look.integers(0, 2, (128 // side, 128 // side))]
    whole = np.kron(tiles, np.ones((side, side, 1), dtype=np.int64))
    random = np.random.default_rng(1000 * place + view + 1)
    shifted = np.roll(whole, random.integers(-3, 4, 2), axis=(0, 1))
    dimmed = shifted * random.uniform(0.95, 1.0) + random.normal(0, 3, shifted.shape)
    return np.clip(dimmed, 0, 255).astype(np.uint8)


def position_of(place: int) -> tuple[float, float]:
    """Places lie on a street from west to east, 70 m apart."""
    return 52.2, 0.12 + 0.001 * place


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
