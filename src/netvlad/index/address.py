"""Where an index lies, in memory, in a folder or in Milvus: made there, opened there."""

import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError
from netvlad.fitting.calibration import Calibration
from netvlad.index.build import Change, Photos, build_folder, collected
from netvlad.index.photo_descriptors import Cluster, model_or_default
from netvlad.index.photos import Collection
from netvlad.index.probability import default_calibration, document_name
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.opened import OpenedFolder
from netvlad.index.stores.store import Store
from netvlad.matching.registry import DEFAULT_MATCHER, matcher_name
from netvlad.models import Describer, PlaceModel
from netvlad.types import Note, Reporter, silent

_SCHEME = re.compile(r"([a-z][a-z+]*):/")
_ENGINES = dict.fromkeys(("milvus", "milvus+tls"), "netvlad.index.stores.milvus")
"""By the scheme of an address, the package with ``parse``, ``build`` and ``open_store``."""


def engine_of(place: object) -> Any:
    """The package that keeps the index of this address; None for a folder.

    It is imported when an address asks for it. Its ``parse`` makes of an address what its
    ``build`` and ``open_store`` take.
    """
    scheme = _SCHEME.match(str(place))
    name = None if scheme is None else _ENGINES.get(scheme[1])
    return None if name is None else import_module(name)


def shown(place: str | Path) -> str:
    """A place as messages may print it: an address without a password."""
    engine = engine_of(place)
    return str(place if engine is None else engine.parse(place))


def open_store(place: str | Path) -> Store:
    """Open the places of an index.

    Args:
        place: the index folder, or an address in Milvus
            (:func:`~netvlad.index.stores.milvus.client.milvus_address`).

    Raises:
        SettingsError: pymilvus is not installed.
        StorageError: there is no index, or it is damaged; or Milvus does not answer.
    """
    engine = engine_of(place)
    if engine is None:
        return OpenedFolder(Path(place))
    store: Store = engine.open_store(engine.parse(place))
    return store


def store_calibration(
    store: Store, pooling: str, *, reranked: bool | str = False, report: Reporter = silent
) -> Calibration:
    """Turns scores into probabilities: the index's own, or the default.

    Args:
        store: the places, and the index's own calibrations beside them.
        pooling: of the model that described the places.
        reranked: the one for answers that were re-ranked, or by which matcher. For learned ones
            there is no default: without one of the index's own, answers are judged as if they
            were not re-ranked.
        report: receives a note where they are judged so.

    Raises:
        SettingsError: there is no matcher of that name.
        StorageError: the index's own is damaged.
    """
    kept = store.documents.get(document_name(reranked=reranked))
    if kept is not None:
        return Calibration.from_json(kept, store.name)
    matcher = matcher_name(reranked)
    if matcher in (None, DEFAULT_MATCHER):
        return default_calibration(pooling, reranked=matcher is not None)
    report(
        Note(
            "probabilities are those of answers that are not re-ranked; fit some to "
            f"{matcher}: netvlad index calibrate --matcher {matcher}"
        )
    )
    return store_calibration(store, pooling)


def make_index(
    photos: Photos,
    model: Describer | None = None,
    *,
    output: str | Path | None = None,
    positions: str | Path | None = None,
    utm_zone: str | None = None,
    storage: str = "16",
    whiten: int | None = None,
    compute: Compute = Compute(),
    cluster: Cluster | None = None,
    seed: int = 123,
    report: Reporter = silent,
) -> tuple[Store, Change]:
    """Make an index of photos.

    Args:
        photos: files, and folders with all below them.
        model: describes them; None fits the default model to them
            (:func:`~netvlad.index.photo_descriptors.default_model`).
        output: the folder to make, or an address in Milvus
            (:func:`~netvlad.index.stores.milvus.client.milvus_address`); None keeps the index
            in memory, see
            :meth:`~netvlad.index.place_index.PlaceIndex.save`.
        positions: a table of positions (CSV or Parquet: image, latitude, longitude, ...).
        utm_zone: zone of eastings and northings, where the table or the names do not say.
        storage: bits per value of stored descriptors, ``"16"`` or ``"32"``.
        whiten: dimension that descriptors are reduced to, by a PCA whitening learned from them
            (with ``output`` only).
        compute: where and how photos are described.
        cluster: machines that describe the photos of an index folder; None is this one alone.
        seed: of the default model's centres, and of whitening's sample.
        report: receives progress and notes.

    Returns:
        the places; and what was added and what was skipped.

    Raises:
        DataError: a path does not exist, the table makes no sense, or no photo can be used.
        ModelError: ``model`` is not of netvlad's own making, see :func:`require_place_model`.
        SettingsError: settings contradict each other, or something is not installed.
        StorageError: ``output`` holds an index, or cannot be written.
    """
    own = None if model is None else require_place_model(model)
    if cluster is not None and (output is None or engine_of(output)):
        raise SettingsError("describing on a cluster needs output: the folder of an index")
    collection = collected(photos, positions, utm_zone, compute, report)
    if output is None:
        if whiten is not None:
            raise SettingsError("whiten needs output: an index in memory keeps its dimension")
        return _made_in_memory(own, collection, compute, seed, report)
    make = partial(build_folder, Path(output), cluster=cluster)
    if engine := engine_of(output):
        make = partial(engine.build, engine.parse(output))
    change = make(
        own,
        collection,
        storage=storage,
        whiten=whiten,
        compute=compute,
        seed=seed,
        report=report,
    )
    return open_store(output), change


def _made_in_memory(
    model: PlaceModel | None,
    collection: Collection,
    compute: Compute,
    seed: int,
    report: Reporter,
) -> tuple[Store, Change]:
    chosen = model_or_default(model, collection.places, compute, seed, report)
    store = MemoryStore(chosen.descriptor_dim, chosen)
    change = store.add(chosen, collection, compute, report)
    return store, change


def require_place_model(model: object) -> PlaceModel:
    """Refuse a model that an index cannot keep, before any work.

    Raises:
        ModelError: it is not a :class:`~netvlad.models.PlaceModel`.
    """
    if not isinstance(model, PlaceModel):
        name = getattr(model, "name", type(model).__name__)
        raise ModelError(
            f"model {name}: is code of your own, but an index keeps its model as weights and "
            "settings, which a netvlad.PlaceModel has; netvlad.describe and netvlad.evaluate take "
            "it, or give a PlaceModel"
        )
    return model


def require_folder(folder: str | Path) -> Path:
    """The folder that an index in memory may be saved to.

    Raises:
        SettingsError: it is an address.
    """
    if engine_of(folder):
        raise SettingsError(f"{shown(folder)}: build there instead, or name a folder")
    return Path(folder)
