"""Variety for small data sets, made from the trunk's output: the trunk need not run again."""

import numpy as np
import torch
from torch import Tensor

SMALLEST_HEIGHT, SMALLEST_WIDTH = 0.8, 0.65


class Augmentation:
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
        windows = torch.stack(
            [
                image[:, top : top + h, left : left + w]
                for image, top, left in zip(features, tops, lefts, strict=True)
            ]
        )
        return windows.flip(3) if self._mirrored else windows
