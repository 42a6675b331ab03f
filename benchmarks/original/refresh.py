"""The original's refresh: every train image through the whole network, into an HDF5 file."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.original.images import image_loader
from netvlad.types import ImageSet

DATASET = "features"


@torch.no_grad()
def described(
    model: nn.Module, images: ImageSet, *, batch_size: int, workers: int
) -> Iterator[NDArray[np.float32]]:
    """Descriptors batch by batch, (B, K·D) float32 each."""
    device = next(model.parameters()).device
    model.eval()
    batches = image_loader(
        images, batch_size=batch_size, workers=workers, pin_memory=device.type == "cuda"
    )
    for batch in batches:
        yield model(batch.to(device, non_blocking=True)).cpu().numpy()


def create_file(path: Path, rows: int, dim: int) -> None:
    """An HDF5 file with room for (rows, dim) float32."""
    with h5py.File(path, "w") as file:
        file.create_dataset(DATASET, (rows, dim), dtype=np.float32)


def refresh(
    model: nn.Module,
    images: ImageSet,
    path: Path,
    *,
    batch_size: int,
    workers: int,
    first_row: int = 0,
) -> None:
    """Describe ``images`` into the file at ``path``, batch by batch, from ``first_row`` on."""
    with h5py.File(path, "r+") as file:
        row = first_row
        for values in described(model, images, batch_size=batch_size, workers=workers):
            file[DATASET][row : row + len(values)] = values
            row += len(values)
