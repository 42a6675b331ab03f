"""The frozen trunk's output of every training image: held in memory, or computed when asked.

Nothing before the cut ever changes, and neither do the images; only the tail is worth computing
again and again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.descriptors import autocast
from netvlad.images import Unreadable, load_batches
from netvlad.models import PlaceModel
from netvlad.types import ImageSet, Note, Progress, Reporter, silent


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Trunk outputs of one size.

    Attributes:
        indices: (B,) which images.
        features: (B, C, H, W) on the model's device, float32.
    """

    indices: NDArray[np.int64]
    features: Tensor


class TrunkFeatures:
    """The trunk's output for an image set.

    Attributes:
        readable: (N,) False for images found unusable so far.
    """

    def __init__(
        self,
        model: PlaceModel,
        images: ImageSet,
        *,
        threads: int = 8,
        precision: str = "32",
        report: Reporter = silent,
    ) -> None:
        self.model = model
        self.images = images
        self.threads = threads
        self.precision = precision
        self.report = report
        self.readable = np.ones(len(images), dtype=np.bool_)
        self._held: dict[int, Tensor] = {}

    def hold(self, *, batch_size: int = 24, budget_bytes: int | None = None, stage: str) -> bool:
        """Compute all outputs once and keep them in memory, half precision.

        Does nothing when there is no frozen trunk, or when they would not fit; what is computed
        from them is then computed from the images again, with the same result up to rounding.

        Args:
            batch_size: images per forward pass.
            budget_bytes: the most memory to take; by default half of what is free.
            stage: the progress bar's label.

        Returns:
            Whether they are held now.
        """
        if self.model.encoder.cut == 0 or self._held:
            return bool(self._held)
        if budget_bytes is None:
            budget_bytes = psutil.virtual_memory().available // 2
        done = 0
        for batch in self._computed(np.arange(len(self.images)), batch_size):
            half = batch.features.half().cpu()
            if half[0].nbytes * len(self.images) > budget_bytes or not torch.isfinite(half).all():
                self.report(
                    Note(
                        f"the trunk's output of {len(self.images)} images would take "
                        f"{half[0].nbytes * len(self.images) / 1e9:.1f} GB of memory: computing it "
                        "anew each time"
                    )
                )
                self._held.clear()
                return False
            # Cloned one by one: a view would keep its whole batch alive.
            self._held.update((int(i), f.clone()) for i, f in zip(batch.indices, half, strict=True))
            done += len(batch.indices)
            self.report(Progress(stage, done + int(np.sum(~self.readable)), len(self.images)))
        return True

    def batches(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[FeatureBatch]:
        """The outputs of ``indices`` (distinct), batched by size; unusable images are left out."""
        wanted = indices[self.readable[indices]]
        if not self._held:
            yield from self._computed(wanted, batch_size)
            return
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index in wanted.tolist():
            by_shape.setdefault(tuple(self._held[index].shape), []).append(index)
        for group in by_shape.values():
            for start in range(0, len(group), batch_size):
                part = group[start : start + batch_size]
                features = torch.stack([self._held[i] for i in part]).to(self.model.device)
                yield FeatureBatch(np.array(part), features.float())

    def _computed(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[FeatureBatch]:
        for batch in load_batches(
            self.images,
            indices=indices,
            batch_size=batch_size,
            resize=self.model.spec.resize,
            minimum_size=self.model.minimum_size,
            threads=self.threads,
        ):
            if isinstance(batch, Unreadable):
                self.readable[batch.index] = False
                self.report(Note(f"left out of training: {batch.error}"))
                continue
            with autocast(self.model.device, self.precision):
                features = self.model.trunk(batch.images.to(self.model.device, non_blocking=True))
            yield FeatureBatch(batch.indices, features.float())

    @torch.no_grad()
    def describe(self, *, batch_size: int, stage: str) -> NDArray[np.float32]:
        """Descriptors of all images by the model as it is now: (N, D), zero where unusable."""
        values = np.zeros((len(self.images), self.model.descriptor_dim), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        done = 0
        for batch in self.batches(np.arange(len(self.images)), batch_size):
            with autocast(self.model.device, self.precision):
                described = self.model.tail(batch.features)
            values[batch.indices] = described.float().cpu().numpy()
            done += len(batch.indices)
            self.report(Progress(stage, done, len(self.images)))
        self.model.train(was_training)
        return values
