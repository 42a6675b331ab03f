"""Retrieval for structure from motion: pairs files, COLMAP's database, hloc's descriptors."""

import os
import shutil
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
                    f"{name}: a pairs file separates names by a blank; with --format colmap-db the "
                    "matches go into COLMAP's database, which takes any name"
                )
        lines.append(f"{first} {second}\n")
    with written_beside(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def match_in_colmap(path: Path, root: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Let COLMAP match and verify the pairs in its database: ``colmap mapper`` comes next.

    Names may hold blanks: for the matching, which goes by a pairs file, images are called by their
    numbers, in a copy of the database that replaces it when all is done.

    Args:
        path: COLMAP's database; a missing one is made, with SIFT features of the images.
        root: the folder that names are relative to.
        pairs: names, as the database has them.

    Raises:
        SettingsError: pycolmap is not installed.
        DataError: the file is no database, or an image is not in it.
        StorageError: the database cannot be written.
    """
    with extra("colmap"):
        import pycolmap  # noqa: PLC0415 - an extra
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    names = sorted({name for pair in pairs for name in pair})
    with written_beside(path) as copy:
        try:
            if path.exists():
                shutil.copyfile(path, copy)
            else:
                pycolmap.extract_features(copy, root, image_names=names)
            with pycolmap.Database.open(copy) as database:
                images = {image.name: image for image in database.read_all_images()}
                missing = next((name for name in names if name not in images), None)
                if missing is not None:
                    raise DataError(
                        f"{path}: has no image {missing}; let `colmap feature_extractor "
                        f"--image_path {root}` read all images, or choose another --root"
                    )
                # No name of an image begins with a slash.
                number = {name: f"/{images[name].image_id}" for name in names}
                _rename(database, images, number)
            numbered = copy.with_name(f"{copy.name}.pairs")
            try:
                write_pairs(numbered, [(number[a], number[b]) for a, b in pairs])
                options = pycolmap.ImportedPairingOptions()
                options.match_list_path = numbered
                pycolmap.match_image_pairs(copy, pairing_options=options)
            finally:
                numbered.unlink(missing_ok=True)
            with pycolmap.Database.open(copy) as database:
                _rename(database, images, {name: name for name in names})
        except RuntimeError as error:
            raise DataError(f"{path}: COLMAP cannot use it: {error}") from error


def _rename(database: Any, images: dict[str, Any], names: dict[str, str]) -> None:
    for old, new in names.items():
        images[old].name = new
        database.update_image(images[old])


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
