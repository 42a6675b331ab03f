"""The optimiser's steps: describe the images of a few tuples, compare, learn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from netvlad.compute import Compute
from netvlad.errors import DataError, ModelError, extra
from netvlad.models import PlaceModel
from netvlad.training import losses
from netvlad.training.augmentation import FeatureWindows, ImageChanges
from netvlad.training.batches import PlaceViews, TupleBatch, assemble, in_batches
from netvlad.training.features import FeatureBatch, TrunkFeatures
from netvlad.training.mining import MinedQuery, positive_radius_m
from netvlad.training.recipes import Recipe
from netvlad.types import PlaceDataset

with extra("train"):
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision, Precision

NEGATIVES_PER_PAIR = 5  # of the whole batch, for the hardest-triplets loss


def build_optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for ``parameters``."""
    lr, decay = recipe.lr, recipe.weight_decay
    if recipe.optim == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=recipe.momentum, weight_decay=decay)
    if recipe.optim == "adam":
        return torch.optim.Adam(parameters, lr)
    return torch.optim.AdamW(parameters, lr, weight_decay=decay)


def learning_rate(recipe: Recipe, epoch: int, share: float) -> float:
    """The rate at ``share`` (in [0, 1)) of ``epoch`` (counted from 1)."""
    if recipe.schedule == "step":
        return float(recipe.lr * recipe.lr_gamma ** (epoch // recipe.lr_step))
    done = min(1.0, (epoch - 1 + share) / recipe.epochs)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))


def batch_loss(descriptors: Tensor, batch: TupleBatch, recipe: Recipe) -> Tensor:
    """The recipe's loss, a scalar, of the descriptors (U, D) of ``batch.images``."""
    device = descriptors.device
    if recipe.loss == "triplet":
        return losses.triplet_loss(descriptors, batch.triplets.to(device), margin=recipe.margin)
    pairs = batch.positive_pairs.to(device), batch.negative_pairs.to(device)
    if recipe.loss == "hardest-triplets":
        return losses.hardest_triplets_loss(
            descriptors, *pairs, margin=recipe.margin, negatives=NEGATIVES_PER_PAIR
        )
    if recipe.loss == "mil-nce":
        return losses.mil_nce_loss(descriptors, *pairs, temperature=recipe.temperature)
    return losses.multi_similarity_loss(descriptors, *pairs)


def make_fabric(compute: Compute) -> Fabric:
    """What computes steps and gradients where and how ``compute`` says."""
    device = compute.torch_device()
    plugin = Precision()
    if compute.precision != "32":
        # By its name alone Fabric would take bfloat16 for "16" on a CPU, which describing does not.
        plugin = MixedPrecision(
            "16-mixed" if compute.precision == "16" else "bf16-mixed", device.type
        )
    devices = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices, plugins=[plugin])


@dataclass(frozen=True)
class Step:
    """Step ``number`` (from 1) of ``total``: the loss before it, the learning rate, the counts."""

    number: int
    total: int
    loss: float
    rate: float
    images: int
    triplets: int


class Stepper:
    """Changes a model by mined tuples; the state of its ``optimiser`` is part of a checkpoint."""

    def __init__(
        self,
        model: PlaceModel,
        dataset: PlaceDataset,
        features: TrunkFeatures,
        recipe: Recipe,
        fabric: Fabric,
    ) -> None:
        """Prepare to train ``model``, which is on the fabric's device, on ``features``."""
        self.model, self.dataset, self.features = model, dataset, features
        self.recipe, self.fabric = recipe, fabric
        self.places: PlaceViews | None = None
        if recipe.views:
            radius_m = positive_radius_m(dataset, recipe)
            self.places = PlaceViews(dataset, radius_m=radius_m, views=recipe.views)
        self.optimiser = build_optimiser(model.trainable_parameters(), recipe)
        # Fabric's wrapper steps (and scales half-precision gradients); the state is ours to save.
        self._stepper = cast(torch.optim.Optimizer, fabric.setup_optimizers(self.optimiser))

    def steps(
        self,
        tuples: Sequence[MinedQuery],
        random: np.random.Generator,
        *,
        epoch: int = 1,
        begin: float = 0.0,
        end: float = 1.0,
    ) -> Iterator[Step]:
        """Step through the tuples, ``recipe.batch_size`` queries at a time, in their order.

        Args:
            tuples: what to learn from.
            random: what views and augmentation are drawn from.
            epoch: counted from 1; with ``begin`` and ``end``, the shares of it that lie before
                these steps and before their end, it gives the learning rate.
            begin: see there.
            end: see there.

        Raises:
            ModelError: the loss is no longer finite.
            DataError: an image cannot be read any more.
        """
        self.model.train()
        batches = self._batches(tuples, random)
        windows = FeatureWindows(random) if self.recipe.augment == "features" else None
        change = ImageChanges(random) if self.recipe.augment == "images" else None
        features = self.features.stream([batch.images for batch in batches], change=change)
        for number, (batch, parts) in enumerate(zip(batches, features, strict=True)):
            share = begin + (end - begin) * number / len(batches)
            rate = learning_rate(self.recipe, epoch, share)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.zero_grad()
            loss = self._loss(batch, parts, windows)
            self.fabric.backward(loss)
            self._stepper.step()
            value = loss.item()
            if not math.isfinite(value):
                raise ModelError(f"the loss is {value}: lower --lr and continue with --resume")
            counts = len(batch.images), len(batch.triplets)
            yield Step(number + 1, len(batches), value, rate, *counts)

    def _batches(
        self, tuples: Sequence[MinedQuery], random: np.random.Generator
    ) -> list[TupleBatch]:
        groups = in_batches(tuples, self.recipe.batch_size)
        if self.places is None:
            return [assemble(group, self.dataset) for group in groups]
        return [self.places.assemble(group, random, self.features.readable) for group in groups]

    def _loss(
        self, batch: TupleBatch, parts: list[FeatureBatch], windows: FeatureWindows | None
    ) -> Tensor:
        with self.fabric.autocast():
            descriptors = self._describe(batch, parts, windows).float()
        return batch_loss(descriptors, batch, self.recipe)

    def _describe(
        self, batch: TupleBatch, parts: list[FeatureBatch], windows: FeatureWindows | None
    ) -> Tensor:
        """Descriptors (U, D) of the images of a batch, with gradients, in their order."""
        where = np.concatenate([np.empty(0, np.int64), *(part.indices for part in parts)])
        if len(where) < len(batch.images):
            gone = self.features.images.path(int(np.setdiff1d(batch.images, where)[0]))
            raise DataError(
                f"{gone}: could be read before and cannot be read now; bring it back and continue "
                "with --resume"
            )
        if windows is not None:
            windows.next_batch()
        described = [
            self.model.tail(part.features if windows is None else windows(part.features))
            for part in parts
        ]
        order = torch.from_numpy(np.argsort(where)).to(self.fabric.device)
        return torch.cat(described)[order]
