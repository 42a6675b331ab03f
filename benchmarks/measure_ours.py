"""Our side: the package as ``netvlad train`` and ``netvlad test`` use it.

Steps are in a file of their own: what the trainer imports is not in the memory of the rest.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.models import image_size, our_model
from benchmarks.samples import (
    evaluation_sample,
    mined_block,
    open_split,
    recipe,
    refresh_sample,
)
from benchmarks.setting import Setting
from benchmarks.timing import median_seconds, seconds_of
from netvlad.cli.main import keep_freed_memory
from netvlad.evaluation import evaluate
from netvlad.models import PlaceModel
from netvlad.training.features import TrunkFeatures
from netvlad.training.mining import mine, mining_task
from netvlad.types import ImageSet

Measured = dict[str, Any]


def trunk_features(
    setting: Setting, model: PlaceModel, images: ImageSet, cache: Path
) -> TrunkFeatures:
    """The trunk's output of some images, kept in the folder ``cache``."""
    return TrunkFeatures(model, images, cache=cache, compute=setting.compute)


def mining(setting: Setting) -> Measured:
    """A block of queries at once, as between two refreshes; seconds are per query."""
    keep_freed_memory()
    train = open_split(setting, "train")
    task = mining_task(train, recipe(setting))
    values = np.load(setting.work / "descriptors.npy")
    split = len(train.database)
    queries = mined_block(task, setting.sizes.block)

    def block(kept: dict[int, Any]) -> Any:
        random = np.random.default_rng(1)
        return mine(
            task, queries, values[split:], values[:split], kept, random, device=setting.device
        )

    kept = dict(block({}).kept)
    seconds = median_seconds(
        lambda: block(kept), repeats=setting.sizes.block_repeats, warm_up=0, device=setting.device
    )
    return {"seconds": seconds / len(queries), "queries": len(queries), "tuples": len(kept)}


def trunk_build(setting: Setting) -> Measured:
    """The frozen trunk's output of the refresh sample, written to disk."""
    model, images = _warm_model(setting)
    shutil.rmtree(_refresh_cache(setting), ignore_errors=True)
    found = trunk_features(setting, model, images, _refresh_cache(setting))
    seconds = seconds_of(lambda: found.prepare(stage="Frozen trunk"), device=setting.device)
    return {"seconds": seconds, "images": len(images), "per_image": seconds / len(images)}


def cache_refresh(setting: Setting) -> Measured:
    """All descriptors of the refresh sample, from the trunk's output on disk."""
    keep_freed_memory()
    model, images = our_model(setting), refresh_sample(setting)
    found = trunk_features(setting, model, images, _refresh_cache(setting))
    found.prepare(stage="Frozen trunk")
    values = found.describe(stage="Refresh")
    seconds = median_seconds(
        lambda: found.describe(stage="Refresh"),
        repeats=3,
        warm_up=0,
        device=setting.device,
    )
    np.save(setting.work / "refresh-ours.npy", values)
    return {"seconds": seconds, "images": len(images), "per_image": seconds / len(images)}


def evaluation(setting: Setting) -> Measured:
    """Describe a part of val, search it, count."""
    model, _ = _warm_model(setting)
    sample = evaluation_sample(setting)
    found: list[Any] = []
    seconds = seconds_of(
        lambda: found.append(
            evaluate(
                model,
                sample,
                compute=setting.compute,
            )
        ),
        device=setting.device,
    )
    images = len(sample.database) + len(sample.queries)
    return {
        "seconds": seconds,
        "images": images,
        "per_image": seconds / images,
        "parts": found[0].seconds,
        "recalls": {str(n): value for n, value in found[0].recalls.at.items()},
        "answers": found[0].matches.indices[:, :5].tolist(),
    }


def _warm_model(setting: Setting) -> tuple[PlaceModel, ImageSet]:
    """The model after a first batch, which pays for what is set up once, and the refresh sample."""
    keep_freed_memory()
    model, images = our_model(setting), refresh_sample(setting)
    pixels = torch.zeros(setting.sizes.batch, 3, *image_size(images), dtype=torch.uint8)
    with torch.inference_mode(), setting.compute.autocast(model.device):
        model(pixels.to(setting.device))
    return model, images


def _refresh_cache(setting: Setting) -> Path:
    return setting.work / "trunk-refresh"
