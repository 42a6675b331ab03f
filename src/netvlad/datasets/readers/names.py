"""Names of images, out of folders and out of somebody's lists, and where those images lie."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.images import list_images
from netvlad.images.listing import Listing
from netvlad.types import ImageSet

_PROBES = 16


def images_below(record: DatasetRecord, root: Path, folder: str) -> Listing:
    """The images of a folder, as :func:`netvlad.images.list_images` has them but relative to root.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    names, left_out = list_images(record.found(root / folder, folder=True))
    if not names:
        raise record.error(root / folder, "has no images")
    return Listing([f"{folder}/{name}" for name in names], left_out)


def frames_in(record: DatasetRecord, root: Path, folder: str) -> tuple[str, ...]:
    """The frames of a traverse: ``frame_9.jpg`` comes before ``frame_10.jpg``.

    Raises:
        DataError: see :func:`images_below`.
    """

    def in_order(name: str) -> tuple[list[tuple[str, int]], str]:
        # Text and number by turns; the name itself settles 01 against 1.
        return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)], name

    return tuple(sorted(images_below(record, root, folder).names, key=in_order))


def image_set(
    root: Path,
    names: Sequence[str],
    positions: NDArray[np.float64],
    headings: NDArray[np.float64],
    times: NDArray[np.float64],
    utm_zone: str | None,
    labels: Mapping[str, NDArray[np.str_]] | None = None,
) -> ImageSet:
    """An image set without the columns, (N,) each, that are NaN throughout."""
    known = [None if np.isnan(column).all() else column for column in (headings, times)]
    return ImageSet(root, tuple(names), positions, known[0], known[1], utm_zone, labels or {})


def relative_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the list ``path`` with forward slashes and without ``./``.

    Raises:
        DataError: a name is empty, absolute, or leads out of the folder.
    """
    clean = []
    for i, name in enumerate(names):
        parts = PurePosixPath(name.replace("\\", "/"))
        if not parts.parts or parts.is_absolute() or ".." in parts.parts:
            remedy = "names must lie below the folder of the images"
            raise DataError(f"{path}: image {i} is {name!r}; {remedy}")
        clean.append(parts.as_posix())
    return tuple(clean)


def located(
    root: Path,
    names: Sequence[str],
    folders: Sequence[str],
    *,
    without: Sequence[str] = (),
    suffixes: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of images relative to ``root``, and a note when none of a few was found.

    Args:
        root: the folder they lie below.
        names: the names; absolute ones stay as they are.
        folders: folders below ``root`` in which they may lie ("" is the root); the first in which
            one of a few that are looked for is found counts.
        without: folders that the names may begin with, and that may be missing on disk.
        suffixes: what the files may end with instead.
    """
    if not names:
        return (), ()
    probes = [names[i] for i in np.linspace(0, len(names) - 1, _PROBES).astype(int)]

    def placed(name: str, folder: str, prefix: str = "", suffix: str = "") -> str:
        path = PurePosixPath(folder, name.removeprefix(prefix))
        return str(path.with_suffix(suffix) if suffix else path)

    for prefix in ("", *without):
        if not all(name.startswith(prefix) for name in names):
            continue
        for folder in folders:
            for suffix in ("", *suffixes):
                if any((root / placed(name, folder, prefix, suffix)).exists() for name in probes):
                    return tuple(placed(name, folder, prefix, suffix) for name in names), ()
    places = " or ".join(str(root / folder / probes[0]) for folder in folders)
    note = f"None of a few images looked for was found (such as {places})."
    return tuple(placed(name, folders[0]) for name in names), (note,)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell by a :class:`DataError` that a file cannot be read, or is not UTF-8 text."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Begin the message of a :class:`DataError` with a path."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def numbered_lines(path: Path, *, needed: bool = True) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers, from 1, and without surrounding blanks.

    Empty ones are left out, and comments, which begin with ``#``.

    Raises:
        DataError: the file cannot be read, or has no lines though some are needed.
    """
    with reading(path):
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    numbered = [(i, line.strip()) for i, line in enumerate(lines, start=1)]
    found = [(i, line) for i, line in numbered if line and not line.startswith("#")]
    if needed and not found:
        raise DataError(f"{path}: is empty; expected one image a line")
    return found
