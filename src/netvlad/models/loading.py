"""One door to every stored model: our run folders, pytorch-NetVlad's, and single checkpoints."""

from pathlib import Path

import torch

from netvlad.errors import CheckpointError, WeightsError
from netvlad.models.checkpoints import Checkpoint, Ckpt, is_run, read_checkpoint
from netvlad.models.foreign import (
    ForeignCheckpoint,
    is_pytorch_netvlad_run,
    read_pytorch_netvlad_run,
)
from netvlad.models.place_model import PlaceModel
from netvlad.models.registry import build_model


def load_model(source: str | Path, *, ckpt: Ckpt = "latest") -> PlaceModel:
    """Load a trained model; nothing is downloaded and no code from the file is run.

    Args:
        source: a run folder of ours or of pytorch-NetVlad's, or a checkpoint folder.
        ckpt: ``"latest"`` or ``"best"`` checkpoint of a run.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    return model_of(load_checkpoint(Path(source), ckpt), Path(source))


def load_checkpoint(source: Path, ckpt: Ckpt = "latest") -> Checkpoint:
    """Read a checkpoint of ours, or one of pytorch-NetVlad's as one of ours.

    Raises:
        CheckpointError: ``source`` holds neither, or is damaged.
    """
    if is_run(source):
        return read_checkpoint(source, ckpt)
    if is_pytorch_netvlad_run(source):
        foreign = read_pytorch_netvlad_run(source, ckpt=ckpt)
        return _translated(foreign)
    reason = "is not a run folder" if source.is_dir() else "does not exist"
    raise CheckpointError(
        f"{source}: {reason}; expected checkpoints/latest.json (netvlad) or "
        "checkpoints/checkpoint.pth.tar (pytorch-NetVlad) in it"
    )


def _translated(foreign: ForeignCheckpoint) -> Checkpoint:
    """A checkpoint of pytorch-NetVlad's as one of ours, its optimiser's memory included."""
    optimiser = foreign.optimizer or {"state": {}, "param_groups": []}
    # Old versions of torch numbered parameters by their address: what counts is their order.
    order = [p for group in optimiser["param_groups"] for p in group["params"]]
    tensors = {
        f"optimiser.{order.index(p)}.{name}": value
        for p, entries in optimiser["state"].items()
        for name, value in entries.items()
        if isinstance(value, torch.Tensor)
    }
    return Checkpoint(
        spec=foreign.spec,
        weights=foreign.state_dict,
        training=tensors,
        progress={
            "foreign": True,
            "epoch": foreign.epoch,
            "best_score": foreign.best_score,
            "recalls": {str(n): value for n, value in foreign.recalls.items()},
            "settings": dict(foreign.settings),
            "optim": str(foreign.settings.get("optim", "")).lower(),
            "optimiser": {"scalars": {}, "groups": [{"params": list(range(len(order)))}]},
        },
    )


def model_of(checkpoint: Checkpoint, source: Path) -> PlaceModel:
    """Build the model of a checkpoint.

    Raises:
        CheckpointError: the weights do not fit the specification.
    """
    model = build_model(checkpoint.spec, weights=None)
    try:
        model.load_state_dict(dict(checkpoint.weights))
    except (RuntimeError, WeightsError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{source}: its weights do not fit its settings: {first}") from error
    return model.eval()
