"""Pictures inside a page: small JPEGs as data URIs."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from netvlad.errors import ImageError
from netvlad.images import read_image

MAX_URI = 20_000
"""Characters that one thumbnail may add to a page; a page may hold a thousand of them."""

_QUALITIES = (72, 60, 45, 30)


@dataclass(frozen=True)
class Picture:
    """A picture as a page shows it, or why there is none.

    Attributes:
        uri: a data URI; empty when the file cannot be read.
        width: pixels of the picture in ``uri``, 0 without one.
        height: likewise.
        reason: what is wrong with the file; empty when nothing is.
    """

    uri: str
    width: int = 0
    height: int = 0
    reason: str = ""


def small_picture(path: Path | str, longer_side: int) -> Picture:
    """An image file as at most :data:`MAX_URI` characters, its longer side so many pixels."""
    try:
        image = Image.fromarray(read_image(path, resize=longer_side))
    except ImageError as error:
        return Picture("", reason=error.reason)
    return fitted_picture(image, MAX_URI)


def fitted_picture(image: Image.Image, max_uri: int) -> Picture:
    """An RGB image as a data URI of at most ``max_uri`` characters: first coarser, then smaller."""
    while True:
        for quality in _QUALITIES:
            encoded = io.BytesIO()
            image.save(encoded, "JPEG", quality=quality, optimize=True)
            uri = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
            if len(uri) <= max_uri or max(image.size) == 1:
                return Picture(uri, *image.size)
        half = (max(1, image.width // 2), max(1, image.height // 2))
        image = image.resize(half, Image.Resampling.LANCZOS)
