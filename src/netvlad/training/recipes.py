"""How to train: one frozen record of settings per architecture.

The values of ``vgg16`` and ``alexnet`` are pytorch-NetVlad's. Those of ``efficientnet-lite0`` were
chosen on held-out streets; docs/experiments.md tells how.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netvlad.errors import SettingsError

_CHOICES = {
    "optim": ("sgd", "adam", "adamw"),
    "loss": ("triplet", "hardest-triplets", "multi-similarity", "mil-nce"),
    "schedule": ("step", "cosine"),
    "augment": ("none", "features", "images"),
}
_FROM_1 = "epochs batch_size positives negatives eval_every lr_step"
_FROM_0 = "cache_refresh_rate negative_pool patience margin weight_decay views average_from"


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training, with pytorch-NetVlad's defaults.

    Attributes:
        epochs: passes over all training queries.
        batch_size: queries per optimiser step, each with its positives or views, and negatives.
        cache_batch_size: images per forward pass where no gradients are needed.
        cache_refresh_rate: queries between two refreshes of all descriptors; 0: once an epoch.
        optim: the optimiser: sgd, adam or adamw.
        lr: the learning rate.
        schedule: the course of the learning rate: step (lr·lr_gamma^⌊epoch/lr_step⌋, epochs
            counted from 1) or cosine (to zero over all epochs, step by step).
        lr_step: epochs between two cuts of the learning rate, with the schedule step.
        lr_gamma: what the learning rate is multiplied by at a cut.
        weight_decay: weight decay, for sgd and adamw.
        momentum: momentum, for sgd.
        loss: the loss: triplet (each query with its positive and its negatives), hardest-triplets,
            multi-similarity or mil-nce (each over all pairs of a batch).
        margin: the margin of the triplet losses and of what mining calls a violator.
        temperature: the temperature of mil-nce; the smaller, the more the nearest images decide.
        positives: positives per query, the nearest in descriptor space.
        positive_radius_m: how far from the query a positive may be (metres); None: as the data set
            says, usually 10.
        negatives: hard negatives per query.
        views: random other images within the positives' radius of each query and of each of its
            negatives, in place of the nearest positives; all images of a batch that are that near
            to each other are then positives. 0: the paper's tuples.
        negative_pool: random negatives looked at per query; 0: all of them.
        augment: how training images vary: none; features (windows of the trunk's output, mirrored
            batches); or images (light, colour, window), which makes every step run the whole
            network.
        average_from: the first epoch whose steps' weights are averaged; the average is validated
            and stored. 0: the last step's weights are.
        eval_every: epochs between two validations.
        patience: validations without a new best before training stops; 0: never.
        seed: governs order, mining and initialisation.
    """

    epochs: int = 30
    batch_size: int = 4
    cache_refresh_rate: int = 1000
    optim: str = "sgd"
    lr: float = 1e-4
    schedule: str = "step"
    lr_step: int = 5
    lr_gamma: float = 0.5
    weight_decay: float = 1e-3
    momentum: float = 0.9
    loss: str = "triplet"
    margin: float = 0.1
    temperature: float = 0.05
    positives: int = 1
    positive_radius_m: float | None = None
    negatives: int = 10
    views: int = 0
    negative_pool: int = 1000
    augment: str = "none"
    average_from: int = 0
    eval_every: int = 1
    patience: int = 10
    seed: int = 123

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingsError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}"
                )
        for name in _FROM_1.split():
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in _FROM_0.split():
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it cannot be negative")
        if self.positive_radius_m is not None and not self.positive_radius_m > 0:
            raise SettingsError(f"positive_radius_m is {self.positive_radius_m}; it must exceed 0")
        for name in ("lr", "temperature"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be above 0")

    def changed(self, settings: Mapping[str, Any]) -> "Recipe":
        """This recipe with those of ``settings`` that are not None and belong to a recipe."""
        known = {field.name for field in dataclasses.fields(self)}
        return dataclasses.replace(
            self, **{k: v for k, v in settings.items() if k in known and v is not None}
        )


RECIPES: dict[str, Recipe] = {
    "vgg16": Recipe(),
    "alexnet": Recipe(),
    "efficientnet-lite0": Recipe(
        epochs=5,
        batch_size=5,
        cache_refresh_rate=2000,  # once an epoch, where there are fewer queries than that
        optim="adamw",
        lr=1e-4,
        schedule="cosine",
        weight_decay=0.0,
        loss="mil-nce",
        margin=0.02,
        positive_radius_m=25.0,
        negatives=2,
        views=2,
    ),
}
