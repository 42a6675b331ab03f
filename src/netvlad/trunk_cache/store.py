"""One trunk cache: written image after image, read at random through a mapping.

A folder holds ``features.bin`` (each image's map as (H, W, C), the order in which convolutions like
to read it, one image after the other), ``index.npz`` (where each begins, and its shape) and
``manifest.json`` (what it is; written last, so a folder that has one is complete).
"""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.compute import Compute
from netvlad.descriptors.passes import SECTION, fill
from netvlad.errors import ImageError, StorageError
from netvlad.images import Unreadable
from netvlad.images.identity import images_fingerprint
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import trunk_fingerprint
from netvlad.storage import (
    Journal,
    drop_pages,
    fingerprint,
    locked,
    read_json,
    require_space,
    write_json,
    written_beside,
)
from netvlad.types import ImageSet, Note, Reporter, counted, silent

FORMAT = 1  # of the files; another number makes old caches invisible
FEATURES, INDEX, MANIFEST = "features.bin", "index.npz", "manifest.json"
PARTIAL, JOURNAL = ".features.partial", ".journal"
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
ITEM_BYTES = 2


@dataclass(frozen=True, eq=False)
class TrunkCache:
    """A complete cache, open for reading; any number of processes may read it.

    Attributes:
        folder: where it lies.
        offsets: (N,) int64, where each image's map begins, in values; -1 where there is none.
        shapes: (N, 3) height, width and channels of each image's map.
        unreadable: the images without one.
        dtype: how values are kept.
    """

    folder: Path
    offsets: NDArray[np.int64]
    shapes: NDArray[np.int64]
    unreadable: tuple[Unreadable, ...]
    dtype: torch.dtype
    _values: NDArray[np.int16]

    @property
    def size_bytes(self) -> int:
        """Bytes of all maps."""
        return int(self._values.size) * ITEM_BYTES

    def read(self, indices: NDArray[np.int64], *, pin_memory: bool = False) -> Tensor:
        """The maps (B, C, H, W) of some images, at least one, that have a map and all one shape.

        They are in ``dtype``, on the CPU (page-locked if ``pin_memory``), channels last.
        """
        height, width, channels = self.shapes[indices[0]].tolist()
        size = height * width * channels
        maps = torch.empty((len(indices), size), dtype=torch.int16, pin_memory=pin_memory)
        for target, start in zip(maps.numpy(), self.offsets[indices].tolist(), strict=True):
            target[:] = self._values[start : start + size]
        drop_pages(self._values)
        shaped = maps.view(self.dtype).view(len(indices), height, width, channels)
        return shaped.permute(0, 3, 1, 2)


def open_complete(folder: Path, images: ImageSet) -> TrunkCache | None:
    """Open the cache in ``folder``; None when it is absent, incomplete or damaged."""
    try:
        manifest = read_json(folder / MANIFEST)
        with np.load(folder / INDEX) as index:
            offsets, shapes = index["offsets"], index["shapes"]
        path = folder / FEATURES
        if path.stat().st_size != manifest["bytes"] or len(offsets) != len(images):
            return None
        # An empty file cannot be mapped.
        values: NDArray[np.int16] = (
            np.memmap(path, np.int16, mode="r") if manifest["bytes"] else np.empty(0, np.int16)
        )
        unreadable = tuple(
            Unreadable(i, ImageError(images.path(i), reason))
            for i, reason in manifest["unreadable"]
        )
        return TrunkCache(folder, offsets, shapes, unreadable, DTYPES[manifest["dtype"]], values)
    except (StorageError, OSError, KeyError, TypeError, ValueError):
        return None


