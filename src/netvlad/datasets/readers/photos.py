"""Folders of photos whose cameras noted where they were taken."""

import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.names import image_set, images_below, telling
from netvlad.datasets.record import DatasetRecord
from netvlad.geography import to_utm
from netvlad.images import left_out_notes
from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts
from netvlad.types import PlaceDataset

_THREADS = 8


def read_photos(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open folders of photos; position, direction and time come from their EXIF metadata.

    The headers of all files are read, never their pixels. Photos without a position are kept, but
    never count as correct, and a note counts them. ``times`` are seconds since 1970. Positions are
    projected to ``utm_zone``; None takes the zone of the median point.

    Raises:
        DataError: a folder is missing or has no images, or no photo has a position.
    """
    prefix = f"{split}/" if (root / split / "database").is_dir() else ""
    listings = [images_below(record, root, f"{prefix}{role}") for role in ("database", "queries")]
    left_out = sum((Counter(listing.left_out) for listing in listings), Counter())
    names = [name for listing in listings for name in listing.names]
    facts = _read_facts([root / name for name in names])
    latitudes, longitudes = np.array([(fact.latitude, fact.longitude) for fact in facts]).T
    with telling(root / prefix):
        positions, zone = to_utm(latitudes, longitudes, utm_zone)
    count = len(listings[0].names)
    unknown: NDArray[np.bool_] = np.isnan(positions[:, 0])
    notes = [
        f"{which.sum()} of {len(which)} photos in {folder} have no position and never count as "
        "correct."
        for folder, which in (("database", unknown[:count]), ("queries", unknown[count:]))
        if which.any()
    ]
    notes += left_out_notes(left_out)
    headings, times = np.array([(fact.heading, fact.time) for fact in facts]).T
    found, asked = (
        image_set(root, names[part], positions[part], headings[part], times[part], zone)
        for part in (slice(count), slice(count, None))
    )
    return PlaceDataset(record.name, split, found, asked, notes=tuple(notes))


def _read_facts(files: Sequence[Path]) -> list[PhotoFacts]:
    # Pillow warns about each damaged tag; around the whole pool, as filters belong to the process.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        return list(pool.map(read_photo_facts, files))
