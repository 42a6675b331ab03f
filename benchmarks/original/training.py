"""The original's steps: all images of four tuples described anew, and a loop over triplets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.original.images import tuple_loader
from benchmarks.original.model import OriginalModel
from netvlad.training.mining import MinedQuery
from netvlad.types import PlaceDataset


def build_optimiser(model: nn.Module) -> torch.optim.SGD:
    """Stochastic gradient descent over what is trained: conv5 and the layer."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.SGD(trained, lr=1e-4, momentum=0.9, weight_decay=1e-3)


def batch_loss(descriptors: Sequence[Tensor], *, margin: float = 0.1) -> Tensor:
    """The ranking loss, a triplet at a time, divided by the number of negatives.

    Args:
        descriptors: per tuple (2 + n, D): query, positive, negatives.
        margin: m; its root is added to distances.
    """
    triplet = nn.TripletMarginLoss(margin=margin**0.5, p=2, reduction="sum")
    loss = descriptors[0].new_zeros(())
    negatives = 0
    for rows in descriptors:
        for number in range(2, len(rows)):
            loss = loss + triplet(rows[0:1], rows[1:2], rows[number : number + 1])
            negatives += 1
    return loss / negatives


def step(model: OriginalModel, optimiser: torch.optim.Optimizer, images: Sequence[Tensor]) -> float:
    """One optimiser step over the images of a few tuples; returns the loss."""
    device = next(model.parameters()).device
    optimiser.zero_grad()
    descriptors = model(torch.cat(list(images)).to(device))
    loss = batch_loss(descriptors.split([len(part) for part in images]))
    loss.backward()
    optimiser.step()
    return loss.item()


def steps(
    model: OriginalModel,
    optimiser: torch.optim.Optimizer,
    dataset: PlaceDataset,
    tuples: Sequence[MinedQuery],
    *,
    batch_size: int,
    workers: int,
) -> list[float]:
    """Steps of ``batch_size`` tuples over all of ``tuples``; returns the losses."""
    model.train()
    batches = tuple_loader(
        dataset,
        tuples,
        batch_size=batch_size,
        workers=workers,
        pin_memory=next(model.parameters()).device.type == "cuda",
    )
    return [step(model, optimiser, images) for images in batches]
