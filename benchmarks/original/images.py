"""The original's images: decoded by workers, made float and normalised on the CPU."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from netvlad.training.mining import MinedQuery
from netvlad.types import ImageSet, PlaceDataset

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def read(images: ImageSet, index: int) -> Tensor:
    """One image as (3, H, W) float32: RGB / 255, then ImageNet's mean and deviation."""
    with Image.open(images.path(index)) as file:
        pixels = np.array(file.convert("RGB"))
    scaled = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)
    return (scaled - _MEAN) / _DEVIATION


class ImageFiles(Dataset[Tensor]):
    """Every image of a set, in its order."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return read(self.images, index)


class TupleFiles(Dataset[Tensor]):
    """The images of each mined tuple: query, positive, negatives, as (2 + n, 3, H, W)."""

    def __init__(self, dataset: PlaceDataset, tuples: Sequence[MinedQuery]) -> None:
        self.dataset = dataset
        self.tuples = tuples

    def __len__(self) -> int:
        return len(self.tuples)

    def __getitem__(self, index: int) -> Tensor:
        mined = self.tuples[index]
        database = [int(mined.positives[0]), *mined.negatives.tolist()]
        return torch.stack(
            [
                read(self.dataset.queries, mined.query),
                *(read(self.dataset.database, image) for image in database),
            ]
        )


def image_loader(
    images: ImageSet, *, batch_size: int, workers: int, pin_memory: bool = False
) -> DataLoader[Tensor]:
    """Batches (B, 3, H, W) of a whole set."""
    return DataLoader(
        ImageFiles(images), batch_size=batch_size, num_workers=workers, pin_memory=pin_memory
    )


def tuple_loader(
    dataset: PlaceDataset,
    tuples: Sequence[MinedQuery],
    *,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
) -> DataLoader[list[Tensor]]:
    """The images of ``batch_size`` tuples at a time, a tensor per tuple."""
    return DataLoader(
        TupleFiles(dataset, tuples),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        pin_memory=pin_memory,
    )
