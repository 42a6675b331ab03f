"""What happens to pixels before the first layer: one mean and one deviation per channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from netvlad.errors import ModelError


@dataclass(frozen=True)
class Preprocessing:
    """Normalises RGB images on whatever device they are, ``(image - mean) / std``.

    Both fields are in the units of a uint8 image, so a batch travels to the device as bytes and
    becomes float there.

    Attributes:
        mean: the mean of red, green and blue, in 0..255.
        std: the standard deviation of red, green and blue, in 0..255, positive.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ModelError(
                f"preprocessing needs 3 means and 3 deviations, got {self.mean} and {self.std}"
            )
        if min(self.std) <= 0:
            raise ModelError(f"preprocessing deviations must be positive, got {self.std}")

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) uint8, or floats in the same units; uint8 becomes float32."""
        dtype = images.dtype if images.is_floating_point() else torch.float32
        mean, std = (
            torch.tensor(values, dtype=dtype, device=images.device).view(1, 3, 1, 1)
            for values in (self.mean, self.std)
        )
        return (images.to(dtype) - mean) / std


IMAGENET = Preprocessing(
    mean=(255 * 0.485, 255 * 0.456, 255 * 0.406),
    std=(255 * 0.229, 255 * 0.224, 255 * 0.225),
)
"""What torchvision's ImageNet weights were trained with (there in 0..1)."""

CENTRED = Preprocessing(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
"""What the EfficientNet-Lite weights were trained with."""