class TrunkCacheWriter:
    """Writes the maps of a cache in sections; what a finished section holds survives a kill.

    Attributes:
        sections_done: sections that a run before this one has finished.
    """

    def __init__(self, folder: Path, images: ImageSet, dtype: str) -> None:
        """Begin a cache, or resume it; the caller holds the folder's lock.

        Args:
            folder: the cache's folder.
            images: whose maps they are.
            dtype: a key of ``DTYPES``.

        Raises:
            StorageError: the files cannot be written.
        """
        self.folder, self._images, self._dtype = folder, images, dtype
        self._section: dict[str, list[Any]] = {"maps": [], "unreadable": []}
        self._room_is_checked = False
        try:
            if not (folder / PARTIAL).exists():
                (folder / JOURNAL).unlink(missing_ok=True)
            self._journal = Journal(folder / JOURNAL, {"dtype": dtype})
            self.sections_done = len(self._journal.entries)
            self._file: IO[bytes] = (folder / PARTIAL).open("r+b" if self.sections_done else "w+b")
            end = self._journal.entries[-1]["end"] if self._journal.entries else 0
            self._file.truncate(end)
            self._file.seek(end)
        except OSError as error:
            raise self._trouble(error) from error

    def write(self, indices: NDArray[np.int64], maps: Tensor) -> None:
        """Append the maps (B, C, H, W) of some images.

        Raises:
            OverflowError: the cache's dtype cannot hold them.
            StorageError: the disk is full, or gone.
        """
        values = maps.to(DTYPES[self._dtype]).permute(0, 2, 3, 1).contiguous().cpu()
        if not torch.isfinite(values).all():
            raise OverflowError
        self._require_space(values[0].nbytes)
        start = self._file.tell() // ITEM_BYTES
        self._section["maps"].append((indices.tolist(), list(values.shape[1:]), start))
        try:
            self._file.write(values.view(torch.int16).numpy().data)
        except OSError as error:
            raise self._trouble(error) from error

    def _require_space(self, map_bytes: int) -> None:
        """Check once: the first map tells how large all of them will be."""
        if not self._room_is_checked:
            count = len(self._images) - self.sections_done * SECTION
            require_space(self.folder, map_bytes * count, f"the trunk's output of {count} images")
            self._room_is_checked = True

    def leave_out(self, image: Unreadable) -> None:
        """Note that an image has no map."""
        self._section["unreadable"].append((image.index, image.error.reason))

    def close_section(self) -> None:
        """Bring a complete section to the disk, then say so in the journal.

        Raises:
            StorageError: it cannot be written.
        """
        self._journal.add(self._section | {"end": self._file.tell()}, of=self._file)
        self._section = {"maps": [], "unreadable": []}

    def finish(self, about: dict[str, Any]) -> None:
        """Make the cache complete; its manifest says ``about`` beside what reading needs.

        Raises:
            StorageError: a file cannot be written.
        """
        count = len(self._images)
        offsets, shapes = np.full(count, -1, np.int64), np.zeros((count, 3), np.int64)
        unreadable: list[Any] = []
        for section in self._journal.entries:
            unreadable += section["unreadable"]
            for indices, shape, start in section["maps"]:
                offsets[indices] = start + np.arange(len(indices)) * int(np.prod(shape))
                shapes[indices] = shape
        try:
            size = self._file.tell()
            self._file.close()
            with written_beside(self.folder / INDEX) as temporary, temporary.open("wb") as file:
                np.savez(file, offsets=offsets, shapes=shapes)
            (self.folder / PARTIAL).replace(self.folder / FEATURES)
        except OSError as error:
            raise self._trouble(error) from error
        needed = {"dtype": self._dtype, "bytes": size, "unreadable": unreadable, "images": count}
        write_json(self.folder / MANIFEST, about | needed)
        self._journal.remove()

    def close(self) -> None:
        """Close the file; what the journal has can be resumed."""
        self._file.close()

    def discard(self) -> None:
        """Remove what was written so far."""
        self._file.close()
        self._journal.remove()
        (self.folder / PARTIAL).unlink(missing_ok=True)

    def _trouble(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.folder}: the trunk cache cannot be written: {error.strerror or error}; free "
            "some space, name another folder with --trunk-cache DIR, or do without: "
            "--trunk-cache off"
        )


