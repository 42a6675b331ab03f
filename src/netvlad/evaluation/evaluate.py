"""From a model, or from descriptors made elsewhere, to the figures of a protocol on a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors, describe
from netvlad.errors import DataError
from netvlad.evaluation.applying import PreparedEvaluation, apply
from netvlad.evaluation.by_protocol import ProtocolResult, Rows, evaluate_prepared
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.protocols import find_protocol, protocol_for
from netvlad.evaluation.recall import CUTOFFS
from netvlad.evaluation.sequences import SequenceSearch
from netvlad.models.describer import Describer
from netvlad.types import Matches, PlaceDataset, Recalls, Reporter, silent


@dataclass(frozen=True, eq=False)
class Sides:
    """The descriptors of both sides of a data set.

    Attributes:
        database: of all database images, or of those that count under the protocol.
        queries: likewise.
    """

    database: Descriptors
    queries: Descriptors


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: the figures, the answers, and what they cost.

    Attributes:
        result: the answers, the protocol and what it made of the data set.
        descriptor_dim: D.
        descriptor_bytes: what one descriptor takes as it was stored.
        seconds: wall time of ``"describe"`` (both sides) and ``"search"``.
        described: how many images the wall time of ``"describe"`` was spent on; 0 for descriptors
            made elsewhere or earlier.
        unreadable: what was wrong with each image that could not be used.
    """

    result: ProtocolResult
    descriptor_dim: int
    descriptor_bytes: int
    seconds: Mapping[str, float]
    described: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def recalls(self) -> Recalls:
        """Recall@N and its denominator."""
        return self.result.recalls

    @property
    def matches(self) -> Matches:
        """(Q, k) answers to the queries that count, k at least 20."""
        return self.result.matches


def evaluate(
    model_or_dataset: Describer | PlaceDataset,
    dataset: PlaceDataset | None = None,
    *,
    protocol: Protocol | str | None = None,
    database_descriptors: NDArray[np.floating[Any]] | None = None,
    query_descriptors: NDArray[np.floating[Any]] | None = None,
    descriptors: Path | None = None,
    storage: str = "32",
    cutoffs: Sequence[int] = CUTOFFS,
    one_percent: bool = False,
    sequences: SequenceSearch | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Evaluation:
    """Recall@N by exact search: ``evaluate(model, dataset)``, or with descriptors made elsewhere.

    ``evaluate(dataset, database_descriptors=(N, D), query_descriptors=(Q, D))`` takes the rows in
    the order of ``dataset.database`` and ``dataset.queries``; a row that is not finite stands for
    an image without descriptor: never returned, and missed.

    Args:
        model_or_dataset: the model, or the data set when descriptors are given.
        dataset: the data set when a model is given.
        protocol: the rules, or their name (``netvlad protocols`` lists them); None for the data
            set's own list or radius, all queries, one index.
        database_descriptors: (N, D), with ``query_descriptors`` (Q, D).
        query_descriptors: see above.
        descriptors: a folder for ``database.npy`` and ``queries.npy``; memory then stays bounded
            whatever the number of images, and a run that was killed goes on. None keeps the
            descriptors in memory.
        storage: ``"32"`` or ``"16"``: how the descriptors are kept.
        cutoffs: the N of recall@N.
        one_percent: whether there are to be answers enough for recall@1 %.
        sequences: match each query with the frames around it; None searches single images.
        compute: where and how.
        report: receives progress and notes.

    Raises:
        DataError: the data set lacks what the protocol needs, such as positions, or descriptors
            whose counts do not fit it.
        SettingsError: there is no such protocol, it is for other data sets, or it resizes images as
            the loader cannot.
        StorageError: ``descriptors`` holds those of something else, or cannot be written.
    """
    rules = find_protocol(protocol) if isinstance(protocol, str) else protocol
    if isinstance(model_or_dataset, PlaceDataset):
        if database_descriptors is None or query_descriptors is None:
            raise DataError("evaluate(dataset) needs database_descriptors and query_descriptors")
        prepared = apply(rules or protocol_for(model_or_dataset), model_or_dataset)
        sides: tuple[Rows, Rows] = (database_descriptors, query_descriptors)
    else:
        if dataset is None:
            raise DataError("evaluate needs a data set: evaluate(model, dataset)")
        if database_descriptors is not None or query_descriptors is not None:
            raise DataError("give evaluate a model or descriptors, not both")
        prepared = apply(rules or protocol_for(dataset), dataset)
        described = describe_sides(
            model_or_dataset,
            prepared.needed(),
            prepared.protocol,
            folder=descriptors,
            storage=storage,
            compute=compute,
            report=report,
        )
        sides = (described.database, described.queries)
    return evaluate_rows(
        prepared,
        *sides,
        cutoffs=cutoffs,
        one_percent=one_percent,
        sequences=sequences,
        compute=compute,
        report=report,
    )


def describe_sides(
    model: Describer,
    dataset: PlaceDataset,
    protocol: Protocol,
    *,
    folder: Path | None = None,
    storage: str = "32",
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Sides:
    """Describe both sides of a data set, brought to size as the protocol says.

    Args:
        model: what describes.
        dataset: the images, all or those that count.
        protocol: its resizing is used, nothing else of it.
        folder: as ``descriptors`` of :func:`evaluate`; likewise the others.
        storage: see there.
        compute: see there.
        report: see there.

    Raises:
        SettingsError: the protocol resizes images as the loader cannot.
        StorageError: the folder holds other descriptors, or cannot be written.
    """
    # Both are asked before an hour is spent on the first.
    for_database = model.resized(protocol.resizing_of("database").for_loader(model.resize))
    for_queries = model.resized(protocol.resizing_of("queries").for_loader(model.resize))
    database, queries = (
        describe(
            network,
            images,
            output=None if folder is None else folder / f"{what}.npy",
            storage=storage,
            compute=compute,
            stage=f"Describing the {what}",
            report=report,
        )
        for network, images, what in (
            (for_database, dataset.database, "database"),
            (for_queries, dataset.queries, "queries"),
        )
    )
    return Sides(database, queries)


def evaluate_rows(
    prepared: PreparedEvaluation,
    database: Rows,
    queries: Rows,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    one_percent: bool = False,
    sequences: SequenceSearch | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Evaluation:
    """The second half of :func:`evaluate`: search, then count.

    Raises:
        DataError: the number of descriptors fits neither all images nor those that count.
        SettingsError: sequences are asked for where images are left out or not in one traverse.
    """
    result = evaluate_prepared(
        prepared,
        database,
        queries,
        cutoffs=cutoffs,
        one_percent=one_percent,
        sequences=sequences,
        compute=compute,
        report=report,
    )
    described = [side for side in (database, queries) if isinstance(side, Descriptors)]
    values = queries.values if isinstance(queries, Descriptors) else queries
    return Evaluation(
        result=result,
        descriptor_dim=int(values.shape[1]),
        descriptor_bytes=int(values.shape[1]) * values.dtype.itemsize,
        seconds={"describe": sum(side.seconds for side in described), "search": result.seconds},
        described=sum(side.computed for side in described),
        unreadable=tuple(str(u.error) for side in described for u in side.unreadable),
    )
