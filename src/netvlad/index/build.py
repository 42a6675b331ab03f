"""Photos into an index: gathered, described, written, so that a kill costs minutes at most."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import DataError, StorageError
from netvlad.fitting.whitening import whiten_rows, with_whitening
from netvlad.images import Unreadable
from netvlad.images.listing import images_fingerprint
from netvlad.index.photo_descriptors import (
    Cluster,
    describe_photos,
    familiar,
    fitted_whitening,
    image_set,
    model_or_default,
)
from netvlad.index.photos import Collection
from netvlad.index.places import Places
from netvlad.index.stores.manifest import MANIFEST
from netvlad.index.stores.writer import IndexWriter, writing
from netvlad.matching.extracting import features_of_all
from netvlad.matching.features import Matcher
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.storage import locked
from netvlad.types import Progress, Reporter, silent

WORK = ".work"
"""Below an index folder: descriptors that are being computed, until they are in the index."""

_BLOCK = 4096
_FEATURES_AT_ONCE = 256  # photos whose local features a kill may cost
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
        extracting_s: likewise on local features, where the index keeps them.
    """

    added: int
    replaced: int = 0
    unchanged: int = 0
    updated: int = 0
    skipped: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    extracting_s: float = field(default=0.0, compare=False)


def build_folder(
    folder: Path,
    model: PlaceModel | None,
    collection: Collection,
    *,
    storage: str = "16",
    whiten: int | None = None,
    compute: Compute = Compute(),
    cluster: Cluster | None = None,
    matcher: Matcher | None = None,
    seed: int = 123,
    report: Reporter = silent,
) -> Change:
    """Make an index folder of photos.

    A build that was killed keeps the photos it had described, when it is repeated; one that was
    killed while it found local features has made an index, which adding the photos completes.

    Args: as :meth:`~netvlad.index.place_index.PlaceIndex.build`; ``folder`` must not hold an index
        yet; ``matcher`` finds the local features that the index keeps.

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
    whitening = fitted_whitening(described.values, whiten, default=model is None, seed=seed)
    if whitening is not None:
        chosen = with_whitening(chosen, whitening)
        blocks = (whiten_rows(whitening, block) for block in _blocks(described.values, good))
    dim = chosen.descriptor_dim
    with writing(folder, "building it", create=True, dim=dim, storage=storage) as writer:
        writer.put_model(chosen, model_fingerprint(chosen))
        writer.append(places.take(good), blocks)
        if matcher is not None:
            writer.begin_features(matcher)  # a build that is killed from now on is resumed by `add`
        writer.commit(report)
        shutil.rmtree(folder / WORK, ignore_errors=True)
        extracting_s = 0.0
        if matcher is not None:
            extracting_s = extract_features(writer, matcher, compute, report)
    return Change(
        added=len(good),
        skipped=described.unreadable,
        notes=collection.notes,
        seconds=described.seconds,
        extracting_s=extracting_s,
    )


def add_to_folder(
    folder: Path,
    model: PlaceModel,
    collection: Collection,
    *,
    compute: Compute = Compute(),
    cluster: Cluster | None = None,
    matcher: Matcher | None = None,
    report: Reporter = silent,
) -> Change:
    """Add photos to an index folder; those it has already are described again only if changed.

    What is known about photos it has already (position, heading, time, tags) is brought up to
    date without describing them.

    Args: as :func:`build_folder`; ``model`` and ``matcher`` are the index's own.

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
        extracting_s = 0.0
        if matcher is not None:
            extracting_s = extract_features(writer, matcher, compute, report)
    return Change(
        added=len(good) - len(replaced),
        replaced=len(replaced),
        unchanged=int(same.sum()),
        updated=len(changed),
        skipped=described.unreadable,
        notes=collection.notes,
        seconds=described.seconds,
        extracting_s=extracting_s,
    )


def extract_features(
    writer: IndexWriter, matcher: Matcher, compute: Compute = Compute(), report: Reporter = silent
) -> float:
    """Find the local features of all places that have none yet, or have those of another matcher.

    They are committed as they come, so that a kill costs those of the last moment.

    Returns:
        the seconds it took.

    Raises:
        StorageError: they cannot be written; what was committed stays.
    """
    start = perf_counter()
    kept = writer.features
    if kept is None or (kept.matcher, kept.format) != (matcher.name, matcher.format):
        kept = writer.begin_features(matcher)
    photos = dict(zip(writer.rows.tolist(), writer.places.images(), strict=True))
    total = len(writer.matrix)
    for first in range(kept.file.rows, total, _FEATURES_AT_ONCE):
        rows = range(first, min(first + _FEATURES_AT_ONCE, total))
        # Of removed places rows are left over, and of frames that came without a file no photo is.
        paths = [Path(photos[row]) if row in photos else None for row in rows]

        def found(first: int = first, paths: Sequence[Path | None] = paths) -> Iterator[Any]:
            for done, features in enumerate(features_of_all(matcher, paths, compute), first + 1):
                report(Progress("Finding local features", done, total, "photos"))
                yield features

        writer.append_features(found(), len(rows))
        writer.commit()
    return perf_counter() - start


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
