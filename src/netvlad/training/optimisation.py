"""Optimiser, learning rate and loss as a recipe names them."""

import math

import torch
from torch import Tensor, nn

from netvlad.training.batches import TupleBatch
from netvlad.training.losses import (
    hardest_triplets_loss,
    mil_nce_loss,
    multi_similarity_loss,
    triplet_loss,
)
from netvlad.training.recipes import Recipe

NEGATIVES_PER_PAIR = 5  # of the whole batch, for the hardest-triplets loss


def build_optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for ``parameters``."""
    if recipe.optim == "sgd":
        return torch.optim.SGD(
            parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    if recipe.optim == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr)
    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, epoch: int, share: float) -> float:
    """The rate at ``share`` (in [0, 1)) of ``epoch`` (counted from 1)."""
    if recipe.schedule == "step":
        return float(recipe.lr * recipe.lr_gamma ** (epoch // recipe.lr_step))
    done = min(1.0, (epoch - 1 + share) / recipe.epochs)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))


def batch_loss(descriptors: Tensor, batch: TupleBatch, recipe: Recipe) -> Tensor:
    """The recipe's loss of a batch, a scalar.

    Args:
        descriptors: (U, D) of ``batch.images``, in their order.
        batch: triplets and pairs.
        recipe: names the loss and its margin.
    """
    device = descriptors.device
    if recipe.loss == "triplet":
        return triplet_loss(descriptors, batch.triplets.to(device), margin=recipe.margin)
    pairs = batch.positive_pairs.to(device), batch.negative_pairs.to(device)
    if recipe.loss == "hardest-triplets":
        return hardest_triplets_loss(
            descriptors, *pairs, margin=recipe.margin, negatives=NEGATIVES_PER_PAIR
        )
    if recipe.loss == "mil-nce":
        return mil_nce_loss(descriptors, *pairs, temperature=recipe.temperature)
    return multi_similarity_loss(descriptors, *pairs)
