"""Describing what a caller calls images, one or several of any sizes, with any network."""

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.models.describer import Describer, evaluating
from netvlad.models.image_inputs import ImageInput, each_image, is_single


def describe_images(
    model: Describer, images: ImageInput, *, batch_size: int
) -> NDArray[np.float32]:
    """Describe one image or several, in evaluation mode; the model returns to its mode.

    Args:
        model: brings every image to its ``resize`` first.
        images: a path, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch; or several:
            a sequence of these, (B, H, W, 3) uint8 numpy, (B, 3, H, W) uint8 torch.
        batch_size: how many images of one size are described at once.

    Returns:
        (descriptor_dim,) float32 for one image, (B, descriptor_dim) for several, in the order
        given; L2-normalised.

    Raises:
        ModelError: an array is not a uint8 RGB image, or is too small.
        ImageError: a file cannot be used, or its image is too small.
    """
    with evaluating(model):
        descriptors = _describe_each(model, images, batch_size)
    return descriptors[0] if is_single(images) else descriptors


@torch.inference_mode()
def _describe_each(model: Describer, images: ImageInput, batch_size: int) -> NDArray[np.float32]:
    rows: dict[int, NDArray[np.float32]] = {}
    waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
    decoded = each_image(images, resize=model.resize, minimum_size=model.minimum_size)
    for index, image in enumerate(decoded):
        same_size = waiting.setdefault(image.shape, [])
        same_size.append((index, image))
        if len(same_size) >= batch_size:
            rows.update(_describe_batch(model, waiting.pop(image.shape)))
    for same_size in waiting.values():
        rows.update(_describe_batch(model, same_size))
    if not rows:
        return np.empty((0, model.descriptor_dim), dtype=np.float32)
    return np.stack([rows[index] for index in range(len(rows))])


def _describe_batch(
    model: Describer, numbered: list[tuple[int, NDArray[np.uint8]]]
) -> dict[int, NDArray[np.float32]]:
    batch = torch.from_numpy(np.stack([image for _, image in numbered])).permute(0, 3, 1, 2)
    descriptors = model(batch).float().cpu().numpy()
    return {index: row for (index, _), row in zip(numbered, descriptors, strict=True)}
