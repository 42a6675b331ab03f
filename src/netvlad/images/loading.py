"""An :class:`ImageSet` as batches of uint8 images, decoded in several threads."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import ImageError, SettingsError
from netvlad.images.decoding import Pixels, check_resize, read_image
from netvlad.types import ImageSet

_WAITING_BATCHES = 8
_WAITING_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one size.

    Attributes:
        indices: (B,) int64, where they stand in their image set.
        images: (B, 3, H, W) uint8 RGB, contiguous, on the CPU.
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
    resize: tuple[int, int] | None = None,
    minimum_size: int = 1,
    threads: int = 8,
) -> Iterator[Batch | Unreadable]:
    """Decode the images of a set in several threads and hand them out in batches of one size.

    Images of different sizes wait apart until ``batch_size`` of one size are together. The batches
    are the same whatever the number of threads. Memory is bounded whatever the length of the set:
    about one batch is decoded ahead, and at most 8 batches, or 1 GiB, wait; beyond that
    the size with the most waiting images is handed out early.

    Args:
        image_set: the images.
        batch_size: how many images make a full batch.
        indices: which images, in which order; None takes all.
        resize: (height, width) for every image; None keeps each size.
        minimum_size: an image with a shorter side counts as unreadable (pixels, after resizing).
        threads: how many decode at once; 0 decodes in the calling thread.

    Yields:
        a :class:`Batch`, or an :class:`Unreadable` as soon as one is met. What is left at the end
        comes in the order in which the first image of each size was asked for.

    Raises:
        SettingsError: a setting is out of range (at the call, not at the first batch).
    """
    if batch_size < 1 or threads < 0:
        raise SettingsError(
            f"batch_size is {batch_size} and threads is {threads}; at least 1 and 0 are needed"
        )
    check_resize(resize)
    order = np.arange(len(image_set)) if indices is None else np.asarray(indices, np.int64)
    if len(order) and (order.min() < 0 or order.max() >= len(image_set)):
        raise SettingsError(f"indices reach beyond the {len(image_set)} images of {image_set.root}")
    return _batches(_Loader(image_set, resize, minimum_size, threads), order, batch_size)


@dataclass(frozen=True)
class _Loader:
    image_set: ImageSet
    resize: tuple[int, int] | None
    minimum_size: int
    threads: int

    def load(self, index: int) -> Pixels | ImageError:
        path = self.image_set.path(index)
        try:
            pixels = read_image(path, resize=self.resize)
        except ImageError as error:
            # A fresh one: the traceback and the cause would keep half-decoded images alive.
            return ImageError(path, error.reason)
        if min(pixels.shape[:2]) < self.minimum_size:
            return ImageError(
                path,
                f"is {pixels.shape[0]}×{pixels.shape[1]} pixels (height×width); "
                f"the model needs at least {self.minimum_size}×{self.minimum_size}",
            )
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
    loader: _Loader, order: NDArray[np.int64], batch_size: int
) -> Iterator[Batch | Unreadable]:
    waiting: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    number, size_bytes = 0, 0
    with closing(loader.in_order(order, ahead=batch_size)) as results:
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
            yield _stack(members)
    while waiting:
        yield _stack(waiting.pop(next(iter(waiting))))


def _stack(members: list[tuple[int, Pixels]]) -> Batch:
    height, width, channels = members[0][1].shape
    # numpy's strided copy is several times faster than torch's on one thread.
    images = np.empty((len(members), channels, height, width), np.uint8)
    for target, (_, pixels) in zip(images, members, strict=True):
        np.copyto(target, pixels.transpose(2, 0, 1))
    indices = np.array([index for index, _ in members], np.int64)
    return Batch(indices, torch.from_numpy(images))
