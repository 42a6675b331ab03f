"""Names of images out of somebody's list, and where below the root those images lie."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from netvlad.errors import DataError

_PROBES = 16


def relative_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Names with forward slashes and without ``./``, all of them below the folder they are for.

    Args:
        path: the list that they come from, for the error.
        names: as written there.

    Raises:
        DataError: a name is empty, absolute, or leads out of the folder.
    """
    clean = []
    for i, name in enumerate(names):
        parts = PurePosixPath(name.replace("\\", "/"))
        if not parts.parts or parts.is_absolute() or ".." in parts.parts:
            raise DataError(
                f"{path}: image {i} is {name!r}; names must lie below the folder of the images"
            )
        clean.append(parts.as_posix())
    return tuple(clean)


def located(
    root: Path, names: Sequence[str], folders: Sequence[str], *, without: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the named images lie.

    Args:
        root: the folder that the result is relative to.
        names: relative names.
        folders: folders below ``root`` in which they may lie ("" is the root); the first in which
            one of a few that are looked for is found counts.
        without: folders that the names may begin with, and that may be missing on disk.

    Returns:
        the names relative to ``root``, and a note when none of a few was found.
    """
    if not names:
        return (), ()
    probes = [names[i] for i in np.linspace(0, len(names) - 1, _PROBES).astype(int)]
    for prefix in ("", *without):
        if not all(name.startswith(prefix) for name in names):
            continue
        for folder in folders:
            base = PurePosixPath(folder)
            if any((root / base / name.removeprefix(prefix)).exists() for name in probes):
                return tuple(str(base / name.removeprefix(prefix)) for name in names), ()
    places = " or ".join(str(root / folder / probes[0]) for folder in folders)
    note = f"None of a few images looked for was found (such as {places})."
    return tuple(str(PurePosixPath(folders[0]) / name) for name in names), (note,)
