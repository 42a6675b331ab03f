"""The steps that a change of an index on disk consists of; none of them touches the manifest."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import StorageError
from netvlad.index.stores.manifest import (
    DTYPES,
    MODEL_FILES,
    Chunk,
    ChunkedDigest,
    FileRecord,
    Manifest,
    RowFile,
    is_ours,
    merged,
)
from netvlad.models import PlaceModel
from netvlad.models.checkpoints import Checkpoint, write_checkpoint
from netvlad.storage import folder_written_beside, written_beside

# Rows that are converted and written at once: what a writer needs of memory beside the caller's.
_PIECE_ROWS = 4096


def append_rows(
    path: Path, present: RowFile, pieces: Iterable[NDArray[Any]], count: int
) -> tuple[Chunk, ...]:
    """Write rows after the last one that ``present`` knows of, and bring them to the disk.

    Written, not mapped: a full disk is an error of a write, but kills who writes to a mapping.

    Args:
        path: the file; made when it is not there.
        present: says how long its rows are and how many there are; what lies behind is cut off.
        pieces: rows as they are stored, contiguous, ``count`` of them in all.
        count: how many rows are expected.

    Returns:
        The checksums of all rows, old and new.

    Raises:
        StorageError: the rows cannot be written or are not as expected; the file is cut back.
    """
    end = present.size_bytes
    digest = ChunkedDigest(present.row_bytes)
    try:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(end)
            file.seek(end)
            for piece in pieces:
                if digest.rows + len(piece) > count:
                    raise StorageError(f"{path}: was given more than {count:,} rows")
                raw = piece.view(np.uint8).reshape(-1).data
                file.write(raw)
                digest.add(raw)
            if digest.rows < count:
                raise StorageError(f"{path}: was given {digest.rows:,} of {count:,} rows")
            file.flush()
            os.fsync(file.fileno())
            return merged(present.chunks + digest.chunks(), file, present.row_bytes)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.truncate(path, end)
        if isinstance(error, OSError):
            raise StorageError(
                f"{path}: cannot be written: {error.strerror or error}; nothing was added"
            ) from error
        raise


def write_file(folder: Path, name: str, write: Callable[[IO[bytes]], object]) -> FileRecord:
    """Write a whole file of the next generation.

    Raises:
        StorageError: it cannot be written.
    """
    with written_beside(folder / name) as temporary:
        with temporary.open("wb") as file:
            write(file)
        return _record(temporary, name)


def write_model(folder: Path, name: str, model: PlaceModel) -> tuple[FileRecord, ...]:
    """Write a model as a checkpoint folder of ours, which ``netvlad.load_model`` also reads.

    Raises:
        StorageError: it cannot be written.
    """
    with folder_written_beside(folder / name) as temporary:
        written = write_checkpoint(
            temporary / "run", "model", Checkpoint(model.spec, model.state_dict())
        )
        for file in MODEL_FILES:
            (written / file).rename(temporary / file)
        shutil.rmtree(temporary / "run")
        records = tuple(_record(temporary / file, f"{name}/{file}") for file in MODEL_FILES)
    flush_folder(folder / name)
    return records


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        StorageError: the disk fails.
    """
    if not hasattr(os, "O_DIRECTORY"):
        # Elsewhere a folder cannot be opened, and names need no flush.
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error


def sweep(folder: Path, *kept: Manifest) -> None:
    """Remove what a writer has made in ``folder`` and none of the manifests ``kept`` names.

    What others put there stays. What cannot be removed now waits for the next writer.
    """
    names = frozenset[str]().union(*(manifest.names for manifest in kept))
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if is_ours(path.name) and path.name not in names:
                with contextlib.suppress(OSError):
                    _remove(path)
    ends: dict[str, int] = {}
    for file in (file for manifest in kept for file in manifest.row_files):
        ends[file.name] = max(file.size_bytes, ends.get(file.name, 0))
    for name, end in ends.items():
        with contextlib.suppress(OSError):
            # Never longer: a file that was cut off must not be filled with zeros.
            if (folder / name).stat().st_size > end:
                os.truncate(folder / name, end)


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
    elif path.name.startswith("."):
        shutil.rmtree(path)
    else:
        for name in MODEL_FILES:
            (path / name).unlink(missing_ok=True)
        # Fails when somebody else's folder has the name of one of ours, and leaves it.
        path.rmdir()


def descriptor_rows(
    path: Path, draft: Manifest, blocks: Iterable[NDArray[np.floating[Any]]]
) -> Iterator[NDArray[Any]]:
    """Descriptors (·, D) as they are stored, in pieces that need little memory.

    Raises:
        StorageError: they are of another length, or not finite.
    """
    dtype, done = np.dtype(DTYPES[draft.storage]), 0
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != draft.dim:
            raise StorageError(
                f"{path}: holds descriptors of length {draft.dim}, but was given an array of shape "
                f"{block.shape}"
            )
        for start in range(0, len(block), _PIECE_ROWS):
            with np.errstate(over="ignore"):
                piece = np.ascontiguousarray(block[start : start + _PIECE_ROWS], dtype)
            finite = np.isfinite(piece).all(axis=1)
            if not finite.all():
                wrong = done + int(np.argmin(finite))
                raise StorageError(
                    f"{path}: descriptor {wrong} of those to write has values that are not finite "
                    f"in {draft.storage} bits; leave its image out"
                )
            done += len(piece)
            yield piece


def _record(path: Path, name: str) -> FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(name, path.stat().st_size, digest)
