"""What lies in a folder of trunk caches, and its removal."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netvlad.errors import StorageError
from netvlad.storage import locked, read_json
from netvlad.trunk_cache.store import INDEX, JOURNAL, MANIFEST, PARTIAL


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
