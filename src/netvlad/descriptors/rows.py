"""Descriptors, and where they go row by row: into memory, or into a file that survives a kill."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netvlad.descriptors import passes
from netvlad.errors import ImageError, SettingsError, StorageError
from netvlad.images import Unreadable
from netvlad.images.identity import images_fingerprint
from netvlad.models import Describer
from netvlad.models.fingerprints import model_fingerprint
from netvlad.storage import Journal, locked, read_json, require_space, write_json
from netvlad.types import ImageSet, Note, Reporter, silent

_STORAGE: dict[str, np.dtype[Any]] = {"32": np.dtype(np.float32), "16": np.dtype(np.float16)}


def storage_dtype(storage: str) -> np.dtype[Any]:
    """The type of values that are kept in ``"32"`` or ``"16"`` bits.

    Raises:
        SettingsError: ``storage`` is neither.
    """
    if storage not in _STORAGE:
        raise SettingsError(f"storage is {storage!r}; choose 32 or 16")
    return _STORAGE[storage]


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of an image set.

    Attributes:
        values: (N, D) float32 or float16, L2-normalised; zero where the image could not be used.
            Memory-mapped and read-only when they lie in a file.
        readable: (N,) whether row i describes its image.
        unreadable: what was wrong with each of the others.
        seconds: wall time spent.
        computed: how many of them were computed in that time; the others lay in a file, or were
            made elsewhere.
    """

    values: NDArray[np.floating[Any]]
    readable: NDArray[np.bool_]
    unreadable: tuple[Unreadable, ...] = ()
    seconds: float = 0.0
    computed: int = 0

    @classmethod
    def of(
        cls,
        values: NDArray[np.floating[Any]],
        unreadable: list[Unreadable],
        *,
        seconds: float,
        computed: int,
    ) -> "Descriptors":
        """Rows (N, D), all of them readable but those of ``unreadable``."""
        readable = np.ones(len(values), dtype=np.bool_)
        readable[[image.index for image in unreadable]] = False
        return cls(values, readable, tuple(unreadable), seconds, computed)


Floats = NDArray[np.floating[Any]]


