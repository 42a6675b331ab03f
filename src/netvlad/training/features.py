"""The frozen trunk's output of every training image: read from the trunk cache, or computed.

Nothing before the cut ever changes, and neither do the images; only the tail is worth computing
again and again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.compute import Compute
from netvlad.descriptors.passes import results_of
from netvlad.errors import StorageError
from netvlad.images import Unreadable
from netvlad.models import PlaceModel
from netvlad.models.describer import evaluating
from netvlad.trunk_cache import TrunkCache, open_trunk_cache
from netvlad.types import ImageSet, Note, Progress, Reporter, silent

ImageChange = Callable[[Tensor], Tensor]
"""Changes a batch of uint8 images (B, 3, H, W) on the device; gives uint8 or floats in 0…255."""


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Trunk outputs of one size.

    Attributes:
        indices: (B,) which images.
        features: (B, C, H, W) on the model's device, channels last; half precision from a cache.
    """

    indices: NDArray[np.int64]
    features: Tensor


class TrunkFeatures:
    """The trunk's output for an image set.

    Attributes:
        readable: (N,) False for images found unusable so far.
        cache: the open cache; None when outputs are computed.
    """

    def __init__(
        self,
        model: PlaceModel,
        images: ImageSet,
        *,
        cache: Path | None = None,
        compute: Compute = Compute(),
        report: Reporter = silent,
    ) -> None:
        """Nothing is computed yet.

        Args:
            model: whose trunk it is.
            images: N images.
            cache: the folder of trunk caches; None computes every output when it is asked for.
            compute: where and how.
            report: receives progress and notes.
        """
        self.model, self.images = compute.place(model), images
        self.compute, self.report = compute, report
        self.readable = np.ones(len(images), dtype=np.bool_)
        self.cache: TrunkCache | None = None
        self._cache_folder = cache
        self._resident: Tensor | None = None

    def prepare(self, *, stage: str, keep_unfinished: bool = True) -> None:
        """Open the cache, if there is one, as :func:`~netvlad.trunk_cache.open_trunk_cache`."""
        if self._cache_folder is None or self.model.encoder.cut == 0 or self.cache is not None:
            return
        self.cache = open_trunk_cache(
            self.model,
            self.images,
            self._cache_folder,
            compute=self.compute,
            stage=stage,
            keep_unfinished=keep_unfinished,
            report=self.report,
        )
        self.readable[[image.index for image in self.cache.unreadable]] = False
        if self.model.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.model.device)
            self.keep_on_device(free // 2)

    def keep_on_device(self, budget_bytes: int) -> bool:
        """Copy the cache to the model's device, if it fits and all images have one size.

        Without this the system keeps as much of the file in memory as it can spare. Whether it
        lies there now.
        """
        cache = self.cache
        usable = np.flatnonzero(self.readable)
        if cache is None or cache.size_bytes > budget_bytes or len(usable) == 0:
            return False
        if (cache.shapes[usable] != cache.shapes[usable[0]]).any():
            return False
        height, width, channels = cache.shapes[usable[0]].tolist()
        resident = torch.empty(
            (len(self.images), height, width, channels), dtype=cache.dtype, device=self.model.device
        )
        for start in range(0, len(usable), 256):
            part = usable[start : start + 256]
            maps = cache.read(part).permute(0, 2, 3, 1)
            resident[torch.from_numpy(part).to(resident.device)] = maps.to(resident.device)
        self._resident = resident
        return True

    def stream(
        self, groups: Sequence[NDArray[np.int64]], *, change: ImageChange | None = None
    ) -> Iterator[list[FeatureBatch]]:
        """The outputs of one group of images after the other; the next ones are fetched meanwhile.

        Args:
            groups: distinct image numbers each.
            change: what is done to the images first. Their outputs are then computed from the
                changed images, cache or not.

        Yields:
            For each group its outputs, batched by size; unusable images are left out.
        """
        wanted = [group[self.readable[group]] for group in groups]
        if self.cache is None or change is not None:
            yield from self._computed_groups(wanted, change)
            return
        # One thread: reading is copying, and the processor is wanted elsewhere.
        with ThreadPoolExecutor(1, thread_name_prefix="netvlad-features") as reader:
            todo = iter(wanted)
            pending = deque(reader.submit(self._read, group) for group in islice(todo, 2))
            while pending:
                parts = pending.popleft().result()
                pending.extend(reader.submit(self._read, group) for group in islice(todo, 1))
                device = self.model.device
                yield [
                    FeatureBatch(part.indices, part.features.to(device, non_blocking=True))
                    for part in parts
                ]

    @torch.no_grad()
    def describe(self, *, stage: str) -> NDArray[np.floating[Any]]:
        """Descriptors of all images by the model as it is now.

        Returns:
            (N, D) float32, or float16 where float32 would take more than half of what memory is
            free; zero rows for unusable images.
        """
        shape = (len(self.images), self.model.descriptor_dim)
        values: NDArray[np.floating[Any]] = np.zeros(shape, self._descriptor_type(shape))
        total, done = int(self.readable.sum()), 0
        with evaluating(self.model):
            for batch in self._all(self.compute.batch_size):
                with self.compute.autocast(self.model.device):
                    described = self.model.tail(batch.features)
                values[batch.indices] = described.float().cpu().numpy()
                done += len(batch.indices)
                if done < total:
                    self.report(Progress(stage, done, total))
        # Images found unusable on the way are never counted one by one.
        self.report(Progress(stage, total, total))
        return values

    def _descriptor_type(self, shape: tuple[int, int]) -> type[np.floating[Any]]:
        if shape[0] * shape[1] * 4 <= psutil.virtual_memory().available // 2:
            return np.float32
        self.report(Note("descriptors are kept in half precision: in full they would not fit"))
        return np.float16

    def _all(self, batch_size: int) -> Iterator[FeatureBatch]:
        everything = np.flatnonzero(self.readable)
        if self.cache is None:
            batches = self._computed(everything, [len(everything)], batch_size, None)
            yield from (batch for batch in batches if isinstance(batch, FeatureBatch))
            return
        # Images of one size together, so that batches are full.
        by_shape = everything[np.lexsort(self.cache.shapes[everything].T)]
        starts = range(0, len(by_shape), batch_size)
        for parts in self.stream([by_shape[start : start + batch_size] for start in starts]):
            yield from parts

    def _read(self, group: NDArray[np.int64]) -> list[FeatureBatch]:
        assert self.cache is not None
        if self._resident is not None:
            where = torch.from_numpy(group).to(self._resident.device)
            return [FeatureBatch(group, self._resident[where].permute(0, 3, 1, 2))]
        if len(group) == 0:
            return []
        pin = self.model.device.type == "cuda"
        _, which = np.unique(self.cache.shapes[group], axis=0, return_inverse=True)
        parts = [group[which.ravel() == number] for number in range(which.max() + 1)]
        return [FeatureBatch(part, self.cache.read(part, pin_memory=pin)) for part in parts]

    def _computed_groups(
        self, groups: Sequence[NDArray[np.int64]], change: ImageChange | None
    ) -> Iterator[list[FeatureBatch]]:
        sizes = [len(group) for group in groups]
        images = np.concatenate([np.empty(0, np.int64), *groups])
        batches = self._computed(images, sizes, max([1, *sizes]), change)
        for size in sizes:
            parts: list[FeatureBatch] = []
            met = 0
            while met < size:
                batch = next(batches)
                if isinstance(batch, Unreadable):
                    met += 1
                else:
                    met += len(batch.indices)
                    parts.append(batch)
            yield parts

    def _computed(
        self,
        indices: NDArray[np.int64],
        sections: Sequence[int],
        batch_size: int,
        change: ImageChange | None,
    ) -> Iterator[FeatureBatch | Unreadable]:
        def network(images: Tensor) -> Tensor:
            return self.model.trunk(images if change is None else change(images))

        for part in results_of(
            self.model,
            network,
            self.images,
            self.compute,
            indices=indices,
            sections=sections,
            batch_size=batch_size,
        ):
            if isinstance(part, Unreadable):
                self.readable[part.index] = False
                self.report(Note(f"left out of training: {part.error}"))
                yield part
            else:
                yield FeatureBatch(*part)


def prepare_caches(
    features: Mapping[str, TrunkFeatures | None], *, optional: bool, changed: bool, report: Reporter
) -> None:
    """Open or build the trunk cache of each of a training's image sets.

    Args:
        features: by what they are of (``"training"``), for the progress bar.
        optional: whether a cache that there is no room for is done without; otherwise a
            StorageError says so.
        changed: whether steps change their images, which a note then explains.
        report: receives notes.
    """
    if changed:
        report(
            Note(
                "the trunk cache serves refreshes and validation only: --augment images changes "
                "the images of every step, so steps run the whole network"
            )
        )
    for what, part in features.items():
        if part is None:
            continue
        if part.model.encoder.cut == 0:
            report(Note("no trunk cache: every layer is trained, so there is no frozen trunk"))
            return
        try:
            part.prepare(stage=f"Frozen trunk, {what} images", keep_unfinished=not optional)
        except StorageError as error:
            if not optional:
                raise
            report(Note(f"no trunk cache ({error}): computing its content anew each time"))
