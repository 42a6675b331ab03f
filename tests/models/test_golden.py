"""Descriptors of real photographs, against those that pytorch-NetVlad computed."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.images import read_image
from netvlad.models import ModelSpec, PlaceModel, build_model

ROLES = ("database", "query")


@pytest.fixture(scope="module")
def features(shared: Path) -> Tensor:
    """The maps of the first eight database and query images, computed once for all poolings."""
    model = vgg16_with(shared, "avg")
    with (shared / "data/cambridge/val.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [[row["image"] for row in rows if row["role"] == role][:8] for role in ROLES]
    maps = []
    with torch.inference_mode():
        for name in names[0] + names[1]:
            image = torch.from_numpy(read_image(shared / "data/cambridge" / name))
            maps.append(model.trunk(image.permute(2, 0, 1)[None]))
    return torch.cat(maps)


def vgg16_with(shared: Path, pooling: str) -> PlaceModel:
    return build_model(ModelSpec(pooling=pooling), weights=shared / "weights/vgg16_hed_fp16.pth")


@pytest.mark.parametrize(
    ("pooling", "stored"), [("netvlad", "netvlad64"), ("avg", "avg"), ("max", "max")]
)
def test_descriptors(shared: Path, features: Tensor, pooling: str, stored: str) -> None:
    model = vgg16_with(shared, pooling)
    if pooling == "netvlad":
        with h5py.File(shared / "weights/vgg16_pitts30k_64_desc_cen.hdf5") as file:
            centres, descriptors = map(
                torch.from_numpy, (file["centroids"][:], file["descriptors"][:])
            )
        model.pool.init_from_clusters(centres, descriptors)  # type: ignore[operator]
    golden = np.load(shared / f"golden/cambridge_val_vgg16_{stored}.npz")
    expected: NDArray[np.float32] = np.concatenate(
        [golden[f"{role}_descriptors_first_8"] for role in ROLES]
    )
    with torch.inference_mode():
        output = model.tail(features).numpy()
    np.testing.assert_allclose(output, expected, atol=1e-4)
