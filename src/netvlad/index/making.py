"""Making an index of photos, wherever it is to lie, and writing one in memory to a folder."""

from functools import partial
from pathlib import Path

from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError
from netvlad.index.adding import Photos, add_photos, collected
from netvlad.index.building import Change, build_folder
from netvlad.index.describing_photos import model_or_default
from netvlad.index.engines.cluster import RayCluster
from netvlad.index.milvus_building import build_in_milvus
from netvlad.index.opening import AnyStore, open_store
from netvlad.index.photos import Collection
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.milvus import MilvusStore
from netvlad.index.stores.milvus_address import is_milvus, milvus_address
from netvlad.index.stores.opened import OpenedFolder
from netvlad.index.stores.writing import writing
from netvlad.models import Describer, PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import Reporter, silent

_BLOCK = 4096


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
    cluster: RayCluster | None = None,
    seed: int = 123,
    report: Reporter = silent,
) -> tuple[AnyStore, Change, PlaceModel | None]:
    """Make an index of photos.

    Args:
        photos: files, and folders with all below them.
        model: describes them; None fits the default model to them
            (:func:`~netvlad.index.default_model.default_model`).
        output: the folder to make, or an address in Milvus
            (:func:`~netvlad.index.stores.milvus_address.milvus_address`); None keeps the index
            in memory, see :func:`save_index`.
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
        the places; what was added and what was skipped; and the model, None where the store keeps
        it.

    Raises:
        DataError: a path does not exist, the table makes no sense, or no photo can be used.
        ModelError: ``model`` is not of netvlad's own making, see :func:`require_place_model`.
        SettingsError: settings contradict each other, or something is not installed.
        StorageError: ``output`` holds an index, or cannot be written.
    """
    own = None if model is None else require_place_model(model)
    if cluster is not None and (output is None or is_milvus(output)):
        raise SettingsError("describing on a cluster needs output: the folder of an index")
    collection = collected(photos, positions, utm_zone, compute, report)
    if output is None:
        if whiten is not None:
            raise SettingsError("whiten needs output: an index in memory keeps its dimension")
        return _made_in_memory(own, collection, compute, seed, report)
    if is_milvus(output):
        make = partial(build_in_milvus, milvus_address(output))
    else:
        make = partial(build_folder, Path(output), cluster=cluster)
    change = make(
        own,
        collection,
        storage=storage,
        whiten=whiten,
        compute=compute,
        seed=seed,
        report=report,
    )
    return open_store(output), change, None


def _made_in_memory(
    model: PlaceModel | None,
    collection: Collection,
    compute: Compute,
    seed: int,
    report: Reporter,
) -> tuple[AnyStore, Change, PlaceModel | None]:
    chosen = model_or_default(model, collection.places, compute, seed, report)
    store = MemoryStore(chosen.descriptor_dim)
    change = add_photos(store, chosen, collection, compute, report)
    return store, change, chosen


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


def kept_in_memory(store: AnyStore, folder: str | Path) -> MemoryStore:
    """The places that :func:`save_index` may write to ``folder``.

    Raises:
        SettingsError: they lie in a folder or in Milvus already, or ``folder`` is an address.
    """
    if isinstance(store, MilvusStore):
        raise SettingsError(f"{store.name}: is kept in Milvus; build a folder from the photos")
    if isinstance(store, OpenedFolder):
        raise SettingsError(f"{store.folder}: is on disk already; copy the folder")
    if is_milvus(folder):
        raise SettingsError(f"{milvus_address(folder)}: build there instead, or name a folder")
    return store


def save_index(
    store: MemoryStore, model: PlaceModel, folder: str | Path, *, storage: str = "16"
) -> None:
    """Write an index in memory to a folder.

    Args:
        store: the index's places, see :func:`kept_in_memory`.
        model: the index's own.
        folder: to be made; must not hold an index yet.
        storage: bits per value of the descriptors, ``"16"`` or ``"32"``.

    Raises:
        StorageError: the folder holds an index, or cannot be written.
    """
    matrix = store.matrix
    with writing(Path(folder), "saving it", create=True, dim=store.dim, storage=storage) as writer:
        writer.put_model(model, model_fingerprint(model))
        starts = range(0, len(matrix), _BLOCK)
        writer.append(store.places, (matrix[start : start + _BLOCK] for start in starts))
        for name, content in store.documents.items():
            writer.put_document(name, content)
        writer.commit()
