"""From a model, or from descriptors made elsewhere, to recall@N on a data set."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.descriptors import Descriptors, describe
from netvlad.errors import DataError
from netvlad.evaluation.recall import CUTOFFS, positives_of, recall_at
from netvlad.models import PlaceModel
from netvlad.search import search_exact
from netvlad.storage import drop_pages
from netvlad.types import Matches, Note, PlaceDataset, Recalls, Reporter, silent

_VALUES_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: the figures, the answers, and what they cost.

    Attributes:
        recalls: recall@N and its denominator.
        matches: (Q, 20) answers.
        descriptor_dim: D.
        seconds: wall time of ``"describe"`` (both sides) and ``"search"``.
        unreadable: what was wrong with each image that could not be used.
    """

    recalls: Recalls
    matches: Matches
    descriptor_dim: int
    seconds: dict[str, float]
    unreadable: tuple[str, ...] = ()


def evaluate(
    model_or_dataset: PlaceModel | PlaceDataset,
    dataset: PlaceDataset | None = None,
    *,
    database_descriptors: NDArray[np.floating[Any]] | None = None,
    query_descriptors: NDArray[np.floating[Any]] | None = None,
    descriptors: Path | None = None,
    storage: str = "32",
    cutoffs: Sequence[int] = CUTOFFS,
    batch_size: int = 24,
    threads: int = 8,
    precision: str = "32",
    report: Reporter = silent,
) -> Evaluation:
    """Recall@N by exact search: ``evaluate(model, dataset)``, or with descriptors made elsewhere.

    ``evaluate(dataset, database_descriptors=(N, D), query_descriptors=(Q, D))`` takes the rows in
    the order of ``dataset.database`` and ``dataset.queries``; a row that is not finite stands for
    an image without descriptor: never returned, and missed.

    Args:
        model_or_dataset: the model, or the data set when descriptors are given.
        dataset: the data set when a model is given.
        database_descriptors: (N, D), with ``query_descriptors`` (Q, D).
        query_descriptors: see above.
        descriptors: a folder for ``database.npy`` and ``queries.npy``; memory then stays bounded
            whatever the number of images, and a run that was killed goes on. None keeps the
            descriptors in memory.
        storage: ``"32"`` or ``"16"``: how the descriptors are kept.
        cutoffs: the N of recall@N.
        batch_size: images per forward pass.
        threads: decoding threads.
        precision: ``"32"``, ``"bf16"`` or ``"16"``.
        report: receives progress and notes.

    Raises:
        DataError: no positions, or descriptors whose counts do not fit the data set.
        StorageError: ``descriptors`` holds those of something else, or cannot be written.
    """
    if isinstance(model_or_dataset, PlaceDataset):
        dataset = model_or_dataset
        database, queries = _given(dataset, database_descriptors, query_descriptors)
    else:
        if dataset is None:
            raise DataError("evaluate needs a data set: evaluate(model, dataset)")
        if database_descriptors is not None or query_descriptors is not None:
            raise DataError("give evaluate a model or descriptors, not both")
        sides = []
        for images, what in ((dataset.database, "database"), (dataset.queries, "queries")):
            sides.append(
                describe(
                    model_or_dataset,
                    images,
                    output=None if descriptors is None else descriptors / f"{what}.npy",
                    storage=storage,
                    batch_size=batch_size,
                    threads=threads,
                    precision=precision,
                    stage=f"Describing the {what}",
                    report=report,
                )
            )
        database, queries = sides
    device = "cpu" if isinstance(model_or_dataset, PlaceDataset) else model_or_dataset.device
    return evaluate_descriptors(
        dataset, database, queries, cutoffs=cutoffs, device=str(device), report=report
    )


def evaluate_descriptors(
    dataset: PlaceDataset,
    database: Descriptors,
    queries: Descriptors,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    device: str = "cpu",
    report: Reporter = silent,
) -> Evaluation:
    """The second half of :func:`evaluate`: search, then count.

    Raises:
        DataError: the data set has no positions.
    """
    positives = positives_of(dataset)
    if not positives.counts().any():
        report(
            Note(
                f"no query has a database image within {dataset.radius_m:g} m: every recall is 0; "
                "check that both lists use the same coordinates"
            )
        )
    started = time.perf_counter()
    matches = search_exact(
        queries.values,
        database.values,
        max(20, *cutoffs),
        query_mask=queries.readable,
        database_mask=database.readable,
        device=device,
    )
    searching = time.perf_counter() - started
    recalls = recall_at(
        matches,
        positives,
        len(dataset.database),
        cutoffs=cutoffs,
        unreadable_queries=int(np.sum(~queries.readable)),
        unreadable_database=int(np.sum(~database.readable)),
    )
    return Evaluation(
        recalls=recalls,
        matches=matches,
        descriptor_dim=int(queries.values.shape[1]),
        seconds={"describe": database.seconds + queries.seconds, "search": searching},
        unreadable=tuple(str(u.error) for u in (*database.unreadable, *queries.unreadable)),
    )


def _given(
    dataset: PlaceDataset,
    database: NDArray[np.floating[Any]] | None,
    queries: NDArray[np.floating[Any]] | None,
) -> tuple[Descriptors, Descriptors]:
    if database is None or queries is None:
        raise DataError("evaluate(dataset) needs database_descriptors and query_descriptors")
    sides = []
    for name, values, images in (
        ("database_descriptors", database, dataset.database),
        ("query_descriptors", queries, dataset.queries),
    ):
        if values.ndim != 2 or len(values) != len(images):
            raise DataError(
                f"{name} has shape {values.shape}, but {dataset.name} {dataset.split} has "
                f"{len(images)} images on that side"
            )
        sides.append(Descriptors(values, finite_rows(values)))
    return sides[0], sides[1]


def finite_rows(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which rows are finite, a block at a time: the array may be larger than memory."""
    finite = np.empty(len(values), dtype=np.bool_)
    rows = max(1, _VALUES_AT_ONCE // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        finite[start : start + rows] = np.isfinite(values[start : start + rows]).all(axis=1)
        drop_pages(values)
    return finite
