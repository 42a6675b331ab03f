"""From images to descriptors, with bounded memory whatever their number."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.descriptors.passes import fill
from netvlad.descriptors.rows import FileRows, MemoryRows, read_finished
from netvlad.errors import SettingsError
from netvlad.images import Unreadable
from netvlad.images.identity import images_fingerprint
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.storage import locked
from netvlad.types import ImageSet, Note, Reporter, silent

STORAGE: dict[str, np.dtype[Any]] = {"32": np.dtype(np.float32), "16": np.dtype(np.float16)}


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of an image set.

    Attributes:
        values: (N, D) float32 or float16, L2-normalised; zero where the image could not be used.
            Memory-mapped and read-only when they lie in a file.
        readable: (N,) whether row i describes its image.
        unreadable: what was wrong with each of the others.
        seconds: wall time spent.
    """

    values: NDArray[np.floating[Any]]
    readable: NDArray[np.bool_]
    unreadable: tuple[Unreadable, ...] = ()
    seconds: float = 0.0


def describe(
    model: PlaceModel,
    images: ImageSet,
    *,
    output: Path | None = None,
    storage: str = "32",
    batch_size: int = 24,
    threads: int = 8,
    precision: str = "32",
    stage: str = "Describing images",
    report: Reporter = silent,
) -> Descriptors:
    """Describe every image of ``images`` with ``model``, on the model's device.

    An image that cannot be used is reported, gets a zero row, and the work goes on.

    With ``output`` the rows go straight into a file, so that memory stays bounded whatever their
    number. A run that was killed is gone on with, with the same result; finished descriptors of
    the same model and images are opened instead of computed.

    Args:
        model: used in evaluation mode and left in the mode it was in.
        images: N images, of any sizes (a batch holds images of one size).
        output: the ``.npy`` file to write; a ``.json`` beside it tells what it was made from. None
            keeps the descriptors in memory.
        storage: ``"32"`` keeps float32; ``"16"`` float16, half as large, accurate to 5e-4.
        batch_size: images per forward pass.
        threads: decoding threads; 0 decodes in this one.
        precision: ``"32"``, or ``"bf16"`` / ``"16"`` for autocast.
        stage: the progress bar's label.
        report: receives progress and notes.

    Returns:
        (N, D) descriptors in the order of ``images``.

    Raises:
        StorageError: the file cannot be written, another process is writing it, or it holds
            descriptors of something else.
        SettingsError: ``storage`` is neither, or ``output`` is no ``.npy`` file.
    """
    started = time.perf_counter()
    if storage not in STORAGE:
        raise SettingsError(f"storage is {storage!r}; choose 32 or 16")

    def run(rows: MemoryRows | FileRows) -> None:
        fill(
            rows,
            model,
            model,
            images,
            batch_size=batch_size,
            threads=threads,
            precision=precision,
            stage=stage,
            report=report,
        )

    if output is None:
        memory = MemoryRows((len(images), model.descriptor_dim), STORAGE[storage])
        run(memory)
        return _descriptors(*memory.finish(), time.perf_counter() - started)
    if output.suffix != ".npy":
        raise SettingsError(f"{output}: descriptors go into a file whose name ends in .npy")
    identity = {
        "model": model_fingerprint(model),
        "images": images_fingerprint(images),
        "storage": storage,
        "precision": precision,
    }
    with locked(output.parent, f"writing {output.name}", name=f".{output.name}.lock"):
        finished = read_finished(output, images, identity)
        if finished is not None:
            report(Note(f"{stage}: {len(images)} descriptors taken from {output}"))
            return _descriptors(*finished, time.perf_counter() - started)
        file = FileRows(output, images, model.descriptor_dim, STORAGE[storage], identity)
        with contextlib.closing(file):
            run(file)
            return _descriptors(*file.finish(), time.perf_counter() - started)


def _descriptors(
    values: NDArray[np.floating[Any]], unreadable: list[Unreadable], seconds: float
) -> Descriptors:
    readable = np.ones(len(values), dtype=np.bool_)
    readable[[image.index for image in unreadable]] = False
    return Descriptors(values, readable, tuple(unreadable), seconds)
