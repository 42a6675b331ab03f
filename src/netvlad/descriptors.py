"""A model run over an :class:`~netvlad.types.ImageSet`."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.images import Unreadable, load_batches
from netvlad.models import PlaceModel
from netvlad.types import ImageSet, Note, Progress, Reporter, silent


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of an image set.

    Attributes:
        values: (N, D) float32, L2-normalised; zero where the image could not be used.
        readable: (N,) whether row i describes its image.
        unreadable: what was wrong with each of the others.
        seconds: wall time spent.
    """

    values: NDArray[np.float32]
    readable: NDArray[np.bool_]
    unreadable: tuple[Unreadable, ...] = ()
    seconds: float = 0.0


@torch.inference_mode()
def describe(
    model: PlaceModel,
    images: ImageSet,
    *,
    batch_size: int = 24,
    threads: int = 8,
    precision: str = "32",
    stage: str = "Describing images",
    report: Reporter = silent,
) -> Descriptors:
    """Describe every image of ``images`` with ``model``, on the model's device.

    An image that cannot be used is reported, gets a zero row, and the work goes on.

    Args:
        model: used in evaluation mode and left in the mode it was in.
        images: N images, of any sizes (a batch holds images of one size).
        batch_size: images per forward pass.
        threads: decoding threads; 0 decodes in this one.
        precision: ``"32"``, or ``"bf16"`` / ``"16"`` for autocast; descriptors are float32.
        stage: the progress bar's label.
        report: receives progress and notes.

    Returns:
        (N, D) descriptors in the order of ``images``.
    """
    started = time.perf_counter()
    values = np.zeros((len(images), model.descriptor_dim), dtype=np.float32)
    readable = np.zeros(len(images), dtype=np.bool_)
    unreadable: list[Unreadable] = []
    was_training = model.training
    model.eval()
    try:
        for batch in load_batches(
            images,
            batch_size=batch_size,
            resize=model.spec.resize,
            minimum_size=model.minimum_size,
            threads=threads,
        ):
            if isinstance(batch, Unreadable):
                unreadable.append(batch)
                report(Note(f"skipped {batch.error}"))
                continue
            with autocast(model.device, precision):
                described = model(batch.images.to(model.device, non_blocking=True))
            values[batch.indices] = described.float().cpu().numpy()
            readable[batch.indices] = True
            report(Progress(stage, int(readable.sum()) + len(unreadable), len(images)))
    finally:
        model.train(was_training)
    return Descriptors(values, readable, tuple(unreadable), time.perf_counter() - started)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of a ``--precision``: off for ``"32"``."""
    dtype = torch.float16 if precision == "16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "32")
