"""Descriptors in a file: found there, gone on with, or begun, whoever computes them."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from netvlad.descriptors import passes
from netvlad.descriptors.described import Descriptors, storage_dtype
from netvlad.descriptors.rows import FileRows, read_finished
from netvlad.errors import SettingsError
from netvlad.images.identity import images_fingerprint
from netvlad.models import Describer
from netvlad.models.fingerprints import model_fingerprint
from netvlad.storage import locked
from netvlad.types import ImageSet, Note, Reporter, silent


def describe_in_file(
    model: Describer,
    images: ImageSet,
    output: Path,
    complete: Callable[[FileRows], None],
    *,
    storage: str,
    precision: str,
    stage: str,
    report: Reporter = silent,
) -> Descriptors:
    """Open the descriptors that a file holds, or have them written into it.

    What one way of computing them has begun another goes on with: the file knows what its rows
    depend on, not who wrote them.

    Args:
        model: describes the images.
        images: N images.
        output: the ``.npy`` file; a ``.json`` beside it tells what it was made from.
        complete: writes the rows that are missing, and closes their sections. Not called when the
            file is finished.
        storage: ``"32"`` or ``"16"`` bits per value.
        precision: of the arithmetic, ``"32"``, ``"bf16"`` or ``"16"``.
        stage: what the work is called in notes.
        report: receives notes.

    Returns:
        (N, D) descriptors in the order of ``images``, memory-mapped.

    Raises:
        StorageError: the file cannot be written, another process is writing it, or it holds
            descriptors of something else.
        SettingsError: ``storage`` is neither, or ``output`` is no ``.npy`` file.
    """
    started = time.perf_counter()
    dtype = storage_dtype(storage)
    if output.suffix != ".npy":
        raise SettingsError(f"{output}: descriptors go into a file whose name ends in .npy")
    identity = {
        "model": model_fingerprint(model),
        "images": images_fingerprint(images),
        "storage": storage,
        "precision": precision,
    }
    with locked(output.parent, f"writing {output.name}", name=f".{output.name}.lock"):
        missing = 0
        finished = read_finished(output, images, identity)
        if finished is not None:
            report(Note(f"{stage}: {len(images)} descriptors taken from {output}"))
        else:
            rows = FileRows(output, images, model.descriptor_dim, dtype, identity)
            with contextlib.closing(rows):
                missing = len(images) - min(rows.sections_done * passes.SECTION, len(images))
                complete(rows)
                finished = rows.finish()
    return Descriptors.of(*finished, seconds=time.perf_counter() - started, computed=missing)
