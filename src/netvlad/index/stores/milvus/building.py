"""Photos into an index in Milvus: described and written in slices, so that a kill costs one."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import DataError
from netvlad.fitting.whitening import PARTIAL_SAMPLE, SAMPLE, with_whitening
from netvlad.images import Unreadable
from netvlad.index.build import Change
from netvlad.index.photo_descriptors import (
    FEWEST_PHOTOS,
    describe_photos,
    familiar,
    fitted_whitening,
    model_or_default,
)
from netvlad.index.photos import Collection
from netvlad.index.places import Places
from netvlad.index.stores.milvus.client import MilvusAddress
from netvlad.index.stores.milvus.rows import to_places
from netvlad.index.stores.milvus.store import MilvusStore
from netvlad.models import PlaceModel
from netvlad.types import Note, Progress, Reporter, silent

SLICE = 512
"""Photos that are described before they are written: what a kill costs, and what memory holds."""


def build_in_milvus(
    address: MilvusAddress,
    model: PlaceModel | None,
    collection: Collection,
    *,
    storage: str = "16",
    whiten: int | None = None,
    compute: Compute = Compute(),
    seed: int = 123,
    report: Reporter = silent,
) -> Change:
    """Make an index in Milvus of photos.

    One that was killed after its first slice is an index of the photos written so far, which
    adding the photos again completes.

    Args: as :meth:`~netvlad.index.place_index.PlaceIndex.build`. Milvus Lite always stores 32 bits;
    any whitening is learned from a sample of the photos, which are described twice.

    Raises:
        DataError: not one photo can be used.
        SettingsError: pymilvus is not installed, or ``whiten`` is more than the photos allow.
        StorageError: there is an index, or something else; the server fails.
    """
    MilvusStore.check_free(address)
    places = collection.places
    chosen = model_or_default(model, places, compute, seed, report)
    if whiten or (whiten is None and model is None and len(places) >= FEWEST_PHOTOS):
        chosen = _whitened(chosen, places, whiten, compute, seed, report)
    store: MilvusStore | None = None
    skipped: list[Unreadable] = []
    seconds, added = 0.0, 0
    for some, described in _slices(chosen, places, compute, report):
        good = np.flatnonzero(described.readable)
        if len(good) and store is None:
            store = MilvusStore.create(address, chosen, storage=storage)
        if store is not None:
            store.append(places.take(some[good]), [described.values[good]])
        skipped += _moved(described, some)
        seconds += described.seconds
        added += len(good)
    if store is None:
        raise DataError(f"none of {len(places)} photos can be used (the first: {skipped[0].error})")
    return Change(added=added, skipped=tuple(skipped), notes=collection.notes, seconds=seconds)


def add_to_milvus(
    store: MilvusStore,
    model: PlaceModel,
    collection: Collection,
    *,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Change:
    """Add photos to an index in Milvus; those it has are described again only if changed.

    What is known about photos it has already (position, heading, time, tags) is brought up to
    date without describing them. One that is killed has added some; repeating it adds the others.

    Args: as :func:`build_in_milvus`; ``model`` is the index's own.

    Raises:
        StorageError: the server fails; photos written before stay.
    """
    given = collection.places
    rows = store.stored(given)
    there = [row for row in rows if row is not None]
    known = np.array([row is not None for row in rows], dtype=np.bool_)
    at = np.where(known, np.cumsum(known) - 1, -1)
    same, changed = familiar(to_places(there), at, given)
    numbers = np.array([row["number"] for row in there], np.int64)
    store.update(numbers[at[changed]], given.take(changed))
    fresh = np.flatnonzero(~same)
    skipped: list[Unreadable] = []
    seconds, added, replaced = 0.0, 0, 0
    for some, described in _slices(model, given.take(fresh), compute, report):
        good = fresh[some[described.readable]]
        if len(good):
            store.append(given.take(good), [described.values[described.readable]])
        skipped += _moved(described, fresh[some])
        seconds += described.seconds
        added += int((~known[good]).sum())
        replaced += int(known[good].sum())
    return Change(
        added=added,
        replaced=replaced,
        unchanged=int(same.sum()),
        updated=len(changed),
        skipped=tuple(skipped),
        notes=collection.notes,
        seconds=seconds,
    )


def _slices(
    model: PlaceModel, places: Places, compute: Compute, report: Reporter
) -> Iterator[tuple[NDArray[np.int64], Descriptors]]:
    """The numbers (n,) of some places and their descriptors, until all are described."""
    for start in range(0, len(places), SLICE):
        some = np.arange(start, min(start + SLICE, len(places)))
        told = _from(start, len(places), report)
        yield some, describe_photos(model, places.take(some), compute, told)


def _from(start: int, total: int, report: Reporter) -> Reporter:
    """Reports the progress of a slice as that of the whole."""

    def reported(event: Progress | Note) -> None:
        if isinstance(event, Progress):
            event = replace(event, done=start + event.done, total=total)
        report(event)

    return reported


def _whitened(
    model: PlaceModel,
    places: Places,
    dim: int | None,
    compute: Compute,
    seed: int,
    report: Reporter,
) -> PlaceModel:
    sample, most = np.arange(len(places)), SAMPLE if dim else PARTIAL_SAMPLE
    if len(places) > most:
        sample = np.sort(np.random.default_rng(seed).choice(sample, most, replace=False))
    described = describe_photos(model, places.take(sample), compute, report)
    fitted = fitted_whitening(described.values, dim, default=True, seed=seed)
    return with_whitening(model, fitted)


def _moved(described: Descriptors, at: NDArray[np.int64]) -> list[Unreadable]:
    """What could not be used, numbered among all photos."""
    return [replace(image, index=int(at[image.index])) for image in described.unreadable]
