"""Every model that a user can name: trained, published, their own code, or an index's."""

from pathlib import Path

from netvlad.errors import SettingsError
from netvlad.models import (
    AGGREGATORS,
    BACKBONES,
    ExternalModel,
    ModelSpec,
    PlaceModel,
    build_model,
)
from netvlad.models.checkpoints import Ckpt, load_checkpoint, model_of
from netvlad.models.registering import is_python_file, open_python_file
from netvlad.types import Reporter, silent

DEFAULT_POOLING = "avg"
LONGEST_SIDE = 512
"""Pixels a side to which photos are reduced for a backbone named by itself: photos of 12 megapixels
would otherwise take gigabytes each."""


def load_model(
    name: str | Path, *, ckpt: Ckpt = "latest", report: Reporter = silent
) -> PlaceModel | ExternalModel:
    """Load the model that is called ``name``, to describe images with it.

    Args:
        name: what :func:`load_place_model` takes; or a Python file that registers a model, as
            ``FILE.py``, or ``FILE.py:NAME`` where it registers several. Only that file is run.
        ckpt: the ``"latest"`` or the ``"best"`` checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model in evaluation mode, on the CPU unless a Python file has put it elsewhere.

    Raises:
        NetvladError: as :func:`load_place_model`.
        SettingsError: the Python file is not there, fails, or registers no such model.

    Examples:
        >>> load_model("efficientnet-lite0-avg").descriptor_dim
        112
    """
    if is_python_file(str(name)):
        return open_python_file(str(name))
    return load_place_model(name, ckpt=ckpt, report=report)


def load_place_model(
    name: str | Path, *, ckpt: Ckpt = "latest", report: Reporter = silent
) -> PlaceModel:
    """Load a model of weights and settings, which an index and an export can keep.

    Args:
        name: a path that exists: a run folder, ours or pytorch-NetVlad's, a checkpoint, an index
            (its model), or a cluster file (``.hdf5``: NetVLAD off the shelf); the address of an
            index in Milvus; or one of :func:`list_models`, whose ending may be left out for
            average pooling.
        ckpt: the ``"latest"`` or the ``"best"`` checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the path is no model, or is damaged.
        StorageError: the path is a damaged index, or the server of an address fails.
        ClusterError: the cluster file is missing or damaged, or does not say what it belongs to.
        SettingsError: there is neither such a path nor such a backbone, the pooling needs cluster
            centres, or a Python file is named.
        WeightsError: the backbone's weights cannot be had.
    """
    if not isinstance(name, str | Path):
        raise SettingsError(
            f"cannot load a {type(name).__name__} as a model; give its name or path"
        )
    text, path = str(name), Path(name)
    if is_python_file(text):
        raise SettingsError(
            f"{name}: is code, but an index and an export keep a model as weights and settings, "
            "and no code is ever run from them; `netvlad describe` and `netvlad evaluate` take it"
        )
    # Imported where they are needed: clusters bring faiss, an index Arrow, too.
    if path.suffix.lower() in (".hdf5", ".h5") and not path.is_dir():
        from netvlad.fitting.cluster_models import model_of_clusters  # noqa: PLC0415

        return model_of_clusters(path, report=report)
    if "://" in text:
        from netvlad.index.address import open_store  # noqa: PLC0415

        return open_store(text).load_model()
    if (path / "manifest.json").exists():
        from netvlad.index.stores.folder import FolderStore  # noqa: PLC0415

        with FolderStore.open(path) as store:
            return store.load_model()
    if path.exists():
        return model_of(load_checkpoint(path, ckpt), path)
    arch, pooling = _split(text)
    if pooling == "netvlad":
        raise SettingsError(
            f"{name}: NetVLAD has no published centres; fit centres with `netvlad cluster` and "
            "name the file it writes, or name a trained run's folder, or choose "
            f"{arch}-{DEFAULT_POOLING}"
        )
    spec = ModelSpec(arch=arch, pooling=pooling, resize=LONGEST_SIDE)
    return build_model(spec, weights="imagenet", report=report)


def list_models() -> list[str]:
    """The names of models with published weights: a backbone and a pooling each.

    Examples:
        >>> [name for name in list_models() if name.startswith("vgg16")]
        ['vgg16-max', 'vgg16-avg', 'vgg16-gem']
    """
    poolings = [pooling for pooling in AGGREGATORS if pooling != "netvlad"]
    return [f"{arch}-{pooling}" for arch in BACKBONES for pooling in poolings]


def _split(name: str) -> tuple[str, str]:
    """Backbone and pooling of ``BACKBONE`` or ``BACKBONE-POOLING``."""
    if name in BACKBONES:
        return name, DEFAULT_POOLING
    arch, _, pooling = name.rpartition("-")
    if arch in BACKBONES and pooling in AGGREGATORS:
        return arch, pooling
    raise SettingsError(
        f"{name}: no such run folder, nor a model of that name; there are {', '.join(BACKBONES)}, "
        f"each alone or with {', '.join(f'-{p}' for p in AGGREGATORS if p != 'netvlad')}"
    )