def open_trunk_cache(
    model: PlaceModel,
    images: ImageSet,
    folder: str | Path,
    *,
    compute: Compute = Compute(),
    stage: str = "Frozen trunk",
    keep_unfinished: bool = True,
    report: Reporter = silent,
) -> TrunkCache:
    """Open the trunk's output of ``images``, computing what is missing.

    A cache is found again by the trunk's weights, the backbone's cut, the size images are brought
    to, and the image files (names, sizes, times). A build that was killed is resumed, with the
    same result; while another process builds the same cache this one waits for it. Values are kept
    in half precision, or in bfloat16 where half precision overflows.

    Args:
        model: with a frozen trunk (``model.encoder.cut`` above 0).
        images: N images of any sizes.
        folder: where caches are kept, each in a folder of its own.
        compute: where and how.
        stage: the progress bar's label.
        keep_unfinished: whether a build that the full disk ends keeps what it has, to be resumed;
            otherwise it gives the room back.
        report: receives progress and notes.

    Raises:
        StorageError: there is no room for it (with the figure), or it cannot be written.
    """
    model = compute.place(model)
    trunk = trunk_fingerprint(model)
    key = fingerprint(str(FORMAT), trunk, images_fingerprint(images), compute.precision)
    place = Path(folder) / f"{model.spec.arch}-{key}"
    if (cache := open_complete(place, images)) is not None:
        report(Note(f"{stage}: {_summary(cache)}, taken from {place}"))
        return cache

    def waiting() -> None:
        report(Note(f"{stage}: another run is computing {place}; waiting for it"))

    with locked(place, "building a trunk cache", waiting=waiting):
        if (cache := open_complete(place, images)) is not None:
            return cache
        about = {
            "format": FORMAT,
            "arch": model.spec.arch,
            "cut": model.encoder.cut,
            "trunk": trunk,
            "precision": compute.precision,
            "resize": model.spec.resize,
            "images_in": str(images.root.absolute()),
            "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        }

        def build(dtype: str) -> None:
            writer = TrunkCacheWriter(place, images, dtype)
            try:
                fill(
                    writer, model, model.trunk, images, compute=compute, stage=stage, report=report
                )
                writer.finish(about)
            except (OverflowError, StorageError) as error:
                if isinstance(error, OverflowError) or not keep_unfinished:
                    writer.discard()
                raise
            finally:
                writer.close()

        try:
            build("float16")
        except OverflowError:
            report(Note(f"{stage}: too large for half precision; kept as bfloat16 instead"))
            build("bfloat16")
    built = open_complete(place, images)
    if built is None:
        raise StorageError(f"{place}: was removed while it was written; start again")
    report(Note(f"{stage}: {_summary(built)} in {place}"))
    return built


def _summary(cache: TrunkCache) -> str:
    return f"{counted(len(cache.offsets), 'images')}, {cache.size_bytes / 1e9:.2f} GB"


@dataclass(frozen=True)
class CacheEntry:
    """One cache of a folder.

    Attributes:
        folder: where it lies; its name is what ``netvlad cache clear`` takes.
        size_bytes: what it takes on disk.
        complete: whether it can be used; otherwise it is being built, or its build was stopped.
        manifest: what it was made from; empty while it is incomplete.
    """

    folder: Path
    size_bytes: int
    complete: bool
    manifest: dict[str, Any]


def cache_entries(folder: Path) -> list[CacheEntry]:
    """The trunk caches in ``folder``, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    places = [p for p in sorted(folder.iterdir()) if p.is_dir() and _is_cache(p)]
    return [_entry(place) for place in places]


def clear_cache(entry: CacheEntry) -> None:
    """Remove a cache from the disk. A process that is reading it keeps what it has open.

    Raises:
        StorageError: it is being built, or may not be removed.
    """
    with locked(entry.folder, "building a trunk cache"):
        try:
            # The manifest goes first, so that nobody opens what is half removed.
            (entry.folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(entry.folder)
        except OSError as error:
            raise StorageError(
                f"{entry.folder}: cannot be removed: {error.strerror or error}"
            ) from error


def _is_cache(place: Path) -> bool:
    return any((place / name).exists() for name in (MANIFEST, INDEX, JOURNAL, PARTIAL))


def _entry(place: Path) -> CacheEntry:
    size = sum(file.stat().st_size for file in place.iterdir() if file.is_file())
    try:
        manifest = read_json(place / MANIFEST)
    except StorageError:
        return CacheEntry(place, size, complete=False, manifest={})
    return CacheEntry(place, size, complete=True, manifest=manifest)
