"""An :class:`ImageSet` as batches of uint8 images, decoded in several threads."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import ImageError, SettingsError
from netvlad.images.decoding import Pixels, Resize, check_resize, read_image
from netvlad.types import ImageSet

_WAITING_BATCHES = 8
_WAITING_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one size.

    Attributes:
        indices: (B,) int64, where they stand in their image set.
        images: (B, 3, H, W) uint8 RGB on the CPU, in the channels-last memory format: as decoders
            write pixels, and as convolutions like to read them.
    """

    indices: NDArray[np.int64]
    images: torch.Tensor


@dataclass(frozen=True, eq=False)
class Unreadable:
    """An image that is left out of the batches.

    Attributes:
        index: where it stands in its image set.
        error: the file and what is wrong with it.
    """

    index: int
    error: ImageError


def load_batches(
    image_set: ImageSet,
    *,
    batch_size: int,
    indices: Sequence[int] | NDArray[np.integer] | None = None,
    resize: Resize = None,
    sections: Sequence[int] | None = None,
    minimum_size: int = 1,
    threads: int = 8,
    pin_memory: bool = False,
) -> Iterator[Batch | Unreadable]:
    """Decode the images of a set in several threads and hand them out in batches of one size.

    Images of different sizes wait apart until ``batch_size`` of one size are together. The batches
    are the same whatever the number of threads. Memory is bounded whatever the length of the set:
    about one batch is decoded ahead, and at most 8 batches, or 1 GiB, wait; beyond that
    the size with the most waiting images is handed out early.

    With ``sections``, nothing of one section waits for the next, while decoding goes on across
    them: the batches of a section depend on that section alone, so that work can be taken up again
    at its beginning and come out the same, and so that a training step gets its images together.

    Args:
        image_set: the images.
        batch_size: how many images make a full batch.
        indices: which images, in which order; None takes all.
        resize: (height, width) for every image, or the most the longer side may have; None keeps
            each size.
        sections: how many of the images, in their order, make up each section; they add up to all.
            None is one section.
        minimum_size: an image with a shorter side counts as unreadable (pixels, after resizing).
        threads: how many decode at once; 0 decodes in the calling thread.
        pin_memory: whether batches lie in page-locked memory, from which a GPU fetches them while
            the processor goes on; needs one.

    Yields:
        a :class:`Batch`, or an :class:`Unreadable` as soon as one is met. What is left at the end
        comes in the order in which the first image of each size was asked for.

    Raises:
        SettingsError: a setting is out of range (at the call, not at the first batch).
    """
    if batch_size < 1 or threads < 0:
        told = f"batch_size is {batch_size} and threads is {threads}"
        raise SettingsError(f"{told}; at least 1 and 0 are needed")
    check_resize(resize)
    order = np.arange(len(image_set)) if indices is None else np.asarray(indices, np.int64)
    if len(order) and (order.min() < 0 or order.max() >= len(image_set)):
        raise SettingsError(f"indices reach beyond the {len(image_set)} images of {image_set.root}")
    ends = np.cumsum([len(order)] if sections is None else sections).tolist()
    if (ends or [0])[-1] != len(order):
        raise SettingsError(f"sections of {sum(sections or ())} images for {len(order)} to load")
    loader = _Loader(image_set, resize, minimum_size, threads)
    return _batches(loader, order, ends, batch_size, pin_memory)


@dataclass(frozen=True)
class _Loader:
    image_set: ImageSet
    resize: Resize
    minimum_size: int
    threads: int

    def load(self, index: int) -> Pixels | ImageError:
        path = self.image_set.path(index)
        try:
            pixels = read_image(path, resize=self.resize)
        except ImageError as error:
            # A fresh one: the traceback and the cause would keep half-decoded images alive.
            return ImageError(path, error.reason)
        least, (height, width, _) = self.minimum_size, pixels.shape
        if min(height, width) < least:
            needed = f"the model needs at least {least}×{least}"
            return ImageError(path, f"is {height}×{width} pixels (height×width); {needed}")
        return pixels

    def in_order(
        self, order: NDArray[np.int64], ahead: int
    ) -> Generator[tuple[int, Pixels | ImageError], None, None]:
        todo = iter(order.tolist())
        if self.threads == 0:
            yield from ((index, self.load(index)) for index in todo)
            return
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="netvlad-images")
        pending: deque[tuple[int, Future[Pixels | ImageError]]] = deque()
        try:
            for index in islice(todo, ahead + 2 * self.threads):
                pending.append((index, pool.submit(self.load, index)))
            while pending:
                index, future = pending.popleft()
                result = future.result()
                for following in islice(todo, 1):
                    pending.append((following, pool.submit(self.load, following)))
                yield index, result
        finally:
            # Reached on Ctrl-C and when the consumer stops early, too: nobody waits for the rest.
            pool.shutdown(wait=False, cancel_futures=True)


def _batches(
    loader: _Loader,
    order: NDArray[np.int64],
    section_ends: list[int],
    batch_size: int,
    pin_memory: bool,
) -> Iterator[Batch | Unreadable]:
    with closing(loader.in_order(order, ahead=batch_size)) as results:
        done = 0
        for end in section_ends:
            for members in _by_size(islice(results, end - done), batch_size):
                yield members if isinstance(members, Unreadable) else _stack(members, pin_memory)
            done = end


def _by_size(
    results: Iterable[tuple[int, Pixels | ImageError]], batch_size: int
) -> Iterator[list[tuple[int, Pixels]] | Unreadable]:
    """Group decoded images of one size, as :func:`load_batches` says."""
    waiting: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    number, size_bytes = 0, 0
    for index, result in results:
        if isinstance(result, ImageError):
            yield Unreadable(index, result)
            continue
        bucket = result.shape
        waiting.setdefault(bucket, []).append((index, result))
        number, size_bytes = number + 1, size_bytes + result.nbytes
        if len(waiting[bucket]) < batch_size:
            if number <= _WAITING_BATCHES * batch_size and size_bytes <= _WAITING_BYTES:
                continue
            # The order of arrival breaks ties, so the choice depends on the images alone.
            bucket = max(waiting, key=lambda shape: len(waiting[shape]))
        members = waiting.pop(bucket)
        number -= len(members)
        size_bytes -= sum(pixels.nbytes for _, pixels in members)
        yield members
    while waiting:
        yield waiting.pop(next(iter(waiting)))


def _stack(members: list[tuple[int, Pixels]], pin_memory: bool) -> Batch:
    shape = (len(members), *members[0][1].shape)
    stacked = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)
    for target, (_, pixels) in zip(stacked.numpy(), members, strict=True):
        np.copyto(target, pixels)
    indices = np.array([index for index, _ in members], np.int64)
    return Batch(indices, stacked.permute(0, 3, 1, 2))
