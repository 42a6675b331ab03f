"""What ``--model`` may name: a trained model's folder, an index, or a published backbone."""

from pathlib import Path

from netvlad.errors import CheckpointError, SettingsError
from netvlad.models import AGGREGATORS, BACKBONES, ModelSpec, PlaceModel, build_model, load_model
from netvlad.models.checkpoints import Which
from netvlad.types import Progress, Reporter, silent

DEFAULT_POOLING = "avg"
LONGEST_SIDE = 512
"""Pixels a side to which photos are reduced for a backbone named by itself: photos of 12 megapixels
would otherwise take gigabytes each."""


def open_model(name: str, ckpt: Which = "latest", *, report: Reporter = silent) -> PlaceModel:
    """Open the model that ``--model`` names.

    Args:
        name: a path that exists: a run folder, ours or pytorch-NetVlad's, a checkpoint folder, or
            an index (its model); else a backbone's name, alone (average pooling) or with a pooling
            behind a hyphen, such as ``vgg16-gem``: published ImageNet weights.
        ckpt: which checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the path is no model, or is damaged.
        StorageError: the path is a damaged index.
        SettingsError: there is neither such a path nor such a backbone, or the pooling needs
            cluster centres.
        WeightsError: the backbone's weights cannot be had.
    """
    path = Path(name)
    if path.is_file():
        raise CheckpointError(f"{path}: is a file; name the run folder or the index it lies in")
    if (path / "manifest.json").exists():
        # Imported here: an index brings faiss and pyarrow, which other models do not need.
        from netvlad.index.stores.folder import FolderStore  # noqa: PLC0415

        with FolderStore.open(path) as store:
            return store.load_model()
    if path.exists():
        return load_model(path, which=ckpt)
    arch, pooling = _split(name)
    if pooling == "netvlad":
        raise SettingsError(
            f"{name}: NetVLAD has no published centres; fit centres with `netvlad cluster`, train "
            f"with `netvlad train` and name the run folder, or choose {arch}-{DEFAULT_POOLING}"
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
