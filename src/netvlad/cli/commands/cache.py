"""``netvlad cache``: what trainings keep of the frozen layers, and its removal."""

import sys
from dataclasses import dataclass
from pathlib import Path

import cyclopts
from cyclopts import Parameter

from netvlad.cli.console import show, table_of
from netvlad.errors import SettingsError, StorageError
from netvlad.trunk_cache import CacheEntry, cache_entries, clear_cache

cache = cyclopts.App(
    name="cache",
    help="""List and remove trunk caches.

    `netvlad train` computes the frozen layers' output of every image once and keeps it on disk.
    Trainings of the same images with the same frozen layers share it. It can be removed at any
    time: the next training computes it again.""",
)


@Parameter(name="*")
@dataclass(frozen=True)
class CacheFlags:
    """Which caches."""

    runs_dir: Path = Path("runs")
    """Where runs are kept; caches lie in its folder `cache`."""

    trunk_cache: Path | None = None
    """The folder that was given to `netvlad train --trunk-cache`, if any."""

    @property
    def folder(self) -> Path:
        """Where the caches lie."""
        return self.trunk_cache or self.runs_dir / "cache"


@cache.command
def info(*, where: CacheFlags = CacheFlags()) -> None:
    """List the trunk caches: what each is of, and what it takes on disk."""
    folder = where.folder
    entries = cache_entries(folder)
    if not entries:
        show(f"no trunk caches in {folder}")
        return
    columns = ("name", "images", "GB", "size of images", "made", "images in")
    rows = ((entry.folder.name, *_cells(entry)) for entry in entries)
    total = sum(entry.size_bytes for entry in entries)
    show(
        table_of(f"Trunk caches in {folder}", columns, rows, right=("images", "GB")),
        f"{total / 1e9:.2f} GB in all; remove with: netvlad cache clear",
    )


@cache.command
def clear(*names: str, where: CacheFlags = CacheFlags()) -> None:
    """Remove trunk caches: those named, or all of them.

    ```
    netvlad cache clear vgg16-0123456789abcdef
    ```

    A training that is reading one keeps it to its end; one that is being built is left alone.

    Args:
        names: As `netvlad cache info` lists them [default: all].
    """
    folder = where.folder
    entries = {entry.folder.name: entry for entry in cache_entries(folder)}
    unknown = [name for name in names if name not in entries]
    if unknown:
        listed = ", ".join(entries) or "none"
        raise SettingsError(f"{folder}: no trunk cache called {unknown[0]}; there are: {listed}")
    freed = 0
    for name in names or entries:
        try:
            clear_cache(entries[name])
        except StorageError as error:
            if names:
                raise
            print(f"- left alone: {error}", file=sys.stderr)
            continue
        freed += entries[name].size_bytes
        print(f"- removed {name}", file=sys.stderr)
    show(f"{freed / 1e9:.2f} GB freed")


def _cells(entry: CacheEntry) -> list[str]:
    size = f"{entry.size_bytes / 1e9:.2f}"
    if not entry.complete:
        return ["", size, "", "not finished", ""]
    about = entry.manifest
    return [
        str(about.get("images", "")),
        size,
        _size(about.get("resize")),
        str(about.get("made", ""))[:16].replace("T", " "),
        str(about.get("images_in", "")),
    ]


def _size(resize: object) -> str:
    if isinstance(resize, list):
        return f"{resize[0]}x{resize[1]}"
    return f"at most {resize}" if resize else "native"
