"""The original's evaluation: descriptors in double precision, then faiss over float32 copies."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.original.refresh import described
from netvlad.evaluation.recall import positives_of
from netvlad.types import PlaceDataset

CUTOFFS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class OriginalEvaluation:
    """Recall@N over all queries, and the first answers (Q, 20) of each."""

    recalls: dict[int, float]
    answers: NDArray[np.int64]


def evaluate(
    model: nn.Module, dim: int, dataset: PlaceDataset, *, batch_size: int, workers: int
) -> OriginalEvaluation:
    """Describe both sides of ``dataset`` with ``model`` (descriptors of length ``dim``), search."""
    images = dataset.database.joined(dataset.queries)
    values = np.empty((len(images), dim))
    row = 0
    for part in described(model, images, batch_size=batch_size, workers=workers):
        values[row : row + len(part)] = part
        row += len(part)
    split = len(dataset.database)
    answers = search(values[split:].astype("float32"), values[:split].astype("float32"))
    positives = positives_of(dataset)
    rows = [positives.row(query) for query in range(len(positives))]
    return OriginalEvaluation(recall(answers, rows), answers)


def search(
    queries: NDArray[np.float32], database: NDArray[np.float32], k: int = max(CUTOFFS)
) -> NDArray[np.int64]:
    """The ``k`` nearest rows of ``database`` to each query, by exact L2 search."""
    index = faiss.IndexFlatL2(database.shape[1])
    index.add(database)
    answers: NDArray[np.int64] = index.search(queries, k)[1]
    return answers


def recall(answers: NDArray[np.int64], positives: Sequence[NDArray[np.int64]]) -> dict[int, float]:
    """The share of queries with a correct answer in their first N, query by query."""
    correct = dict.fromkeys(CUTOFFS, 0)
    for found, right in zip(answers, positives, strict=True):
        for n in CUTOFFS:
            correct[n] += bool(np.isin(found[:n], right).any())
    return {n: count / len(answers) for n, count in correct.items()}
