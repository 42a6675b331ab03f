"""Who takes part in an evaluation: models, and descriptors that were made elsewhere."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.evaluation.comparison import Competitor
from netvlad.models.describer import Describer
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel

_READ_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False)
class Entrant:
    """Who takes part: a model, or descriptors that were made elsewhere.

    Attributes:
        competitor: how it is called in tables.
        model: the model; None for descriptors.
        rows: (N, D) of the database and (Q, D) of the queries; None for a model.
    """

    competitor: Competitor
    model: Describer | None = None
    rows: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None = None


def model_entrant(model: Describer, name: str, source: str) -> Entrant:
    """A model as it takes part."""
    settings: dict[str, Any] = {"resize": model.resize, "descriptor_dim": model.descriptor_dim}
    if isinstance(model, PlaceModel):
        settings = model.spec.to_json() | settings
    return Entrant(Competitor(name, source, model_fingerprint(model), settings), model=model)


def descriptor_entrant(database: Path, queries: Path, name: str) -> Entrant:
    """Two files of descriptors as they take part.

    Raises:
        DataError: a file is no (n, D) matrix of numbers, or they differ in D.
    """
    rows = (_matrix(database), _matrix(queries))
    if rows[0].shape[1] != rows[1].shape[1]:
        raise DataError(
            f"{queries}: descriptors of {rows[1].shape[1]} dimensions, but those of {database} "
            f"have {rows[0].shape[1]}; give two files of the same model"
        )
    digest = hashlib.sha256()
    for path in (database, queries):
        with path.open("rb") as file:
            while block := file.read(_READ_AT_ONCE):
                digest.update(block)
    settings = {"descriptor_dim": rows[0].shape[1], "dtype": str(rows[0].dtype)}
    source = f"{database} {queries}"
    return Entrant(Competitor(name, source, digest.hexdigest()[:16], settings), rows=rows)


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
