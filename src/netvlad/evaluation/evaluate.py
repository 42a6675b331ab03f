"""From a model, or from descriptors made elsewhere, to the figures of a protocol on a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors, describe
from netvlad.errors import DataError
from netvlad.evaluation.applying import apply
from netvlad.evaluation.by_protocol import ProtocolResult, Rows, evaluate_prepared, values_of
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.protocols import find_protocol, protocol_for
from netvlad.evaluation.recall import CUTOFFS
from netvlad.evaluation.sequences import SequenceSearch
from netvlad.models.describer import Describer
from netvlad.types import Matches, PlaceDataset, Recalls, Reporter, silent


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: the figures, the answers, and what they cost.

    Example:
        >>> from pathlib import Path
        >>> from netvlad import ImageSet
        >>> images = ImageSet(Path("a"), ("1.jpg", "2.jpg"), np.array([[0.0, 0], [100, 0]]))
        >>> dataset = PlaceDataset("mine", "test", images, images)
        >>> found = evaluate((np.eye(2), np.eye(2)), dataset, cutoffs=(1,))
        >>> found.recalls.at, found.matches.indices[:, 0].tolist(), found.descriptor_dim
        ({1: 1.0}, [0, 1], 2)

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


Evaluated = Describer | tuple[Rows | str | Path, Rows | str | Path]
"""A model; or descriptors made elsewhere, of the database and of the queries: matrices (N, D) and
(Q, D), or the .npy files that hold them."""


def evaluate(
    model: Evaluated,
    dataset: PlaceDataset,
    protocol: Protocol | str | None = None,
    *,
    keep: str | Path | None = None,
    storage: str = "32",
    cutoffs: Sequence[int] = CUTOFFS,
    one_percent: bool = False,
    sequences: SequenceSearch | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Evaluation:
    """Recall@N by exact search, of a model or of descriptors made elsewhere.

    Args:
        model: describes the images; or ``(database, queries)``, rows in the order of the data set's
            images: (N, D) and (Q, D) matrices or the .npy files that hold them. A row that is not
            finite stands for an image without descriptor: never returned, and missed.
        dataset: the images, and what counts as right.
        protocol: the rules, or their name (``netvlad protocols`` lists them); None for the data
            set's own list or radius, all queries, one index.
        keep: a folder for ``database.npy`` and ``queries.npy``; memory then stays bounded whatever
            the number of images, and a run that was killed is resumed. None keeps the descriptors
            in memory.
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
        StorageError: ``keep`` holds descriptors of something else, or cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from netvlad import ImageSet
        >>> database = ImageSet(Path("a"), ("1.jpg", "2.jpg"), np.array([[0.0, 0], [100, 0]]))
        >>> queries = ImageSet(Path("b"), ("q.jpg",), np.array([[90.0, 0]]))
        >>> dataset = PlaceDataset("mine", "test", database, queries)
        >>> evaluate((np.eye(2), np.array([[0.1, 0.9]])), dataset, cutoffs=(1,)).recalls.at
        {1: 1.0}
    """
    if not isinstance(dataset, PlaceDataset):
        raise DataError(
            f"evaluate takes a model and a data set (netvlad.open_dataset), not a "
            f"{type(dataset).__name__}"
        )
    rules = find_protocol(protocol) if isinstance(protocol, str) else protocol
    prepared = apply(rules or protocol_for(dataset), dataset)
    if isinstance(model, tuple):
        sides = given_rows(model)
    else:
        sides = describe_sides(
            model,
            prepared.needed(),
            prepared.protocol,
            folder=None if keep is None else Path(keep),
            storage=storage,
            compute=compute,
            report=report,
        )
    result = evaluate_prepared(
        prepared,
        *sides,
        cutoffs=cutoffs,
        one_percent=one_percent,
        sequences=sequences,
        compute=compute,
        report=report,
    )
    return with_costs(result, *sides)


def given_rows(descriptors: tuple[Rows | str | Path, Rows | str | Path]) -> tuple[Rows, Rows]:
    """The (N, D) and (Q, D) rows of descriptors made elsewhere; files are mapped, not read.

    Raises:
        DataError: one is no (n, D) matrix of numbers, or they differ in D.
    """
    database, queries = (
        _matrix(Path(part)) if isinstance(part, str | Path) else part for part in descriptors
    )
    dims = [values_of(side).shape[-1] for side in (database, queries)]
    if dims[0] != dims[1]:
        names = [str(p) if isinstance(p, str | Path) else "the matrix" for p in descriptors]
        raise DataError(
            f"{names[1]}: descriptors of {dims[1]} dimensions, but those of {names[0]} have "
            f"{dims[0]}; give two of the same model"
        )
    return database, queries


def _matrix(path: Path) -> NDArray[np.floating[Any]]:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a .npy matrix: {error}") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f":
        what = getattr(values, "dtype", "an archive"), getattr(values, "shape", "")
        raise DataError(
            f"{path}: holds {what[0]} {what[1]}; descriptors are an (n, D) matrix of floats"
        )
    return values


def describe_sides(
    model: Describer,
    dataset: PlaceDataset,
    protocol: Protocol,
    *,
    folder: Path | None = None,
    storage: str = "32",
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> tuple[Rows, Rows]:
    """Describe the database and the queries, brought to size as the protocol says.

    ``folder`` is ``keep`` of :func:`evaluate`, which explains the others. Unless an engine is asked
    for by name torch runs the model, so that figures do not depend on what is installed.

    Raises:
        SettingsError: the protocol resizes images as the loader cannot.
        StorageError: the folder holds other descriptors, or cannot be written.
    """
    if compute.engine == "auto":
        compute = replace(compute, engine="torch")
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
    return database, queries


def with_costs(result: ProtocolResult, database: Rows, queries: Rows) -> Evaluation:
    """A result, with what the descriptors it was found from are like and took."""
    described = [side for side in (database, queries) if isinstance(side, Descriptors)]
    values = values_of(queries)
    return Evaluation(
        result=result,
        descriptor_dim=int(values.shape[1]),
        descriptor_bytes=int(values.shape[1]) * values.dtype.itemsize,
        seconds={"describe": sum(side.seconds for side in described), "search": result.seconds},
        described=sum(side.computed for side in described),
        unreadable=tuple(str(u.error) for side in described for u in side.unreadable),
    )
