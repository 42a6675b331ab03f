"""Hard negatives: one matrix product per block of queries, all in the parent process.

Section 4.2 and appendix A of the NetVLAD paper (Arandjelović et al., CVPR 2016): a query's positive
is the nearest of its potential positives; its negatives are the hardest among random ones and those
that were hard last time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.geography import Neighbours, radius_neighbours
from netvlad.training.recipes import Recipe
from netvlad.types import PlaceDataset

DISTANCES_AT_ONCE = 16_000_000  # floats of one sub-block of the distance matrix: 64 MB


@dataclass(frozen=True, eq=False)
class MiningTask:
    """What stays the same during a training.

    Attributes:
        potential_positives: per query, database images near enough to show the same place.
        not_negatives: per query, database images too near to be a negative.
        num_positives: the most positives per query.
        num_negatives: the most negatives per query.
        pool_size: random negatives looked at per query; 0 looks at all of them.
        margin: the loss's margin; a negative counts when it violates it.
    """

    potential_positives: Neighbours
    not_negatives: Neighbours
    num_positives: int = 1
    num_negatives: int = 10
    pool_size: int = 1000
    margin: float = 0.1


def mining_task(train: PlaceDataset, recipe: Recipe) -> MiningTask:
    """The neighbours of a training split, and what a recipe wants mined.

    Raises:
        DataError: the data set has no positions.
    """
    database, queries = train.database.positions, train.queries.positions
    if database is None or queries is None:
        raise DataError(f"{train.name} {train.split}: training needs positions of all images")
    # A positive beyond the radius could be mined as a negative as well.
    reach = min(recipe.positive_radius_m or train.train_radius_m, train.radius_m)
    return MiningTask(
        potential_positives=radius_neighbours(queries, database, reach),
        not_negatives=radius_neighbours(queries, database, train.radius_m),
        num_positives=recipe.positives,
        num_negatives=recipe.negatives,
        pool_size=recipe.negative_pool,
        margin=recipe.margin,
    )


@dataclass(frozen=True, eq=False)
class MinedQuery:
    """One training tuple: a query, its positives (nearest first), its negatives (hardest first)."""

    query: int
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mined:
    """The tuples of one block, and what became of its other queries.

    Attributes:
        tuples: queries with a positive and at least one violating negative, in the order asked.
        kept: for each query of ``tuples``, the negatives to look at again next time.
        without_positive: queries skipped because no usable positive exists.
        without_violator: queries skipped because nothing violates the margin.
    """

    tuples: tuple[MinedQuery, ...]
    kept: Mapping[int, NDArray[np.int64]]
    without_positive: int
    without_violator: int


@torch.inference_mode()
def mine(
    task: MiningTask,
    queries: NDArray[np.int64],
    query_descriptors: NDArray[np.float32],
    database_descriptors: NDArray[np.float32],
    kept: Mapping[int, NDArray[np.int64]],
    random: np.random.Generator,
    *,
    query_readable: NDArray[np.bool_] | None = None,
    database_readable: NDArray[np.bool_] | None = None,
    device: torch.device | str = "cpu",
) -> Mined:
    """Find the positives and the hard negatives of a block of queries.

    A negative n of query q violates the margin when ‖q − n‖ < ‖q − p‖ + √margin, p being the
    nearest positive.

    Args:
        task: neighbours and settings.
        queries: (B,) query indices.
        query_descriptors: (Q, D) of all queries, current.
        database_descriptors: (N, D), current.
        kept: query -> negatives of its last tuple; not changed.
        random: draws the random negatives; the result depends on nothing else that is random.
        query_readable: (Q,) False where there is no descriptor.
        database_readable: (N,) likewise.
        device: where the distances are computed.

    Returns:
        The tuples; memory beside them stays below a fixed size times D.
    """
    num_database = len(database_descriptors)
    usable = np.ones(num_database, dtype=np.bool_)
    if database_readable is not None:
        usable &= database_readable
    database = torch.from_numpy(database_descriptors).to(device)
    norms = database.square().sum(1)
    step = max(1, DISTANCES_AT_ONCE // max(1, num_database))
    tuples: list[MinedQuery] = []
    without_positive = without_violator = 0
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        points = torch.from_numpy(query_descriptors[block]).to(device)
        squared = torch.addmm(norms[None, :], points, database.T, alpha=-2.0)
        squared += points.square().sum(1, keepdim=True)
        distances = squared.clamp_min_(0.0).sqrt_().cpu().numpy()
        for query, row in zip(block.tolist(), distances, strict=True):
            possible = task.potential_positives.row(query)
            positives = _nearest(possible[usable[possible]], row, task.num_positives)
            if len(positives) == 0 or (query_readable is not None and not query_readable[query]):
                without_positive += 1
                continue
            candidates = _candidates(task, query, usable, kept.get(query), random)
            violators = candidates[row[candidates] < row[positives[0]] + task.margin**0.5]
            if len(violators) == 0:
                without_violator += 1
                continue
            hardest = _nearest(violators, row, task.num_negatives)
            tuples.append(MinedQuery(query, positives, hardest))
    return Mined(
        tuple(tuples), {t.query: t.negatives for t in tuples}, without_positive, without_violator
    )


def _nearest(
    candidates: NDArray[np.int64], distances: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    return candidates[np.argsort(distances[candidates], kind="stable")[:count]]


def _candidates(
    task: MiningTask,
    query: int,
    usable: NDArray[np.bool_],
    kept: NDArray[np.int64] | None,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Sorted, distinct negatives to look at: a random sample, and those kept from last time."""
    too_near = task.not_negatives.row(query)
    allowed = usable.copy()
    allowed[too_near] = False
    if task.pool_size == 0:
        return np.flatnonzero(allowed)
    # Draw so many that dropping what is not allowed leaves at least the pool, where there is one.
    not_allowed = len(usable) - int(np.count_nonzero(allowed))
    drawn = random.choice(
        len(usable), size=min(len(usable), task.pool_size + not_allowed), replace=False
    )
    drawn = drawn[allowed[drawn]][: task.pool_size]
    if kept is not None:
        drawn = np.concatenate([drawn, kept[allowed[kept]]])
    return np.unique(drawn)
