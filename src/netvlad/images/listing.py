"""Finding the image files of a folder, those that cannot be read, and whether they changed."""

import os
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import NamedTuple

from netvlad.errors import DataError
from netvlad.storage import fingerprint
from netvlad.types import ImageSet

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_PILLOW_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    *(".gif", ".avif"),
)
SUFFIXES = _PILLOW_SUFFIXES + (HEIF_SUFFIXES if find_spec("pillow_heif") else ())
"""Of the files that are taken for images, in lower case."""

# Pictures and videos that somebody may miss. Other files (text, tables) are nobody's photos.
_MISSED = {
    *HEIF_SUFFIXES,
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".orf", ".rw2", ".raf", ".raw"),
    *(".pef", ".srw", ".3fr", ".iiq", ".psd", ".jxl", ".jxr", ".exr", ".hdr", ".tga", ".svg"),
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".insv", ".insp", ".360"),
}


class Listing(NamedTuple):
    """The images of a folder, and what was left out.

    Attributes:
        names: of the images, relative to the folder, with forward slashes, sorted.
        left_out: how many pictures and videos there are that cannot be read, by suffix.
    """

    names: list[str]
    left_out: Mapping[str, int]


def list_images(folder: Path) -> Listing:
    """The image files in a folder and below it, by their suffix (in upper or lower case).

    Hidden files and folders are skipped, links to folders followed, each folder visited once.

    Raises:
        DataError: the folder, or one in it, cannot be listed.
    """
    names: list[str] = []
    left_out: Counter[str] = Counter()
    visited: set[tuple[int, int]] = set()
    for where, folders, files in os.walk(folder, onerror=_cannot_list, followlinks=True):
        found = Path(where).stat()
        if (found.st_dev, found.st_ino) in visited:
            folders.clear()
            continue
        visited.add((found.st_dev, found.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(where).relative_to(folder)
        for name in files:
            suffix = PurePath(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                names.append((base / name).as_posix())
            elif suffix in _MISSED:
                left_out[suffix] += 1
    return Listing(sorted(names), left_out)


def images_fingerprint(images: ImageSet) -> str:
    """A short name, 16 hexadecimal digits, for the names, sizes and times of change of files.

    The folder they lie in does not count, so a data set may move. The contents are not read: a
    file that is replaced by another of the same size within the clock's resolution goes unnoticed.
    """
    parts = []
    for index, name in enumerate(images.names):
        try:
            status = images.path(index).stat()
            parts.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            parts.append(f"{name}\0missing")
    return fingerprint(*parts)


def images_in(folder: Path) -> list[str]:
    """The names of :func:`list_images`."""
    return list_images(folder).names


def no_images(folder: Path | str) -> str:
    """What to say of a folder in which there are none."""
    return f"{folder}: has no images (looked for {' '.join(SUFFIXES)})"


def left_out_notes(left_out: Mapping[str, int]) -> list[str]:
    """What to say of the pictures that cannot be read: one sentence, or none.

    >>> left_out_notes({".mov": 1, ".dng": 2})
    ['3 files are left out, of kinds that are not read: 2 .dng, 1 .mov']
    """
    if not left_out:
        return []
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(left_out.items()))
    total = sum(left_out.values())
    files = "1 file is" if total == 1 else f"{total} files are"
    note = f"{files} left out, of kinds that are not read: {kinds}"
    if any(suffix in left_out for suffix in HEIF_SUFFIXES):
        note += "; pip install 'netvlad[heif]' reads those of iPhones"
    return [note]


def _cannot_list(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed: {error.strerror or error}") from error