class MemoryRows:
    """Rows in memory, zero until written.

    Attributes:
        sections_done: sections that need not be described again: none.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """Make room for ``shape`` (N, D)."""
        self.sections_done = 0
        self._values: Floats = np.zeros(shape, dtype)
        self._unreadable: list[Unreadable] = []

    def write(self, indices: NDArray[np.int64], results: Tensor) -> None:
        """Put rows (B, D) at ``indices`` (B,)."""
        self._values[indices] = results.float().cpu().numpy()

    def leave_out(self, image: Unreadable) -> None:
        """Note that an image has no descriptor."""
        self._unreadable.append(image)

    def close_section(self) -> None:
        """A section is complete."""

    def finish(self) -> tuple[Floats, list[Unreadable]]:
        """All rows (N, D), and what was left out."""
        return self._values, self._unreadable


class FileRows:
    """Rows of a ``.npy`` file that gets its name when all of them are written.

    Until then they lie in a hidden file beside it, with a journal of the sections that have reached
    the disk. Rows are written, not mapped: on a full disk a mapping ends the process, a write
    raises.

    Attributes:
        sections_done: sections that a run before this one has finished.
    """

    def __init__(
        self, path: Path, images: ImageSet, dim: int, dtype: np.dtype[Any], identity: dict[str, str]
    ) -> None:
        """Begin the file of N rows of ``dim`` values, or resume it; the caller holds a lock.

        ``identity`` is what the rows depend on.

        Raises:
            StorageError: there is no room, or the file cannot be written.
        """
        self.path, self._images, self._dtype = path, images, dtype
        self._shape = (len(images), dim)
        self._identity = identity
        self._row_bytes = dim * dtype.itemsize
        self._partial = path.parent / f".{path.name}.partial"
        self._section: list[tuple[int, str]] = []
        try:
            if not self._partial.exists():
                (path.parent / f".{path.name}.journal").unlink(missing_ok=True)
            self._journal = Journal(path.parent / f".{path.name}.journal", identity)
            self.sections_done = len(self._journal.entries)
            self._file: IO[bytes] = self._partial.open("r+b" if self.sections_done else "w+b")
            held = os.fstat(self._file.fileno()).st_blocks * 512
            whole = self._shape[0] * self._row_bytes
            require_space(path.parent, max(0, whole - held), f"{path.name}, of {len(images)} rows,")
            header = {"descr": dtype.str, "fortran_order": False, "shape": self._shape}
            np.lib.format.write_array_header_1_0(self._file, header)
            self._start = self._file.tell()
        except OSError as error:
            raise self._trouble(error) from error

    def write(self, indices: NDArray[np.int64], results: Tensor) -> None:
        """Put rows (B, D) at ``indices`` (B,); a StorageError where the disk is full, or gone."""
        rows = results.float().cpu().numpy().astype(self._dtype)
        try:
            for index, row in zip(indices.tolist(), rows, strict=True):
                self._file.seek(self._start + index * self._row_bytes)
                self._file.write(row.data)
        except OSError as error:
            raise self._trouble(error) from error

    def leave_out(self, image: Unreadable) -> None:
        """Note that an image has no descriptor: its row stays zero."""
        self._section.append((image.index, image.error.reason))

    def close_section(self) -> None:
        """Bring a complete section to the disk, then say so in the journal; or a StorageError."""
        self._journal.add(self._section, of=self._file)
        self._section = []

    def finish(self) -> tuple[Floats, list[Unreadable]]:
        """Give the file its name; all rows (N, D), memory-mapped, and what was left out.

        Raises:
            StorageError: it cannot be written.
        """
        unreadable = [entry for section in self._journal.entries for entry in section]
        try:
            # Rows of unusable images at the end were never written.
            self._file.truncate(self._start + self._shape[0] * self._row_bytes)
            os.fsync(self._file.fileno())
            self._file.close()
            write_json(sidecar(self.path), {"made_from": self._identity, "unreadable": unreadable})
            self._partial.replace(self.path)
        except OSError as error:
            raise self._trouble(error) from error
        self._journal.remove()
        finished = read_finished(self.path, self._images, self._identity)
        assert finished is not None
        return finished

    def close(self) -> None:
        """Close the file; what the journal has can be resumed."""
        self._file.close()

    def _trouble(self, error: OSError) -> StorageError:
        return StorageError(f"{self.path}: cannot be written: {error.strerror or error}")


def sidecar(path: Path) -> Path:
    """The file beside a descriptor file that tells what it was made from."""
    return path.with_suffix(".json")


def read_finished(
    path: Path, images: ImageSet, identity: dict[str, str]
) -> tuple[Floats, list[Unreadable]] | None:
    """The rows of a finished descriptor file and the images left out; None when there is none.

    Raises:
        StorageError: the file holds something else.
    """
    if not path.exists():
        return None
    content = read_json(sidecar(path)) if sidecar(path).exists() else None
    if not isinstance(content, dict) or content.get("made_from") != identity:
        raise StorageError(
            f"{path}: holds descriptors of another model, other images or another precision; name "
            "another file or folder, or remove it"
        )
    values: Floats = np.load(path, mmap_mode="r" if len(images) else None)
    unreadable = [
        Unreadable(index, ImageError(images.path(index), reason))
        for index, reason in content["unreadable"]
    ]
    return values, unreadable


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

    What one way of computing them has begun, another can resume: the file knows what its rows
    depend on, not who wrote them.

    ``complete`` writes the rows that are missing, and closes their sections; it is not called when
    the file is finished. The rest is as for :func:`netvlad.descriptors.describe`, errors included.
    The descriptors are memory-mapped.
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
