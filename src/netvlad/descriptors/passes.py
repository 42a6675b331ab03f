"""One pass of a network over an image set, in sections that a kill cannot take back."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.compute import Compute
from netvlad.images import Unreadable, load_batches
from netvlad.models import Describer
from netvlad.models.describer import evaluating
from netvlad.types import ImageSet, Note, Progress, Reporter

SECTION = 256  # images: what a kill may cost


class Sink(Protocol):
    """Where the results of a pass go.

    Attributes:
        sections_done: sections that an earlier run has brought to safety.
    """

    sections_done: int

    def write(self, indices: NDArray[np.int64], results: Tensor) -> None:
        """Take the results (B, ...) of images ``indices`` (B,), from any device."""

    def leave_out(self, image: Unreadable) -> None:
        """Take note that an image has none."""

    def close_section(self) -> None:
        """Bring a complete section to safety."""


@torch.inference_mode()
def fill(
    sink: Sink,
    model: Describer,
    network: Callable[[Tensor], Tensor],
    images: ImageSet,
    *,
    compute: Compute,
    stage: str,
    report: Reporter,
) -> None:
    """Run ``network`` over all images that ``sink`` does not have yet.

    Args:
        sink: receives the results, section by section.
        model: whose ``network`` it is, on its device; in evaluation mode meanwhile.
        network: from (B, 3, H, W) uint8 images to results (B, ...).
        images: of any sizes; a batch holds images of one size.
        compute: how.
        stage: the progress bar's label.
        report: receives progress and notes.
    """
    total = len(images)
    done = min(sink.sections_done * SECTION, total)
    if done:
        report(Note(f"{stage}: resumed after {done} of {total} images"))
    sections = [min(SECTION, total - start) for start in range(done, total, SECTION)]
    with evaluating(model):
        for part in results_of(
            model, network, images, compute, indices=np.arange(done, total), sections=sections
        ):
            if isinstance(part, Unreadable):
                sink.leave_out(part)
                report(Note(f"skipped {part.error}"))
                done += 1
            else:
                sink.write(*part)
                done += len(part[0])
            # No batch reaches across sections, so every end of one is met exactly.
            if done % SECTION == 0 or done == total:
                sink.close_section()
            report(Progress(stage, done, total))


def results_of(
    model: Describer,
    network: Callable[[Tensor], Tensor],
    images: ImageSet,
    compute: Compute,
    *,
    indices: NDArray[np.int64],
    sections: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> Iterator[tuple[NDArray[np.int64], Tensor] | Unreadable]:
    """What a network, in the mode it is in, says of each batch of images, or why one has no say.

    The first arguments are those of :func:`fill`, the others those of
    :func:`~netvlad.images.load_batches`; ``batch_size`` is ``compute``'s unless given.
    """
    device = model.device
    for batch in load_batches(
        images,
        indices=indices,
        batch_size=batch_size or compute.batch_size,
        resize=model.resize,
        sections=sections,
        minimum_size=model.minimum_size,
        threads=compute.threads,
        pin_memory=device.type == "cuda",
    ):
        if isinstance(batch, Unreadable):
            yield batch
            continue
        with compute.autocast(device):
            results = network(batch.images.to(device, non_blocking=True))
        yield batch.indices, results
