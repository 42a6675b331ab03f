"""Recall@N as the field computes it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.geography import radius_neighbours
from netvlad.types import Matches, Neighbours, PlaceDataset, Recalls

CUTOFFS = (1, 5, 10, 20)


def positives_of(dataset: PlaceDataset) -> Neighbours:
    """The correct answers of each query: as listed, or the images within ``dataset.radius_m``.

    Raises:
        DataError: the data set has neither a list nor positions.
    """
    if dataset.positives is not None:
        if len(dataset.positives) != len(dataset.queries):
            raise DataError(
                f"{dataset.name} {dataset.split}: positives of {len(dataset.positives)} queries, "
                f"but {len(dataset.queries)} queries"
            )
        return dataset.positives
    database, queries = dataset.database.positions, dataset.queries.positions
    if database is None or queries is None:
        raise DataError(
            f"{dataset.name} {dataset.split}: recall needs positions of database and queries"
        )
    return radius_neighbours(queries, database, dataset.radius_m)


def first_correct(matches: Matches, positives: Neighbours) -> NDArray[np.int64]:
    """The rank (0 = first) of the first correct answer of each query; k where there is none.

    Args:
        matches: (Q, k) answers, best first.
        positives: the correct database indices of the Q queries.
    """
    num_queries, k = matches.indices.shape
    rows = np.repeat(np.arange(num_queries), positives.counts())
    # One integer per (query, database image) pair makes membership a single sorted look-up.
    width = max(int(matches.indices.max(initial=0)), int(positives.indices.max(initial=0))) + 1
    correct_pairs = rows * width + positives.indices
    answers = np.arange(num_queries)[:, None] * width + matches.indices
    correct = np.isin(answers, correct_pairs) & (matches.indices >= 0)
    ranks: NDArray[np.int64] = np.where(correct.any(axis=1), correct.argmax(axis=1), k)
    return ranks


def recall_at(
    matches: Matches,
    positives: Neighbours,
    num_database: int,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    unreadable_queries: int = 0,
    unreadable_database: int = 0,
) -> Recalls:
    """Recall@N: the share of all queries with a correct answer among their first N.

    The denominator is all queries, those without any positive included, as in the NetVLAD paper's
    code (Arandjelović et al., CVPR 2016, section 5.1) and in pytorch-NetVlad.

    Raises:
        DataError: there are no queries, or ``matches`` and ``positives`` disagree on how many.
    """
    if len(matches.indices) != len(positives):
        raise DataError(
            f"{len(matches.indices)} answered queries but {len(positives)} in the truth"
        )
    if len(positives) == 0:
        raise DataError("recall needs at least one query")
    rank = first_correct(matches, positives)
    depth = matches.indices.shape[1]
    too_deep = [n for n in cutoffs if n > depth]
    if too_deep:
        raise DataError(f"recall@{too_deep[0]} needs {too_deep[0]} answers a query, not {depth}")
    return Recalls(
        at={n: float(np.mean(rank < n)) for n in cutoffs},
        num_queries=len(positives),
        num_database=num_database,
        queries_without_positives=int(np.sum(positives.counts() == 0)),
        unreadable_queries=unreadable_queries,
        unreadable_database=unreadable_database,
    )
