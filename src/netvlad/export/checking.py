"""Whether an exported file gives the descriptors that the model gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from netvlad.errors import ModelError
from netvlad.export.module import fixed_size, smallest_side
from netvlad.models.describer import evaluating
from netvlad.models.place_model import PlaceModel

LARGEST_DIFFERENCE = 1e-4
SMALLEST_COSINE = 0.9999

_BATCH_SIZES = (1, 3)
# Odd and even, lying and standing.
_IMAGE_SIZES = ((96, 128), (131, 97), (160, 226))
_OCTAVES = 6

Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Runs the exported file on (B, 3, H, W) images."""


@dataclass(frozen=True)
class Agreement:
    """How close an exported file and its model are.

    Attributes:
        largest_difference: between two components of a descriptor.
        smallest_cosine: between two descriptors of one image.
        images: how many were compared.
    """

    largest_difference: float
    smallest_cosine: float
    images: int


def require_agreement(model: PlaceModel, run: Runner) -> Agreement:
    """Run both on noise and on picture-like images of two batch sizes and three image sizes.

    The model is used in evaluation mode and left in the mode it was in.

    Raises:
        ModelError: they differ by more than 1e-4 in a component, or a cosine is below 0.9999.
    """
    largest, smallest, count = 0.0, 1.0, 0
    with evaluating(model):
        for images in _test_batches(model):
            with torch.inference_mode():
                expected = model(torch.from_numpy(images)).cpu().numpy().astype(np.float64)
            found = run(images).astype(np.float64)
            if found.shape != expected.shape:
                raise ModelError(
                    f"the exported model gives descriptors of shape {found.shape} where "
                    f"{expected.shape} are expected; it was not kept"
                )
            # np.maximum and np.minimum hand a NaN on, unlike max and min.
            largest = float(np.maximum(largest, np.abs(found - expected).max()))
            smallest = float(np.minimum(smallest, (found * expected).sum(axis=1).min()))
            count += len(images)
    if not (largest <= LARGEST_DIFFERENCE and smallest >= SMALLEST_COSINE):
        raise ModelError(
            f"the exported model differs from torch by {largest:.1e} (allowed: "
            f"{LARGEST_DIFFERENCE:.0e}), smallest cosine {smallest:.6f}; it was not kept"
        )
    return Agreement(largest, smallest, count)


def _test_batches(model: PlaceModel) -> Iterator[NDArray[np.uint8]]:
    """(B, 3, H, W) uint8 images: of each batch the first is a picture, the others alternate."""
    random = np.random.default_rng(0)
    side = smallest_side(model)
    fixed = fixed_size(model)
    sizes = [(max(h, side), max(w, side)) for h, w in _IMAGE_SIZES] if fixed is None else [fixed]
    for batch_size in _BATCH_SIZES:
        for height, width in sizes:
            images = [
                _picture(random, height, width)
                if number % 2 == 0
                else random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                for number in range(batch_size)
            ]
            yield np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


def _picture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) noise with the spectrum of photos: each octave half as strong as the one below."""
    total = np.zeros((height, width, 3))
    for octave in range(_OCTAVES):
        cells = 2 ** (octave + 1)
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth) - 127.5) / 2**octave
    return np.clip(total + 127.5, 0, 255).astype(np.uint8)
