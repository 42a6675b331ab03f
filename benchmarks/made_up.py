"""A data set and weights out of nothing, for machines that have neither, and for the tests.

Times do not depend on what pictures show, nor on what a network knows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.mining_data import made_positions
from benchmarks.setting import CHANNELS, CLUSTER_FILE, NUM_CLUSTERS, SEED, TRUNK_FILE
from netvlad.fitting import Clusters, write_clusters
from netvlad.models import vgg16

_GRAIN = (
    8  # pixels between the corners of the colour mosaic; JPEG files come out as large as photos
)


@dataclass(frozen=True)
class Counts:
    """How many images a split has; a file may serve several of them."""

    database: int
    queries: int
    files: int


def write_data(folder: Path, splits: dict[str, Counts], size: tuple[int, int]) -> None:
    """A data set in the csv layout: along a street, an image each 3 m, ``size`` (height, width)."""
    for number, (split, counts) in enumerate(splits.items()):
        random = np.random.default_rng([SEED, number])
        (folder / split).mkdir(parents=True)
        names = [f"{split}/{file:04d}.jpg" for file in range(counts.files)]
        for name in names:
            Image.fromarray(picture(size, random)).save(folder / name, quality=90)
        lines = ["image,easting,northing,role"]
        database = made_positions(counts.database)
        where = random.choice(counts.database, counts.queries, replace=False)
        queries = database[where] + random.uniform(-2, 2, (counts.queries, 2))
        for role, positions in (("database", database), ("query", queries)):
            for east, north in positions:
                name = names[len(lines) % len(names)]
                lines.append(f"{name},{500_000 + east:.2f},{5_000_000 + north:.2f},{role}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


def picture(size: tuple[int, int], random: np.random.Generator) -> NDArray[np.uint8]:
    """(height, width, 3): smooth colours with noise on them."""
    height, width = size
    corners = random.integers(0, 256, (height // _GRAIN + 1, width // _GRAIN + 1, 3), np.uint8)
    smooth = Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth) + random.normal(0, 4, (height, width, 1))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_weights(folder: Path) -> None:
    """A VGG16 that was never trained, in half precision, and centres that were never fitted."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    network = vgg16()
    for layer in network:
        if isinstance(layer, torch.nn.Conv2d):
            # Keeps the activations' size from layer to layer, as trained weights do.
            torch.nn.init.kaiming_normal_(layer.weight)
    state = {f"features.{key}": value.half() for key, value in network.state_dict().items()}
    torch.save(state, folder / TRUNK_FILE)
    random = np.random.default_rng(SEED)
    centres, samples = (
        _unit(random.standard_normal((count, CHANNELS), dtype=np.float32))
        for count in (NUM_CLUSTERS, 4 * NUM_CLUSTERS)
    )
    write_clusters(folder / CLUSTER_FILE, Clusters(centres, samples))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
