"""Variety for small data sets.

Made from the trunk's output it costs nothing, for the trunk need not run again; made from the
images it is richer, and every step runs the whole network.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_HEIGHT, SMALLEST_WIDTH = 0.8, 0.65
SMALLEST_SIDE = 0.8
LIGHT = 0.3


class FeatureWindows:
    """Random windows and mirrored batches.

    A window of the map is nearly what the trunk would give for that part of the image: another
    heading, other things in view. Seen in a mirror a town is another town, with the same places
    next to each other, as long as all images of a batch are mirrored together.
    """

    def __init__(self, random: np.random.Generator) -> None:
        """Draw from ``random``, and from nothing else."""
        self._random = random
        self._mirrored = False

    def next_batch(self) -> None:
        """Decide what all images of the next batch have in common."""
        self._mirrored = bool(self._random.random() < 0.5)

    def __call__(self, features: Tensor) -> Tensor:
        """Windows of one size, at a place of its own for each image.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, h, w) with h between 0.8 H and H, w between 0.65 W and W.
        """
        count, _, height, width = features.shape
        h = int(self._random.integers(int(np.ceil(SMALLEST_HEIGHT * height)), height + 1))
        w = int(self._random.integers(int(np.ceil(SMALLEST_WIDTH * width)), width + 1))
        tops = self._random.integers(0, height - h + 1, count).tolist()
        lefts = self._random.integers(0, width - w + 1, count).tolist()
        places = zip(features, tops, lefts, strict=True)
        windows = torch.stack(
            [map_[:, top : top + h, left : left + w] for map_, top, left in places]
        )
        return windows.flip(3) if self._mirrored else windows


class ImageChanges:
    """Other light, other colours, and another part of the view for each image of a batch."""

    def __init__(self, random: np.random.Generator) -> None:
        """Draw from ``random``, and from nothing else."""
        self._random = random

    def __call__(self, images: Tensor) -> Tensor:
        """Change brightness, contrast and saturation by up to 30 %, and enlarge a random window.

        Args:
            images: (B, 3, H, W) uint8.

        Returns:
            (B, 3, H, W) float32 in 0…255, on the same device.
        """
        changed = torch.stack([self._window(image.float()) for image in images])
        grey = changed.mean(1, keepdim=True)
        changed = grey + (changed - grey) * self._factors(changed)
        level = changed.mean((1, 2, 3), keepdim=True)
        changed = level + (changed - level) * self._factors(changed)
        return (changed * self._factors(changed)).clamp(0, 255)

    def _factors(self, images: Tensor) -> Tensor:
        factors = self._random.uniform(1 - LIGHT, 1 + LIGHT, (len(images), 1, 1, 1))
        return torch.from_numpy(factors.astype(np.float32)).to(images.device)

    def _window(self, image: Tensor) -> Tensor:
        _, height, width = image.shape
        side = self._random.uniform(SMALLEST_SIDE, 1.0)
        h, w = max(1, round(side * height)), max(1, round(side * width))
        top = int(self._random.integers(0, height - h + 1))
        left = int(self._random.integers(0, width - w + 1))
        window = image[None, :, top : top + h, left : left + w]
        return F.interpolate(window, (height, width), mode="bilinear", antialias=True)[0]
