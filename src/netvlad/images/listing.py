"""Finding the image files of a folder."""

import os
from pathlib import Path

from netvlad.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")


def images_in(folder: Path) -> list[str]:
    """The image files in a folder and below it, by their suffix (in upper or lower case).

    Hidden files and folders are skipped, links to folders followed, each folder visited once.

    Returns:
        names relative to ``folder``, with forward slashes, sorted.

    Raises:
        DataError: the folder, or one in it, cannot be listed.
    """
    names: list[str] = []
    visited: set[tuple[int, int]] = set()
    for where, folders, files in os.walk(folder, onerror=_cannot_list, followlinks=True):
        found = Path(where).stat()
        if (found.st_dev, found.st_ino) in visited:
            folders.clear()
            continue
        visited.add((found.st_dev, found.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(where).relative_to(folder)
        names += [
            (base / name).as_posix()
            for name in files
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(names)


def _cannot_list(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed: {error.strerror or error}") from error
