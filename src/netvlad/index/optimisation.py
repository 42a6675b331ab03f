"""An index folder made smaller and faster: removed rows dropped, a search structure chosen."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError
from netvlad.fitting.whitening import (
    SAMPLE,
    fit_whitening,
    unwhiten_rows,
    whiten_rows,
    with_whitening,
)
from netvlad.index.probability import document_name
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.writer import IndexWriter, writing
from netvlad.matching.registry import MATCHERS
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.whitening import PartialWhitening, Whitening
from netvlad.search.approximate import Structure, build_structure
from netvlad.search.tuning import Trial, choose_structure
from netvlad.types import Note, Reporter, silent

KINDS = ("auto", "exact", "hnsw", "ivf-pq")
_BLOCK = 4096


@dataclass(frozen=True)
class Optimised:
    """What optimising did.

    Attributes:
        dropped: rows of removed places that are gone.
        dim: the dimension of descriptors now.
        kind: how places are searched: ``"exact"``, ``"hnsw"`` or ``"ivf-pq"``.
        trials: what was measured to choose that; empty where nothing had to be.
    """

    dropped: int
    dim: int
    kind: str
    trials: tuple[Trial, ...] = ()


def optimize_folder(
    folder: Path,
    *,
    kind: str = "auto",
    whiten: int | None = None,
    storage: str | None = None,
    seed: int = 123,
    report: Reporter = silent,
) -> Optimised:
    """Rewrite the matrix without removed rows, and choose how it is searched.

    Args:
        folder: the index.
        kind: ``"auto"`` takes the fastest of exact search, HNSW and IVF-PQ whose recall against
            exact is at least 0.99 at 20, as measured; exact search for small indexes.
        whiten: dimension that descriptors are reduced to, by a PCA whitening learned from them.
        storage: bits per value from now on; None leaves them.
        seed: of samples.
        report: receives progress and notes.

    Raises:
        SettingsError: ``kind`` or ``whiten`` is not possible.
        StorageError: another process is writing, or there is no room; the index is as it was.
    """
    if kind not in KINDS:
        raise SettingsError(f"--kind {kind}: choose one of {', '.join(KINDS)}")
    with writing(folder, "optimising") as writer:
        base = writer.base
        assert base is not None
        dropped = len(base.matrix) - len(base.rows)
        bits = storage or base.manifest.storage
        if dropped or whiten is not None or bits != base.manifest.storage:
            _rewrite(writer, base, whiten, bits, seed, report)
            writer.commit(report)
    # A transaction of its own: a kill while the structure is built leaves a tidy, exact index.
    with writing(folder, "optimising") as writer:
        assert writer.base is not None
        chosen, trials = _structure(writer.base, kind, seed, report)
        present = writer.base.manifest.structure
        if chosen is not None:
            writer.put_structure(chosen.write, chosen.about())
            writer.commit(report)
        elif present is not None:
            writer.drop_structure()
            writer.commit(report)
        dim = writer.base.manifest.dim
    return Optimised(dropped, dim, "exact" if chosen is None else chosen.kind, trials)


def _rewrite(
    writer: IndexWriter,
    base: FolderStore,
    whiten: int | None,
    storage: str,
    seed: int,
    report: Reporter,
) -> None:
    undone, whitening, dim = None, None, base.manifest.dim
    if whiten is not None:
        model = base.load_model()
        if isinstance(model.whitening, PartialWhitening):
            undone = model.whitening
        elif model.whitening is not None:
            raise SettingsError(
                f"{base.folder}: its descriptors are whitened to {dim} dimensions already; "
                "build the index anew for another dimension"
            )
        report(Note(f"learning a whitening to {whiten} dimensions"))
        rows = base.matrix
        if undone is not None:
            some = np.random.default_rng(seed).permutation(len(rows))[:SAMPLE]
            rows = unwhiten_rows(undone, rows[np.sort(some)])
        whitening, dim = fit_whitening(rows, whiten, seed=seed), whiten
        whitened = with_whitening(model, whitening)
        writer.put_model(whitened, model_fingerprint(whitened))
        # Probabilities were fitted to scores of the other descriptors.
        calibrations: tuple[bool | str, ...] = (False, *MATCHERS)
        for reranked in calibrations:
            name = document_name(reranked=reranked)
            if name in base.manifest.documents:
                report(Note(f"the {name} is dropped: run `netvlad index calibrate` again"))
                writer.put_document(name, None)
    writer.rewrite(_blocks(base, undone, whitening), dim, storage)


def _blocks(
    base: FolderStore, undone: PartialWhitening | None, whitening: Whitening | None
) -> Iterator[NDArray[Any]]:
    for start in range(0, len(base.rows), _BLOCK):
        block = base.matrix[base.rows[start : start + _BLOCK]]
        if undone is not None:
            block = unwhiten_rows(undone, block)
        yield block if whitening is None else whiten_rows(whitening, block.astype(np.float32))


def _structure(
    base: FolderStore, kind: str, seed: int, report: Reporter
) -> tuple[Structure | None, tuple[Trial, ...]]:
    if kind == "exact":
        return None, ()
    if kind == "auto":
        # Rows of places that were removed are gone by now: all of them are alive.
        choice = choose_structure(base.matrix, seed=seed, report=report)
        return choice.structure, choice.trials
    return build_structure(kind, base.matrix, seed=seed, report=report), ()
