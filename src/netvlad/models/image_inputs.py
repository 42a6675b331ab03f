"""Whatever a caller calls an image (path, Pillow, numpy, torch), turned into (H, W, 3) uint8."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from netvlad.errors import ImageError, ModelError
from netvlad.images import Resize, read_image, size_after, upright_rgb

OneImage = str | Path | Image.Image | NDArray[np.uint8] | Tensor
"""A file, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch."""

_ACCEPTED = "give a path, a Pillow image, a uint8 array or tensor, or several of these"

ImageInput = OneImage | Iterable[OneImage]
"""One image; or several: an iterable, (B, H, W, 3) uint8 numpy or (B, 3, H, W) uint8 torch."""


def is_single(images: ImageInput) -> bool:
    """Whether the caller gave one image rather than several.

    Raises:
        ModelError: it is neither; the message says what it was.
    """
    if isinstance(images, str | Path | Image.Image):
        return True
    if isinstance(images, np.ndarray | Tensor):
        if images.ndim not in (3, 4):
            raise ModelError(f"expected an image or a batch, got {_what(images)}")
        return images.ndim == 3
    if not isinstance(images, Iterable) or isinstance(images, bytes | Mapping | Set):
        raise ModelError(f"cannot read {_what(images)} as an image; {_ACCEPTED}")
    return False


def image_pixels(image: OneImage, *, resize: Resize = None) -> NDArray[np.uint8]:
    """The pixels of one image, the same by whichever door it comes in: (H, W, 3) uint8, upright.

    ``resize`` is (height, width) in pixels that it is brought to, or the most its longer side may
    have; None keeps its size.

    Raises:
        ModelError: an array is not uint8, or has not three channels where they belong.
        ImageError: a file cannot be used.
    """
    if isinstance(image, str | Path):
        return read_image(image, resize=resize)
    if isinstance(image, Image.Image):
        return upright_rgb(image, resize=resize)
    return _resized(_channels_last(image), resize)


def one_image(image: OneImage, *, resize: Resize, minimum_size: int) -> NDArray[np.uint8]:
    """As :func:`image_pixels`, if no side is shorter than ``minimum_size`` pixels.

    Raises:
        ModelError: as there, or an image from memory is too small.
        ImageError: a file cannot be used, or its image is too small.
    """
    pixels = image_pixels(image, resize=resize)
    height, width = pixels.shape[:2]
    if min(height, width) < minimum_size:
        reason = (
            f"is {height}×{width} pixels (height×width); "
            f"the model needs at least {minimum_size}×{minimum_size}"
        )
        if isinstance(image, str | Path):
            raise ImageError(image, reason)
        raise ModelError(f"the image {reason}")
    return pixels


def check_batch(images: Tensor, *, minimum_size: int, name: str) -> None:
    """Check a batch, to be (B, 3, H, W) uint8 or floating point, before a network sees it.

    Raises:
        ModelError: it is not, or its images have a side below ``minimum_size`` pixels; the network
            is called ``name`` there.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ModelError(f"expected images of shape (B, 3, H, W), got {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ModelError(f"expected uint8 or floating-point images, got {images.dtype}")
    height, width = images.shape[2:]
    if min(height, width) < minimum_size:
        raise ModelError(
            f"an image of {height}×{width} pixels (height×width) is too small; "
            f"{name} needs at least {minimum_size}×{minimum_size}"
        )


def _channels_last(image: object) -> NDArray[np.uint8]:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ModelError(f"expected an (H, W, 3) uint8 numpy array, got {_what(image)}")
        return image
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            raise ModelError(f"expected a (3, H, W) uint8 torch tensor, got {_what(image)}")
        array: NDArray[np.uint8] = image.permute(1, 2, 0).cpu().numpy()
        return array
    raise ModelError(f"cannot read {_what(image)} as an image; {_ACCEPTED}")


def _resized(image: NDArray[np.uint8], resize: Resize) -> NDArray[np.uint8]:
    if resize is None or 0 in image.shape:
        return image
    height, width = size_after(resize, *image.shape[:2])
    if image.shape[:2] == (height, width):
        return image
    # Antialiased bilinear, as read_image does for files.
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def _what(value: object) -> str:
    if isinstance(value, np.ndarray | Tensor):
        kind = "numpy array" if isinstance(value, np.ndarray) else "torch tensor"
        return f"a {kind} of shape {tuple(value.shape)} and type {value.dtype}"
    return f"a {type(value).__name__}"
