"""Retrieval for structure from motion: pairs files, and hloc's global descriptors."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, extra
from netvlad.storage import written_beside
from netvlad.types import Matches


def pair_lists(
    queries: Sequence[str],
    database: Sequence[str],
    matches: Matches,
    k: int,
    *,
    unordered: bool = False,
) -> list[tuple[str, str]]:
    """The pairs to match: each query with its first ``k`` places, best first.

    An image is never paired with itself.

    Args:
        queries: Q names.
        database: N names.
        matches: (Q, ≥ k + 1) answers, so that ``k`` are left where one is the query itself.
        k: places a query.
        unordered: whether (a, b) and (b, a) are the same pair, as COLMAP takes them: the second is
            left out.
    """
    pairs: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    for query, row in zip(queries, matches.indices.tolist(), strict=True):
        others = [database[i] for i in row if i >= 0 and database[i] != query][:k]
        for other in others:
            key = (min(query, other), max(query, other)) if unordered else (query, other)
            if key not in seen:
                seen.add(key)
                pairs.append((query, other))
    return pairs


def write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write a pairs file: two names on a line, what ``colmap matches_importer`` and hloc read.

    Raises:
        DataError: a name contains white space, which the format cannot hold.
        StorageError: the file cannot be written.
    """
    lines = []
    for first, second in pairs:
        for name in (first, second):
            if any(mark.isspace() for mark in name):
                raise DataError(
                    f"{name}: a pairs file separates names by a blank; rename the file or folder"
                )
        lines.append(f"{first} {second}\n")
    with written_beside(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def write_hloc_descriptors(
    path: Path, names: Sequence[str], blocks: Iterable[NDArray[np.floating[Any]]]
) -> None:
    """Write hloc's feature file: ``<name>/global_descriptor``, (D,) float16 for each image.

    hloc's ``pairs_from_retrieval`` reads it; names with slashes become nested groups, as there.

    Args:
        path: the HDF5 file.
        names: N, relative to hloc's image folder.
        blocks: (n, D) descriptors in the order of ``names``.

    Raises:
        StorageError: the file cannot be written.
    """
    waiting = iter(names)
    with extra("colmap"):
        import h5py  # noqa: PLC0415 - an extra
    with written_beside(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for block in blocks:
            for row in block:
                group = file.create_group(next(waiting))
                group.create_dataset("global_descriptor", data=row.astype(np.float16))


def common_folder(paths: Sequence[str]) -> Path:
    """The deepest folder that all files lie below.

    Raises:
        DataError: they have none, or there are no files.
    """
    try:
        return Path(os.path.commonpath([str(Path(path).parent) for path in paths]))
    except ValueError as error:
        raise DataError("the images have no folder in common; give --root") from error


def names_below(paths: Sequence[str], root: Path) -> list[str]:
    """Paths relative to ``root``, with forward slashes.

    Raises:
        DataError: a path lies elsewhere.
    """
    base = PurePosixPath(os.path.abspath(root))  # noqa: PTH100 - links stay as they are
    names = []
    for path in paths:
        try:
            names.append(PurePosixPath(path).relative_to(base).as_posix())
        except ValueError as error:
            raise DataError(
                f"{path}: does not lie below {base}; choose --root so that all images do"
            ) from error
    return names
