"""Photos into an index in Milvus: described and written in slices, so that a kill costs one."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netvlad.descriptors import Descriptors, describe
from netvlad.errors import DataError
from netvlad.fitting.whitening import SAMPLE, fit_whitening, with_whitening
from netvlad.images import Unreadable
from netvlad.index.building import Change, Work, image_set
from netvlad.index.default_model import default_model
from netvlad.index.photos import Collection
from netvlad.index.places import SCHEMA, Places
from netvlad.index.stores.milvus import MilvusStore
from netvlad.index.stores.milvus_address import MilvusAddress
from netvlad.models import PlaceModel
from netvlad.types import Note, Progress, Reporter, silent

SLICE = 512
"""Photos that are described before they are written: what a kill costs, and what memory holds."""

# What tells whether a photo is still the file that was described.
_FILE_COLUMNS = ("size_bytes", "mtime_ns")


def build_in_milvus(
    address: MilvusAddress,
    model: PlaceModel | None,
    collection: Collection,
    *,
    storage: str = "16",
    whiten: int | None = None,
    work: Work | None = None,
    report: Reporter = silent,
) -> Change:
    """Make an index in Milvus of photos.

    One that was killed after its first slice is an index of the photos written so far, which
    adding the photos again completes.

    Args:
        address: the index to be.
        model: describes the photos; None fits the default model to them.
        collection: the photos, and what is known about each.
        storage: bits per value of the descriptors, ``"16"`` or ``"32"``; Milvus Lite keeps 32.
        whiten: dimension that descriptors are reduced to, by a PCA whitening learned from a sample
            of the photos, which are described twice.
        work: how photos are described.
        report: receives progress and notes.

    Raises:
        DataError: not one photo can be used.
        SettingsError: pymilvus is not installed, or ``whiten`` is more than the photos allow.
        StorageError: there is an index, or something else; the server fails.
    """
    work = work or Work()
    MilvusStore.check_free(address)
    places = collection.places
    chosen = model or default_model(
        image_set(places),
        seed=work.seed,
        batch_size=work.batch_size,
        threads=work.threads,
        precision=work.precision,
        device=work.device,
        report=report,
    )
    if whiten is not None:
        chosen = _whitened(chosen, places, whiten, work, report)
    store: MilvusStore | None = None
    skipped: list[Unreadable] = []
    seconds, added = 0.0, 0
    for some, described in _slices(chosen, places, work, report):
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
    work: Work | None = None,
    report: Reporter = silent,
) -> Change:
    """Add photos to an index in Milvus; those it has are described again only if changed.

    What is known about photos it has already (position, heading, time, tags) is brought up to
    date without describing them. One that is killed has added some; repeating it adds the others.

    Args:
        store: the index.
        model: the index's own.
        collection: the photos, and what is known about each.
        work: how photos are described.
        report: receives progress and notes.

    Raises:
        StorageError: the server fails; photos written before stay.
    """
    given = collection.places
    there = store.stored(given)
    same = np.array([_same_file(old, given, i) for i, old in enumerate(there)], dtype=np.bool_)
    known = np.array([old is not None for old in there], dtype=np.bool_)
    updated = _update_facts(store, there, given, np.flatnonzero(same))
    fresh = np.flatnonzero(~same)
    skipped: list[Unreadable] = []
    seconds, added, replaced = 0.0, 0, 0
    for some, described in _slices(model, given.take(fresh), work or Work(), report):
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
        updated=updated,
        skipped=tuple(skipped),
        notes=collection.notes,
        seconds=seconds,
    )


def _slices(
    model: PlaceModel, places: Places, work: Work, report: Reporter
) -> Iterator[tuple[NDArray[np.int64], Descriptors]]:
    """The numbers (n,) of some places and their descriptors, until all are described."""
    for start in range(0, len(places), SLICE):
        some = np.arange(start, min(start + SLICE, len(places)))
        yield some, _described(model, places.take(some), work, _from(start, len(places), report))


def _described(model: PlaceModel, places: Places, work: Work, report: Reporter) -> Descriptors:
    return describe(
        model,
        image_set(places),
        batch_size=work.batch_size,
        threads=work.threads,
        precision=work.precision,
        stage="Describing photos",
        report=report,
    )


def _from(start: int, total: int, report: Reporter) -> Reporter:
    """Reports the progress of a slice as that of the whole."""

    def reported(event: Progress | Note) -> None:
        if isinstance(event, Progress):
            event = replace(event, done=start + event.done, total=total)
        report(event)

    return reported


def _whitened(
    model: PlaceModel, places: Places, dim: int, work: Work, report: Reporter
) -> PlaceModel:
    sample = np.arange(len(places))
    if len(places) > SAMPLE:
        sample = np.sort(np.random.default_rng(work.seed).choice(sample, SAMPLE, replace=False))
    described = _described(model, places.take(sample), work, report)
    return with_whitening(model, fit_whitening(described.values, dim, seed=work.seed))


def _same_file(old: dict[str, object] | None, given: Places, i: int) -> bool:
    row = given.row(i)
    return old is not None and all(old[name] == row[name] for name in _FILE_COLUMNS)


def _update_facts(
    store: MilvusStore,
    there: list[dict[str, object] | None],
    given: Places,
    same: NDArray[np.int64],
) -> int:
    """Bring what is known about photos ``same`` up to date; how many changed."""
    numbers, changed = [], []
    for i in same.tolist():
        old, new = there[i], given.row(i)
        new["tags"] = list(new["tags"] or ())
        if old is not None and any(old[name] != new[name] for name in SCHEMA.names):
            numbers.append(old["number"])
            changed.append(i)
    store.update(np.array(numbers, np.int64), given.take(np.array(changed, np.int64)))
    return len(changed)


def _moved(described: Descriptors, at: NDArray[np.int64]) -> list[Unreadable]:
    """What could not be used, numbered among all photos."""
    return [replace(image, index=int(at[image.index])) for image in described.unreadable]
