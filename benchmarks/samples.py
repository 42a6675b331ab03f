"""The fixed samples that both sides work on, drawn with one seed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.setting import SEED, Setting
from netvlad.datasets import open_dataset
from netvlad.training.mining import MinedQuery, MiningTask, mining_task
from netvlad.training.recipes import Recipe
from netvlad.types import ImageSet, PlaceDataset


@dataclass(frozen=True, eq=False)
class StepSample:
    """Tuples to step over, and the images they need.

    Attributes:
        dataset: the images of the tuples, nothing else.
        tuples: numbered as in ``dataset``.
    """

    dataset: PlaceDataset
    tuples: tuple[MinedQuery, ...]


def open_split(setting: Setting, split: str) -> PlaceDataset:
    """One split of the data set that is measured on."""
    return open_dataset("csv", setting.data, split)


def recipe(setting: Setting) -> Recipe:
    """pytorch-NetVlad's settings, with the numbers of this run."""
    sizes = setting.sizes
    return Recipe(
        epochs=1,
        batch_size=sizes.step_batch,
        cache_refresh_rate=sizes.block,
        negatives=sizes.negatives,
        negative_pool=sizes.pool,
        seed=SEED,
    )


def usable_queries(task: MiningTask) -> NDArray[np.int64]:
    """The queries with a positive near enough to learn from."""
    return np.flatnonzero(task.potential_positives.counts() > 0)


def mined_block(task: MiningTask, size: int) -> NDArray[np.int64]:
    """The queries of one block, in an epoch's random order."""
    return np.random.default_rng(SEED).permutation(usable_queries(task))[:size]


def refresh_sample(setting: Setting) -> ImageSet:
    """Train images to describe, database first."""
    train = open_split(setting, "train")
    databases, queries = setting.sizes.refresh
    return _some(train.database, databases).joined(_some(train.queries, queries))


def evaluation_sample(setting: Setting) -> PlaceDataset:
    """A part of val, with its positions."""
    val = open_split(setting, "val")
    databases, queries = setting.sizes.evaluation
    return replace(
        val, database=_some(val.database, databases), queries=_some(val.queries, queries)
    )


def step_sample(setting: Setting) -> StepSample:
    """Queries with their nearest positive on the ground and random negatives from elsewhere."""
    train = open_split(setting, "train")
    task = mining_task(train, recipe(setting))
    random = np.random.default_rng(SEED)
    usable = usable_queries(task)
    count = min(len(usable), setting.sizes.step_queries)
    queries = np.sort(random.choice(usable, size=count, replace=False))
    found = [_tuple(train, task, query, setting.sizes.negatives, random) for query in queries]
    images = np.unique(np.concatenate([np.append(t.negatives, t.positives) for t in found]))
    return StepSample(
        replace(
            train, database=train.database.subset(images), queries=train.queries.subset(queries)
        ),
        tuple(
            MinedQuery(
                number,
                np.searchsorted(images, t.positives),
                np.searchsorted(images, t.negatives),
            )
            for number, t in enumerate(found)
        ),
    )


def _tuple(
    train: PlaceDataset, task: MiningTask, query: int, negatives: int, random: np.random.Generator
) -> MinedQuery:
    assert train.database.positions is not None and train.queries.positions is not None
    near = task.potential_positives.row(query)
    away = np.linalg.norm(train.database.positions[near] - train.queries.positions[query], axis=1)
    far = np.setdiff1d(np.arange(len(train.database)), task.not_negatives.row(query))
    drawn = random.choice(far, size=min(len(far), negatives), replace=False)
    return MinedQuery(int(query), near[away.argmin()][None], drawn)


def _some(images: ImageSet, count: int) -> ImageSet:
    random = np.random.default_rng(SEED)
    chosen = random.choice(len(images), size=min(count, len(images)), replace=False)
    return images.subset(np.sort(chosen))
