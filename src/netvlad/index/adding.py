"""Adding photos by their paths, or one image from memory, to an index wherever it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netvlad.compute import Compute
from netvlad.index.building import Change
from netvlad.index.photos import Collection, collect_photos
from netvlad.index.stores.store import Store, frame_name
from netvlad.models import OneImage, PlaceModel
from netvlad.types import Reporter

Photos = str | Path | Sequence[str | Path]
"""Files, and folders with all below them."""


def are_paths(images: object) -> bool:
    """Whether these are photos by their paths, rather than one image from memory."""
    if isinstance(images, str | Path):
        return True
    return isinstance(images, Sequence) and all(isinstance(i, str | Path) for i in images)


def collected(
    photos: Any,
    positions: str | Path | None,
    utm_zone: str | None,
    compute: Compute,
    report: Reporter,
) -> Collection:
    """Photos and what is known about each, see :func:`~netvlad.index.photos.collect_photos`.

    Raises:
        DataError: a path does not exist, or the table makes no sense.
        SettingsError: ``utm_zone`` is not a zone.
    """
    listed = [photos] if isinstance(photos, str | Path) else list(photos)
    table = None if positions is None else Path(positions)
    return collect_photos(
        listed, positions=table, utm_zone=utm_zone, threads=compute.threads, report=report
    )


def add_image(
    store: Store,
    model: PlaceModel,
    image: OneImage,
    *,
    position: tuple[float, float] | None = None,
    heading: float | None = None,
    time: float | None = None,
    name: str | None = None,
) -> Change:
    """Describe one image from memory and add it.

    Args:
        store: the index's places.
        model: the index's own.
        image: a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch.
        position: latitude and longitude, WGS84 degrees.
        heading: degrees clockwise from north that it looks to.
        time: seconds that it was taken at, of any clock that all of them share.
        name: what answers call it; None numbers it, like none before it.

    Raises:
        ModelError: the image is not uint8 RGB, or is too small.
        StorageError: another process is writing to the folder, or its disk is full; nothing has
            changed.
    """
    descriptor = model.describe(image)
    values = {"time": time, "heading": heading}
    if position is not None:
        values["latitude"], values["longitude"] = position
    known = {key: float(value) for key, value in values.items() if value is not None}
    if name is None:
        name = frame_name(store.next_frame)
    store.append_one(descriptor, name, known)
    return Change(added=1)
