"""Opening an index on disk for a change: one writer at a time, and all of a change or nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from netvlad.errors import SettingsError, StorageError
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.manifest import Manifest, has_manifest, part_name, read_manifest
from netvlad.index.stores.writer import UNWRITTEN, IndexWriter, checked_storage
from netvlad.storage import locked

__all__ = ["IndexWriter", "writing"]


@contextlib.contextmanager
def writing(
    folder: Path,
    purpose: str,
    *,
    create: bool = False,
    dim: int | None = None,
    storage: str = "16",
) -> Iterator[IndexWriter]:
    """Hold the index in ``folder`` for a change; what is not committed by the end never happened.

    Args:
        folder: the index; made if need be with ``create``.
        purpose: what is done, for messages (``"adding places"``).
        create: begin an index where there is none.
        dim: D, the length of a descriptor; needed with ``create``, ignored without.
        storage: the precision that descriptors are stored in, ``"16"`` or ``"32"`` bits; ignored
            without ``create``.

    Raises:
        StorageError: another process is writing; there is no index, or with ``create`` there is
            one; the index is damaged or cannot be written.
    """
    if create:
        _refuse_index(folder)
    else:
        # Before the lock, which would make the folder.
        read_manifest(folder)
    with locked(folder, "writing"):
        if create:
            # Another process may have made one since.
            _refuse_index(folder)
            writer = IndexWriter(folder, purpose, _begun(folder, dim, storage), None)
        else:
            base = FolderStore.open(folder)
            writer = IndexWriter(folder, purpose, base.manifest, base)
        try:
            writer.discard()
            yield writer
        finally:
            writer.close()


def _begun(folder: Path, dim: int | None, storage: str) -> Manifest:
    """What an index starts from, before its first commit."""
    if dim is None or dim < 1:
        raise SettingsError(f"{folder}: an index cannot begin with dim {dim}; give 1 or more")
    return Manifest(
        generation=0,
        created="",
        updated="",
        netvlad="",
        dim=dim,
        storage=checked_storage(storage),
        count=0,
        matrix=part_name("descriptors", 1, storage),
        chunks=(),
        places=UNWRITTEN,
        rows=UNWRITTEN,
        model="",
        model_fingerprint="",
        model_files=(),
        structure=None,
        structure_file=None,
        documents={},
    )


def _refuse_index(folder: Path) -> None:
    if has_manifest(folder):
        raise StorageError(
            f"{folder}: already holds an index; use `netvlad index add` to extend it, or choose "
            "another folder"
        )
