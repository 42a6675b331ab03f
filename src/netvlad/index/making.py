"""Making an index of photos, wherever it is to lie."""

from functools import partial
from pathlib import Path

from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError
from netvlad.index.adding import Photos, collected
from netvlad.index.building import Change, build_folder
from netvlad.index.describing_photos import model_or_default
from netvlad.index.opening import engine_of, open_store, shown
from netvlad.index.photos import Collection
from netvlad.index.ray.cluster import RayCluster
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.store import Store
from netvlad.models import Describer, PlaceModel
from netvlad.types import Reporter, silent


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
) -> tuple[Store, Change]:
    """Make an index of photos.

    Args:
        photos: files, and folders with all below them.
        model: describes them; None fits the default model to them
            (:func:`~netvlad.index.describing_photos.default_model`).
        output: the folder to make, or an address in Milvus
            (:func:`~netvlad.index.stores.milvus.address.milvus_address`); None keeps the index
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
