"""What everything that turns images into descriptors has in common, ours or anybody's."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from netvlad.images import Resize


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

    A model's own flag does not tell enough: a caller may keep some layers in evaluation mode while
    others train, and models that share layers (``resized``) may have been switched by each other.
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
