"""From images to descriptors, with bounded memory whatever their number."""

import time
from pathlib import Path

from netvlad.compute import Compute
from netvlad.descriptors.described import Descriptors, storage_dtype
from netvlad.descriptors.in_file import describe_in_file
from netvlad.descriptors.passes import fill
from netvlad.descriptors.rows import FileRows, MemoryRows
from netvlad.models import Describer
from netvlad.types import ImageSet, Reporter, silent


def describe(
    model: Describer,
    images: ImageSet,
    *,
    output: Path | None = None,
    storage: str = "32",
    compute: Compute = Compute(),
    stage: str = "Describing images",
    report: Reporter = silent,
) -> Descriptors:
    """Describe every image of ``images`` with ``model``.

    An image that cannot be used is reported, gets a zero row, and the work goes on.

    With ``output`` the rows go straight into a file, so that memory stays bounded whatever their
    number. A run that was killed is gone on with, with the same result; finished descriptors of
    the same model and images are opened instead of computed.

    Args:
        model: moved to ``compute.device``; used in evaluation mode and left in the mode it was
            in.
        images: N images, of any sizes (a batch holds images of one size).
        output: the ``.npy`` file to write; a ``.json`` beside it tells what it was made from. None
            keeps the descriptors in memory.
        storage: ``"32"`` keeps float32; ``"16"`` float16, half as large, accurate to 5e-4.
        compute: where and how.
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
    dtype = storage_dtype(storage)
    model = compute.place(model)

    def complete(rows: MemoryRows | FileRows) -> None:
        fill(rows, model, model, images, compute=compute, stage=stage, report=report)

    if output is not None:
        return describe_in_file(
            model,
            images,
            output,
            complete,
            storage=storage,
            precision=compute.precision,
            stage=stage,
            report=report,
        )
    memory = MemoryRows((len(images), model.descriptor_dim), dtype)
    complete(memory)
    seconds = time.perf_counter() - started
    return Descriptors.of(*memory.finish(), seconds=seconds, computed=len(images))
