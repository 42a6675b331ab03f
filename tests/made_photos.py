"""Made-up photos of places, with positions in their EXIF data."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image


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
