"""Photos into an index: gathered, described, written, so that a kill costs minutes at most."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.fitting.whitening import fit_whitening, whiten_rows, with_whitening
from netvlad.images import Unreadable
from netvlad.images.listing import images_fingerprint
from netvlad.index.photo_descriptors import (
    Cluster,
    describe_photos,
    familiar,
    image_set,
    model_or_default,
)
from netvlad.index.photos import Collection, collect_photos
from netvlad.index.places import Places
from netvlad.index.stores.manifest import MANIFEST
from netvlad.index.stores.store import Store, frame_name
from netvlad.index.stores.writer import IndexWriter, writing
from netvlad.models import OneImage, PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.storage import locked
from netvlad.types import Reporter, silent

WORK = ".work"
"""Below an index folder: descriptors that are being computed, until they are in the index."""

_BLOCK = 4096
_OURS = {WORK, ".lock"}
_WORK_LOCK = ".describing.lock"


@dataclass(frozen=True)
class Change:
    """What a build or an addition did.

    Attributes:
        added: photos that are new in the index.
        replaced: photos that were there, had changed since and were described again.
        unchanged: photos that were there and had not changed.
        updated: of these, photos whose position, heading, time or tags are now other ones.
        skipped: photos that could not be used, and why.
        notes: what a person should know about positions.
        seconds: wall time spent on describing.
    """

    added: int
    replaced: int = 0
    unchanged: int = 0
    updated: int = 0
    skipped: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)


def build_folder(
    folder: Path,
    model: PlaceModel | None,
    collection: Collection,
    *,
    storage: str = "16",
    whiten: int | None = None,
    compute: Compute = Compute(),
    cluster: Cluster | None = None,
    seed: int = 123,
    report: Reporter = silent,
) -> Change:
    """Make an index folder of photos.

    A build that was killed keeps the photos it had described, when it is repeated.

    Args: as :func:`~netvlad.index.address.make_index`; ``folder`` must not hold an index yet.

    Raises:
        DataError: not one photo can be used.
        SettingsError: ``whiten`` is more than the photos allow, or the cluster does not answer.
        StorageError: the folder holds an index, is being written to, or has no room.
    """
    places = collection.places
    _refuse_other_content(folder)
    if cluster is not None:
        cluster.resolved()  # before the default model takes its minutes
    chosen = model_or_default(model, places, compute, seed, report)
    described = _described(folder, chosen, places, storage, compute, cluster, report)
    good = np.flatnonzero(described.readable)
    if not len(good):
        shutil.rmtree(folder, ignore_errors=True)
        first = described.unreadable[0].error
        raise DataError(f"none of {len(places)} photos can be used (the first: {first})")
    blocks = _blocks(described.values, good)
    if whiten is not None:
        whitening = fit_whitening(described.values, whiten, seed=seed)
        chosen = with_whitening(chosen, whitening)
        blocks = (whiten_rows(whitening, block) for block in _blocks(described.values, good))
    dim = chosen.descriptor_dim
    with writing(folder, "building it", create=True, dim=dim, storage=storage) as writer:
        writer.put_model(chosen, model_fingerprint(chosen))
        writer.append(places.take(good), blocks)
        writer.commit(report)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return Change(
        added=len(good),
        skipped=described.unreadable,
        notes=collection.notes,
        seconds=described.seconds,
    )


def add_to_folder(
    folder: Path,
    model: PlaceModel,
    collection: Collection,
    *,
    compute: Compute = Compute(),
    cluster: Cluster | None = None,
    report: Reporter = silent,
) -> Change:
    """Add photos to an index folder; those it has already are described again only if changed.

    What is known about photos it has already (position, heading, time, tags) is brought up to
    date without describing them.

    Args: as :func:`build_folder`; ``model`` is the index's own.

    Raises:
        SettingsError: the cluster does not answer.
        StorageError: another process is writing, or there is no room; nothing has changed.
    """
    with writing(folder, "adding photos") as writer:
        assert writer.base is not None
        there = writer.base.places
        known = {image: i for i, image in enumerate(there.images())}
        given = collection.places
        at = np.array([known.get(image, -1) for image in given.images()], dtype=np.int64)
        same, changed = familiar(there, at, given)
        fresh = np.flatnonzero(~same)
        storage = writer.base.manifest.storage
        some = given.take(fresh)
        described = _described(folder, model, some, storage, compute, cluster, report)
        readable = np.flatnonzero(described.readable)
        good = fresh[readable]
        if len(changed):
            _update(writer, there, at[changed], given.take(changed))
        replaced = at[good][at[good] >= 0]
        if len(replaced):
            writer.remove(replaced)
        if len(good):
            writer.append(given.take(good), _blocks(described.values, readable))
        if len(good) or len(changed):
            writer.commit(report)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return Change(
        added=len(good) - len(replaced),
        replaced=len(replaced),
        unchanged=int(same.sum()),
        updated=len(changed),
        skipped=described.unreadable,
        notes=collection.notes,
        seconds=described.seconds,
    )


def _refuse_other_content(folder: Path) -> None:
    """Before long work: the folder is new, or holds a build that was killed."""
    if (folder / MANIFEST).exists():
        raise StorageError(
            f"{folder}: holds an index already; use `netvlad index add`, or another folder"
        )
    if folder.is_file() or (folder.is_dir() and {p.name for p in folder.iterdir()} - _OURS):
        raise StorageError(f"{folder}: holds something else; name a new folder for the index")


def _described(
    folder: Path,
    model: PlaceModel,
    places: Places,
    storage: str,
    compute: Compute,
    cluster: Cluster | None,
    report: Reporter,
) -> Descriptors:
    """Describe into the work folder, where a later run of the same finds it."""
    if not len(places):
        return Descriptors(np.empty((0, model.descriptor_dim), np.float32), np.empty(0, np.bool_))
    # Descriptors of other photos or another model are no use any more.
    made_from = f"{model_fingerprint(model)}-{images_fingerprint(image_set(places))}"
    name = f"{made_from}-{storage}.npy"
    output = folder / WORK / name
    # Another process may be writing them just now.
    with locked(folder / WORK, "describing photos", name=_WORK_LOCK):
        for stale in (folder / WORK).iterdir():
            if name not in stale.name and stale.stem != output.stem and stale.name != _WORK_LOCK:
                stale.unlink(missing_ok=True)
        return describe_photos(
            model, places, compute, report, cluster=cluster, output=output, storage=storage
        )


def _update(writer: IndexWriter, there: Places, at: NDArray[np.int64], given: Places) -> None:
    """Say what is known now about the places ``at`` (n,): those rows anew, all others as before."""
    order = np.arange(len(there))
    order[at] = len(there) + np.arange(len(given))
    writer.update_places(there.joined(given).take(order))


def _blocks(
    values: NDArray[np.floating[Any]], rows: NDArray[np.int64]
) -> Iterator[NDArray[np.floating[Any]]]:
    for start in range(0, len(rows), _BLOCK):
        yield values[rows[start : start + _BLOCK]]


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
        SettingsError: ``utm_zone`` is not a zone, or these are no paths.
    """
    listed = [photos] if isinstance(photos, str | Path) else photos
    if not isinstance(listed, Iterable):
        raise SettingsError(
            f"photos are of type {type(photos).__name__}; give paths of files and folders (of an "
            "ImageSet: [images.path(i) for i in range(len(images))])"
        )
    table = None if positions is None else Path(positions)
    return collect_photos(
        list(listed), positions=table, utm_zone=utm_zone, threads=compute.threads, report=report
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
