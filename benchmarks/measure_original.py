"""The original's side of each measurement."""

from dataclasses import replace
from functools import partial
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks.models import image_size, our_model
from benchmarks.original.evaluation import OriginalEvaluation, evaluate
from benchmarks.original.mining import OriginalMiner, negative_lists, with_numpy
from benchmarks.original.model import OriginalModel, like
from benchmarks.original.refresh import DATASET, create_file, refresh
from benchmarks.original.training import build_optimiser, steps
from benchmarks.samples import (
    evaluation_sample,
    mined_block,
    open_split,
    recipe,
    refresh_sample,
    step_sample,
)
from benchmarks.setting import CHANNELS, NUM_CLUSTERS, Setting
from benchmarks.timing import seconds_of
from netvlad.training.mining import MinedQuery, mining_task
from netvlad.types import ImageSet

DIM = NUM_CLUSTERS * CHANNELS
Measured = dict[str, Any]


def mining(setting: Setting) -> Measured:
    """Query by query from the HDF5 file, whose pages are in memory after a first pass."""
    train = open_split(setting, "train")
    chosen = recipe(setting)
    task = mining_task(train, chosen)
    queries = mined_block(task, setting.sizes.mined_queries).tolist()
    seconds, bare_seconds = [], []
    with h5py.File(setting.work / "descriptors.hdf5", "r") as file:
        miner = OriginalMiner(
            file[DATASET],
            len(train.database),
            task.potential_positives,
            negative_lists(task.not_negatives, len(train.database)),
            pool=chosen.negative_pool,
            count=chosen.negatives,
            margin=chosen.margin,
        )
        random = np.random.default_rng(1)
        first = [miner.mine(query, None, random) for query in queries]
        bare = replace(miner, search=with_numpy)
        for query, found in zip(queries, first, strict=True):
            kept = None if found is None else found.negatives
            seconds.append(seconds_of(partial(miner.mine, query, kept, random)))
            bare_seconds.append(seconds_of(partial(bare.mine, query, kept, random)))
    return {
        "seconds": float(np.median(seconds)),
        "seconds_with_numpy_instead_of_scikit_learn": float(np.median(bare_seconds)),
        "queries": len(queries),
        "tuples": sum(found is not None for found in first),
    }


def cache_refresh(setting: Setting) -> Measured:
    """The refresh sample through the whole network into an HDF5 file."""
    model, images = _warm_model(setting)
    path = setting.work / "refresh.hdf5"

    def work() -> None:
        create_file(path, len(images), DIM)
        refresh(model, images, path, batch_size=setting.sizes.batch, workers=setting.threads)

    seconds = seconds_of(work, device=setting.device)
    return {"seconds": seconds, "images": len(images), "per_image": seconds / len(images)}


def training_steps(setting: Setting) -> Measured:
    """Optimiser steps over the step sample, from the image files."""
    sample = step_sample(setting)
    model = like(our_model(setting))
    optimiser = build_optimiser(model)
    batch = setting.sizes.step_batch

    def work(tuples: tuple[MinedQuery, ...]) -> list[float]:
        return steps(
            model, optimiser, sample.dataset, tuples, batch_size=batch, workers=setting.threads
        )

    losses = work(sample.tuples[:batch])
    seconds = seconds_of(lambda: losses.extend(work(sample.tuples)), device=setting.device)
    return {
        "seconds": seconds,
        "queries": len(sample.tuples),
        "per_query": seconds / len(sample.tuples),
        "average_loss": float(np.mean(losses)),
    }


def evaluation(setting: Setting) -> Measured:
    """Describe a part of val, search it with faiss, count."""
    model, _ = _warm_model(setting)
    sample = evaluation_sample(setting)
    found: list[OriginalEvaluation] = []
    seconds = seconds_of(
        lambda: found.append(
            evaluate(model, DIM, sample, batch_size=setting.sizes.batch, workers=setting.threads)
        ),
        device=setting.device,
    )
    images = len(sample.database) + len(sample.queries)
    return {
        "seconds": seconds,
        "images": images,
        "per_image": seconds / images,
        "recalls": {str(n): value for n, value in found[0].recalls.items()},
        "answers": found[0].answers[:, :5].tolist(),
    }


def _warm_model(setting: Setting) -> tuple[OriginalModel, ImageSet]:
    """The model after a first batch, which pays for what is set up once, and the refresh sample."""
    model, images = like(our_model(setting)), refresh_sample(setting)
    with torch.no_grad():
        model(torch.zeros(setting.sizes.batch, 3, *image_size(images), device=setting.device))
    return model, images
