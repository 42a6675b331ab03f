"""What ``--model`` may name: a trained model, an index, a backbone, clusters, a Python file."""

from pathlib import Path

from netvlad.cli.cluster_models import SUFFIXES, open_cluster_file
from netvlad.cli.model_files import is_python_file, open_python_file
from netvlad.errors import CheckpointError, SettingsError
from netvlad.models import (
    AGGREGATORS,
    BACKBONES,
    Describer,
    ModelSpec,
    PlaceModel,
    build_model,
    load_model,
)
from netvlad.models.checkpoints import Ckpt
from netvlad.types import Progress, Reporter, silent

DEFAULT_POOLING = "avg"
LONGEST_SIDE = 512
"""Pixels a side to which photos are reduced for a backbone named by itself: photos of 12 megapixels
would otherwise take gigabytes each."""


def open_model(name: str | Path, ckpt: Ckpt = "latest", *, report: Reporter = silent) -> Describer:
    """Open the model that ``--model`` names, to describe images with it.

    Args:
        name: as :func:`open_place_model` takes it; or a Python file that registers a model, as
            ``FILE.py``, or ``FILE.py:NAME`` where it registers several. That file is run.
        ckpt: which checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model in evaluation mode, on the CPU unless a Python file has put it elsewhere.

    Raises:
        NetvladError: as :func:`open_place_model`.
        SettingsError: the Python file is not there, fails, or registers no such model.
    """
    name = str(name)
    if is_python_file(name):
        return open_python_file(name)
    return open_place_model(name, ckpt, report=report)


def open_place_model(
    name: str | Path, ckpt: Ckpt = "latest", *, report: Reporter = silent
) -> PlaceModel:
    """Open a model that is to be kept: weights and settings, which an index and an export store.

    Args:
        name: a path that exists: a run folder, ours or pytorch-NetVlad's, a checkpoint folder, an
            index (its model), or a cluster file (``.hdf5``: NetVLAD off the shelf); else a
            backbone's name, alone (average pooling) or with a pooling behind a hyphen, such as
            ``vgg16-gem``: published ImageNet weights.
        ckpt: which checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the path is no model, or is damaged.
        StorageError: the path is a damaged index.
        ClusterError: the cluster file is missing or damaged, or does not say what it belongs to.
        SettingsError: there is neither such a path nor such a backbone, the pooling needs cluster
            centres, or a Python file is named.
        WeightsError: the backbone's weights cannot be had.
    """
    name = str(name)
    if is_python_file(name):
        raise SettingsError(
            f"{name}: is code, but an index and an export keep a model as weights and settings, "
            "and no code is ever run from them; `netvlad describe` and `netvlad evaluate` take it"
        )
    path = Path(name)
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return open_cluster_file(path, report)
    if path.is_file():
        raise CheckpointError(f"{path}: is a file; name the run folder or the index it lies in")
    if (path / "manifest.json").exists():
        # Imported here: an index brings faiss and pyarrow, which other models do not need.
        from netvlad.index.stores.folder import FolderStore  # noqa: PLC0415

        with FolderStore.open(path) as store:
            return store.load_model()
    if path.exists():
        return load_model(path, ckpt=ckpt)
    arch, pooling = _split(name)
    if pooling == "netvlad":
        raise SettingsError(
            f"{name}: NetVLAD has no published centres; fit centres with `netvlad cluster` and "
            "name the file it writes, or name a trained run's folder, or choose "
            f"{arch}-{DEFAULT_POOLING}"
        )

    def downloading(done: int, total: int | None) -> None:
        report(Progress("Downloading weights", done, total or done + 1, "bytes"))

    spec = ModelSpec(arch=arch, pooling=pooling, resize=LONGEST_SIDE)
    return build_model(spec, weights="imagenet", progress=downloading)


def _split(name: str) -> tuple[str, str]:
    """Backbone and pooling of ``BACKBONE`` or ``BACKBONE-POOLING``."""
    if name in BACKBONES:
        return name, DEFAULT_POOLING
    arch, _, pooling = name.rpartition("-")
    if arch in BACKBONES and pooling in AGGREGATORS:
        return arch, pooling
    raise SettingsError(
        f"{name}: no such run folder, nor a model of that name; there are "
        f"{', '.join(BACKBONES)}, each alone or with "
        f"{', '.join(f'-{pool}' for pool in AGGREGATORS if pool != 'netvlad')}"
    )
