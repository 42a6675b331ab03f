"""Folders of photos whose cameras noted where they were taken."""

import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.geography import to_utm
from netvlad.images import left_out_notes, list_images
from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts
from netvlad.types import ImageSet, PlaceDataset

LAYOUT = "<split>/{database,queries}/ (or {database,queries}/) with photos that carry GPS positions"

_THREADS = 8


def read_photos(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open folders of photos; position, direction and time come from their EXIF metadata.

    The headers of all files are read, never their pixels. Photos without a position are kept, but
    never count as correct, and a note counts them. ``times`` are seconds since 1970.

    Args:
        root: the folder that holds ``<split>/database`` and ``<split>/queries``, or these two.
        split: the split's folder, where there is one.
        utm_zone: the zone to project to; None takes that of the median point.

    Raises:
        DataError: a folder is missing or has no images, or no photo has a position.
        SettingsError: ``utm_zone`` is not a zone.
    """
    prefix = f"{split}/" if (root / split / "database").is_dir() else ""
    left_out: Counter[str] = Counter()
    database, queries = (
        _names(root, f"{prefix}{role}", left_out) for role in ("database", "queries")
    )
    names = (*database, *queries)
    facts = _read_facts([root / name for name in names])
    try:
        positions, zone = to_utm(
            np.array([fact.latitude for fact in facts]),
            np.array([fact.longitude for fact in facts]),
            utm_zone,
        )
    except DataError as error:
        raise DataError(f"{root / (prefix or '.')}: {error}") from error
    count = len(database)
    unknown: NDArray[np.bool_] = np.isnan(positions[:, 0])
    notes = [
        f"{which.sum()} of {len(which)} photos in {folder} have no position and never count as "
        "correct."
        for folder, which in (("database", unknown[:count]), ("queries", unknown[count:]))
        if which.any()
    ]
    notes += left_out_notes(left_out)
    return PlaceDataset(
        name="photos",
        split=split,
        database=_image_set(root, database, facts[:count], positions[:count], zone),
        queries=_image_set(root, queries, facts[count:], positions[count:], zone),
        notes=tuple(notes),
    )


def _names(root: Path, folder: str, left_out: Counter[str]) -> tuple[str, ...]:
    if not (root / folder).is_dir():
        raise DataError(f"{root / folder}: no such folder; expected {LAYOUT}")
    names, missed = list_images(root / folder)
    left_out.update(missed)
    if not names:
        raise DataError(f"{root / folder}: has no images; expected {LAYOUT}")
    return tuple(f"{folder}/{name}" for name in names)


def _read_facts(files: Sequence[Path]) -> list[PhotoFacts]:
    # Pillow warns about each damaged tag; around the whole pool, as filters belong to the process.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        return list(pool.map(read_photo_facts, files))


def _image_set(
    root: Path,
    names: tuple[str, ...],
    facts: Sequence[PhotoFacts],
    positions: NDArray[np.float64],
    zone: str,
) -> ImageSet:
    headings = np.array([fact.heading for fact in facts])
    times = np.array([fact.time for fact in facts])
    return ImageSet(
        root,
        names,
        positions,
        None if np.isnan(headings).all() else headings,
        None if np.isnan(times).all() else times,
        zone,
    )
