"""Which places of an index a person means, and what a query's own file says."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts
from netvlad.index.places import Places
from netvlad.index.utm_named import read_utm_named


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
    """What a query's file name and EXIF data say, as for the index's own photos."""
    named = read_utm_named([photo], None)
    facts = PhotoFacts()
    if len(named.rows):
        latitude, longitude = named.degrees[0].tolist()
        heading, time = float(named.heading[0]), float(named.time[0])
        facts = PhotoFacts(latitude, longitude, heading=heading, time=time)
    return facts.completed_by(read_photo_facts(photo), "EXIF")
