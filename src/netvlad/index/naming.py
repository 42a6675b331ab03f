"""Which places of an index a person means, and what a query's own file says."""

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.images.exif import PhotoFacts
from netvlad.index.photos import collect_photos
from netvlad.index.places import Places


def find_places(places: Places, images: Iterable[str | Path]) -> NDArray[np.int64]:
    """The numbers of the places called so, ascending; a folder stands for all photos below it.

    Raises:
        DataError: one of ``images`` names no place.
    """
    names = places.images()
    numbers = {name: i for i, name in enumerate(names)}
    found: set[int] = set()
    for image in images:
        absolute = os.path.abspath(image)  # noqa: PTH100 - links stay as they are
        here = {numbers[name] for name in (str(image), absolute) if name in numbers}
        if not here:
            below = absolute.rstrip("/") + "/"
            here = {i for i, name in enumerate(names) if name.startswith(below)}
        if not here:
            raise DataError(
                f"{image}: is not in the index, nor is any photo below it; "
                "`netvlad index info --places` lists what is"
            )
        found |= here
    return np.array(sorted(found), dtype=np.int64)


def missing_photos(places: Places) -> NDArray[np.int64]:
    """The numbers of the places that were made from a file which is no longer there."""
    from_file = places.table.column("size_bytes").to_numpy() >= 0
    gone = [i for i in np.flatnonzero(from_file).tolist() if not Path(places.image(i)).is_file()]
    return np.array(gone, dtype=np.int64)


def photo_facts(photo: Path) -> PhotoFacts:
    """What a query's file name and EXIF data say, as they do for the index's own photos."""
    row = collect_photos([photo], threads=0).places.row(0)
    known = (row[f.name] for f in fields(PhotoFacts))
    return PhotoFacts(*(np.nan if value is None else value for value in known))
