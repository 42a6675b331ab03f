"""Run folders of pytorch-NetVlad, read and written, so that models move both ways.

Such a folder holds ``checkpoints/flags.json`` (what was typed), ``checkpoint.pth.tar`` (the latest
epoch) and ``model_best.pth.tar`` (the best), each a pickle of a dictionary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from netvlad.errors import CheckpointError, NetvladError
from netvlad.models.place_model import PlaceModel
from netvlad.models.spec import ModelSpec
from netvlad.models.weights import read_torch_file
from netvlad.storage import read_json, write_json, written_beside

_FLAGS = "flags.json"
_FILES = {"latest": "checkpoint.pth.tar", "best": "model_best.pth.tar"}
_ARCHITECTURES = ("vgg16", "alexnet")
_POOLINGS = ("netvlad", "max", "avg")
_BIAS, _CENTROIDS = "pool.conv.bias", "pool.centroids"
_RECALL_OF_BEST = 5

# Recalls and scores were stored as numpy scalars; numpy 2 moved the function that makes them.
_scalar: Any = np.float64(0).__reduce__()[0]
_ALLOWED: tuple[Any, ...] = (
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64)),
)

_DEFAULT_FLAGS: dict[str, Any] = {
    "mode": "train",
    "batchSize": 4,
    "cacheBatchSize": 24,
    "cacheRefreshRate": 1000,
    "nEpochs": 30,
    "start_epoch": 0,
    "nGPU": 1,
    "optim": "SGD",
    "lr": 1e-4,
    "lrStep": 5.0,
    "lrGamma": 0.5,
    "weightDecay": 1e-3,
    "momentum": 0.9,
    "nocuda": False,
    "threads": 8,
    "seed": 123,
    "savePath": "checkpoints",
    "resume": "",
    "ckpt": "latest",
    "evalEvery": 1,
    "patience": 10,
    "dataset": "pittsburgh",
    "margin": 0.1,
    "split": "val",
}


@dataclass(frozen=True, eq=False)
class ForeignCheckpoint:
    """What a checkpoint of pytorch-NetVlad says.

    Attributes:
        settings: its flags by their original names, such as ``lrStep``.
        spec: the model they describe.
        state_dict: the weights on the CPU, under the keys of :class:`PlaceModel`.
        epoch: the epoch after which it was written, counted from 1.
        recalls: recall@N in [0, 1] on the validation split, by N; empty when it was not stored.
        best_score: the best recall@5 so far.
        optimizer: the state dict of its optimiser, None when it was not stored.
    """

    settings: Mapping[str, Any]
    spec: ModelSpec
    state_dict: Mapping[str, Tensor]
    epoch: int
    recalls: Mapping[int, float]
    best_score: float
    optimizer: Mapping[str, Any] | None


def is_pytorch_netvlad_run(source: Path) -> bool:
    """Whether ``source`` is a run folder of pytorch-NetVlad, or a folder or file inside one."""
    return _place_of(source) is not None


def read_pytorch_netvlad_run(
    source: str | Path, *, ckpt: Literal["latest", "best"] = "latest"
) -> ForeignCheckpoint:
    """Read a checkpoint out of a run folder of pytorch-NetVlad. No code in it is run.

    Prefixes that several GPUs left in the keys are removed. Whether NetVLAD has a bias, and how
    many clusters, is taken from the weights, because older flags do not say.

    ``source`` is the run folder, the ``checkpoints`` folder inside, or a ``.pth.tar`` file in that;
    ``ckpt`` names the latest epoch or the best, unless a file is named.

    Raises:
        CheckpointError: it is no such folder, the checkpoint is missing or damaged, holds code, or
            contradicts the flags.
    """
    source = Path(source)
    place = _place_of(source)
    if place is None:
        reason = "is not a run folder of pytorch-NetVlad" if source.exists() else "does not exist"
        raise CheckpointError(f"{source}: {reason} (no checkpoints/{_FILES[ckpt]} in it)")
    if not (place / _FLAGS).is_file():
        raise CheckpointError(
            f"{place / _FLAGS}: is missing; pytorch-NetVlad wrote it beside its checkpoints, and "
            "only there it says what the model is: put it back"
        )
    settings = read_json(place / _FLAGS, error=CheckpointError)
    if not isinstance(settings, dict):
        raise CheckpointError(f"{place / _FLAGS}: does not hold settings by name")
    path = source if source.is_file() else place / _FILES[ckpt]
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no {ckpt} checkpoint in this run folder")
    content = read_torch_file(path, error=CheckpointError, allowed=_ALLOWED)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        raise CheckpointError(f"{path}: is not a checkpoint of pytorch-NetVlad (no state_dict)")
    state = {_single_gpu_key(str(key)): value for key, value in content["state_dict"].items()}
    try:
        optimizer = content.get("optimizer")
        return ForeignCheckpoint(
            settings=settings,
            spec=_spec(settings, state),
            state_dict=state,
            epoch=int(content.get("epoch", 0)),
            recalls={int(n): float(r) for n, r in dict(content.get("recalls") or {}).items()},
            best_score=float(content.get("best_score", 0.0)),
            optimizer=optimizer if isinstance(optimizer, Mapping) else None,
        )
    except (NetvladError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: does not make sense with {_FLAGS}: {error}") from error


def write_pytorch_netvlad_run(
    folder: str | Path,
    model: PlaceModel,
    *,
    epoch: int,
    recalls: Mapping[int, float],
    best_score: float,
    settings: Mapping[str, Any],
    optimizer_state: Mapping[str, Any] | None = None,
) -> None:
    """Write a run folder that pytorch-NetVlad can resume from.

    ``model_best.pth.tar`` is written when ``recalls[5]`` reaches ``best_score``, and otherwise left
    as it is.

    Args:
        folder: the run folder; is created.
        model: the model; its backbone and aggregator must exist there.
        epoch: how many epochs it was trained.
        recalls: recall@N in [0, 1] by N.
        best_score: the best recall@5 of the run.
        settings: flags by their original names; what is left out gets the original's default, and
            what describes the model is taken from the model.
        optimizer_state: the state dict of the optimiser; None writes one that starts afresh.

    Raises:
        CheckpointError: pytorch-NetVlad has no such backbone or aggregator, or no whitening.
        StorageError: a file cannot be written.
    """
    spec = model.spec
    if spec.arch not in _ARCHITECTURES or spec.pooling not in _POOLINGS:
        raise CheckpointError(
            f"pytorch-NetVlad has no {spec.arch} with {spec.pooling}; it knows "
            f"{', '.join(_ARCHITECTURES)} with {', '.join(_POOLINGS)}"
        )
    if spec.whitening_dim or spec.whitened_directions:
        raise CheckpointError(
            "pytorch-NetVlad has no PCA whitening; write the model as it was before that was fitted"
        )
    model_flags = {
        "arch": spec.arch,
        "pooling": spec.pooling,
        "num_clusters": spec.num_clusters,
        "vladv2": spec.vladv2,
        "fromscratch": spec.from_scratch,
    }
    flags = {**_DEFAULT_FLAGS, **settings, **model_flags}
    content = {
        "epoch": epoch,
        "state_dict": {
            key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()
        },
        "recalls": {int(n): float(recall) for n, recall in recalls.items()},
        "best_score": float(best_score),
        "optimizer": dict(optimizer_state or _fresh_optimizer_state(model, flags)),
        "parallel": False,
    }
    place = Path(folder) / "checkpoints"
    names = ["latest"]
    if recalls.get(_RECALL_OF_BEST, 0.0) >= best_score:
        names.append("best")
    for name in names:
        with written_beside(place / _FILES[name]) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:
                # What torch makes of a full disk.
                raise OSError(str(error).splitlines()[0]) from error
    # Last, because it makes the folder a run folder.
    write_json(place / _FLAGS, flags)


def _place_of(source: Path) -> Path | None:
    """Where the checkpoints of a run lie; None where ``source`` is no part of one."""
    if source.is_file():
        return source.parent if source.name.endswith(".pth.tar") else None
    for place in (source / "checkpoints", source):
        if any((place / name).is_file() for name in (_FLAGS, *_FILES.values())):
            return place
    return None


def _single_gpu_key(key: str) -> str:
    return ".".join(part for part in key.split(".") if part != "module")


def _spec(settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> ModelSpec:
    pooling = settings.get("pooling", "netvlad")
    strange = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise CheckpointError(f"{strange[0]} in its state_dict is not a tensor")
    if pooling == "netvlad" and _CENTROIDS not in state:
        raise CheckpointError(f"pooling is netvlad but there are no {_CENTROIDS}")
    clusters = state[_CENTROIDS].shape[0] if _CENTROIDS in state else settings.get("num_clusters")
    return ModelSpec(
        arch=settings.get("arch", "vgg16"),
        pooling=pooling,
        num_clusters=64 if clusters is None else clusters,
        vladv2=_BIAS in state,
        from_scratch=settings.get("fromscratch", False),
    )


def _fresh_optimizer_state(model: PlaceModel, flags: Mapping[str, Any]) -> dict[str, Any]:
    parameters, lr = model.trainable_parameters(), flags["lr"]
    if flags["optim"] == "ADAM":
        return torch.optim.Adam(parameters, lr=lr).state_dict()
    momentum, decay = flags["momentum"], flags["weightDecay"]
    return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=decay).state_dict()
