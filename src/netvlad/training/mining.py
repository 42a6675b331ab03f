"""Hard negatives: one matrix product per block of queries, all in the parent process.

Section 4.2 and appendix A of the NetVLAD paper (Arandjelović et al., CVPR 2016): a query's positive
is the nearest of its potential positives; its negatives are the hardest among random ones and those
that were hard last time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.compute import Compute
from netvlad.errors import DataError
from netvlad.geography import radius_neighbours
from netvlad.training.recipes import Recipe
from netvlad.types import Neighbours, PlaceDataset

DISTANCES_AT_ONCE = 16_000_000  # floats of one block of the distance matrix: 64 MB
VALUES_AT_ONCE = 32_000_000  # floats of the database in one matrix product: 128 MB


@dataclass(frozen=True, eq=False)
class MiningTask:
    """What stays the same during a training.

    Attributes:
        potential_positives: per query, database images near enough to show the same place.
        not_negatives: per query, database images too near to be a negative.
        num_positives: the most per query, like ``num_negatives``.
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
    return MiningTask(
        radius_neighbours(queries, database, positive_radius_m(train, recipe)),
        radius_neighbours(queries, database, train.radius_m),
        num_positives=recipe.positives,
        num_negatives=recipe.negatives,
        pool_size=recipe.negative_pool,
        margin=recipe.margin,
    )


def positive_radius_m(train: PlaceDataset, recipe: Recipe) -> float:
    """How far apart a query and a positive may be, in metres."""
    # A positive beyond the radius could be mined as a negative as well.
    return min(recipe.positive_radius_m or train.train_radius_m, train.radius_m)


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
    query_descriptors: NDArray[np.floating[Any]],
    database_descriptors: NDArray[np.floating[Any]],
    kept: Mapping[int, NDArray[np.int64]],
    random: np.random.Generator,
    *,
    query_readable: NDArray[np.bool_] | None = None,
    database_readable: NDArray[np.bool_] | None = None,
    device: torch.device | str = "auto",
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
        device: where distances are computed and compared; ``"auto"`` takes a GPU if there is one.

    Returns:
        The tuples. Memory beside the descriptors stays below a fixed size.
    """
    device = Compute(device=str(device)).torch_device()
    usable = database_readable
    if usable is None:
        usable = np.ones(len(database_descriptors), dtype=np.bool_)
    asked = queries if query_readable is None else queries[query_readable[queries]]
    step = max(1, DISTANCES_AT_ONCE // max(1, len(usable)))
    tuples: list[MinedQuery] = []
    with_positive = 0
    for start in range(0, len(asked), step):
        block = asked[start : start + step]
        squared = _squared_distances(query_descriptors[block], database_descriptors, device)
        pairs = _pairs(task.potential_positives, block, usable)
        positive_distance, positive = _nearest(squared, pairs, task.num_positives)
        found = np.flatnonzero(np.isfinite(positive_distance[:, 0]))
        with_positive += len(found)
        negative_distance, negative = _hardest(task, block, found, squared, usable, kept, random)
        reach = positive_distance[found, :1] + task.margin**0.5
        violates = negative_distance < reach
        for row, at in enumerate(found.tolist()):
            if violates[row].any():
                positives = positive[at][np.isfinite(positive_distance[at])]
                tuples.append(MinedQuery(int(block[at]), positives, negative[row][violates[row]]))
    return Mined(
        tuple(tuples),
        {t.query: t.negatives for t in tuples},
        without_positive=len(queries) - with_positive,
        without_violator=with_positive - len(tuples),
    )


def _squared_distances(
    queries: NDArray[np.floating[Any]],
    database: NDArray[np.floating[Any]],
    device: torch.device | str,
) -> Tensor:
    """(B, N) float32, the database going through in blocks of bounded size."""
    points = torch.from_numpy(queries).to(device).float()
    squared = torch.empty((len(points), len(database)), device=device)
    rows = max(1, VALUES_AT_ONCE // max(1, database.shape[1]))
    for start in range(0, len(database), rows):
        block = torch.from_numpy(database[start : start + rows]).to(device).float()
        norms = torch.linalg.vector_norm(block, dim=1).square_()
        # ‖q − d‖² = ‖q‖² + ‖d‖² − 2 q·d
        squared[:, start : start + rows] = torch.addmm(norms, points, block.T, alpha=-2.0)
    squared += torch.linalg.vector_norm(points, dim=1, keepdim=True).square_()
    return squared.clamp_min_(0.0)


def _nearest(
    squared: Tensor, pairs: tuple[NDArray[np.int64], NDArray[np.int64]], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Per row of (B, N) distances the nearest of given pairs: (B, count) distances, columns.

    The mask of what is given never exists as such: everything else is infinitely far.
    """
    where = tuple(torch.from_numpy(index).to(squared.device) for index in pairs)
    given = torch.full_like(squared, torch.inf)
    given[where] = squared[where]
    return _smallest(given, count)


def _smallest(squared: Tensor, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    best, columns = squared.topk(min(count, squared.shape[1]), dim=1, largest=False)
    return best.sqrt_().cpu().numpy(), columns.cpu().numpy()


def _pairs(
    neighbours: Neighbours, queries: NDArray[np.int64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ragged neighbours of a block, usable ones, as rows of the block and columns."""
    rows, columns = neighbours.subset(queries).pairs()
    return rows[usable[columns]], columns[usable[columns]]


def _hardest(
    task: MiningTask,
    block: NDArray[np.int64],
    found: NDArray[np.int64],
    squared: Tensor,
    usable: NDArray[np.bool_],
    kept: Mapping[int, NDArray[np.int64]],
    random: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The nearest negatives of the queries ``block[found]``: (F, count) distances and columns."""
    rows = squared[torch.from_numpy(found).to(squared.device)]
    queries = block[found]
    if task.pool_size == 0:
        too_near = task.not_negatives.subset(queries).pairs()
        rows[tuple(torch.from_numpy(index).to(rows.device) for index in too_near)] = torch.inf
        rows.masked_fill_(torch.from_numpy(~usable).to(rows.device), torch.inf)
        return _smallest(rows, task.num_negatives)
    drawn = [
        _candidates(task, query, usable, kept.get(query), random) for query in queries.tolist()
    ]
    columns = np.concatenate([np.empty(0, np.int64), *drawn])
    which = np.repeat(np.arange(len(queries)), [len(candidates) for candidates in drawn])
    return _nearest(rows, (which, columns), task.num_negatives)


def _candidates(
    task: MiningTask,
    query: int,
    usable: NDArray[np.bool_],
    kept: NDArray[np.int64] | None,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Sorted, distinct negatives to look at: a random sample, and those kept from last time."""
    allowed = usable.copy()
    allowed[task.not_negatives.row(query)] = False
    # Draw so many that dropping what is not allowed leaves at least the pool, where there is one.
    count = min(len(usable), task.pool_size + int(np.count_nonzero(~allowed)))
    drawn = random.choice(len(usable), count, replace=False)
    drawn = drawn[allowed[drawn]][: task.pool_size]
    if kept is not None:
        drawn = np.concatenate([drawn, kept[allowed[kept]]])
    return np.unique(drawn)
