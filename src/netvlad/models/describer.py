"""What everything that turns images into descriptors has in common, ours or anybody's network."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netvlad.errors import ImageError
from netvlad.images import Resize
from netvlad.models.image_inputs import ImageInput, OneImage, is_single, one_image
from netvlad.types import Note, Reporter, silent


class Describer(Protocol):
    """A network from images to descriptors of unit length, and what it wants of its images.

    :class:`~netvlad.models.PlaceModel` is one; :class:`~netvlad.models.ExternalModel` makes one of
    any other module.

    Attributes:
        training: whether it is in training mode.
    """

    training: bool

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def minimum_size(self) -> int:
        """The smallest image side that can be described, in pixels."""

    @property
    def resize(self) -> Resize:
        """(height, width) in pixels that images are brought to; or the most that their longer side
        may have; None for their own size."""

    def resized(self, resize: Resize) -> Self:
        """The same network, sharing its weights, for images of another size."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What a descriptor depends on beside the weights and its image, in words that two
        different networks do not share."""

    def state_dict(self) -> Mapping[str, Any]:
        """Weights and buffers by name."""

    def __call__(self, images: Tensor) -> Tensor:
        """Describe (B, 3, H, W) uint8 RGB as (B, descriptor_dim) float32, L2-normalised."""

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation."""

    def eval(self) -> Self:
        """Switch to evaluation."""

    def to(self, device: torch.device | str) -> Self:
        """Move it to a device."""


@contextlib.contextmanager
def evaluating(model: Describer) -> Iterator[None]:
    """Evaluation mode for every layer of a model; afterwards each returns to the mode it was in.

    A model's own flag does not tell enough: a caller may keep some layers in evaluation mode, and
    models that share layers (``resized``) may have been switched by each other.
    """
    parts = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [part.training for part in parts]
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        if not isinstance(model, nn.Module):
            model.train(was_training)
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


class DescribesImages:
    """The method that any :class:`Describer` may have: images from wherever they are."""

    def describe(
        self: Describer, images: ImageInput, *, batch_size: int = 8, report: Reporter = silent
    ) -> NDArray[np.float32]:
        """Describe one image or several, of whatever sizes, from files or memory.

        Every image is brought to :attr:`resize` first, if that is set. The model runs where it
        lies, in evaluation mode, and every layer returns to the mode it was in.

        Args:
            images: a path, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch; or
                several: an iterable of these, (B, H, W, 3) uint8 numpy, (B, 3, H, W) uint8 torch.
            batch_size: how many images of one size are described at once.
            report: receives a note for each file, of several, that cannot be used.

        Returns:
            (descriptor_dim,) float32 for one image, (B, descriptor_dim) for several, in the order
            given; L2-normalised. Of several, the row of a file that cannot be used is NaN.

        Raises:
            ModelError: ``images`` are none, or an array is not a uint8 RGB image, or is too small.
            ImageError: the one image is a file that cannot be used, or is too small.
        """
        single = is_single(images)
        several = cast(Iterable[OneImage], [images] if single else images)
        rows: dict[int, NDArray[np.float32]] = {}
        waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
        count = 0
        with evaluating(self), torch.inference_mode():
            for image in several:
                count += 1
                try:
                    pixels = one_image(image, resize=self.resize, minimum_size=self.minimum_size)
                except ImageError as error:
                    if single:
                        raise
                    report(Note(f"skipped {error}"))
                    continue
                same_size = waiting.setdefault(pixels.shape, [])
                same_size.append((count - 1, pixels))
                if len(same_size) >= batch_size:
                    rows.update(_described(self, waiting.pop(pixels.shape)))
            for same_size in waiting.values():
                rows.update(_described(self, same_size))
        if single:
            return rows[0]
        descriptors = np.full((count, self.descriptor_dim), np.nan, np.float32)
        for index, row in rows.items():
            descriptors[index] = row
        return descriptors


def _described(
    model: Describer, numbered: list[tuple[int, NDArray[np.uint8]]]
) -> dict[int, NDArray[np.float32]]:
    batch = torch.from_numpy(np.stack([image for _, image in numbered])).permute(0, 3, 1, 2)
    descriptors = model(batch).float().cpu().numpy()
    return {index: row for (index, _), row in zip(numbered, descriptors, strict=True)}
