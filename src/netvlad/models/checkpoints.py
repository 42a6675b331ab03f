"""Stored models: our checkpoints, and one door to them and to pytorch-NetVlad's.

Ours are safetensors and JSON, written beside and renamed, never a pickle. A run folder holds::

    settings.json               what the run was told, resolved
    checkpoints/
        latest.json, best.json  {"folder": "e0003-b01"}: which checkpoint that is
        e0003-b01/
            model.safetensors       the weights, under pytorch-NetVlad's names
            training.safetensors    what resuming needs (optimiser, kept negatives)
            checkpoint.json         the model's specification, progress, checksums

A pointer changes only after the folder it names is whole on the disk.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from netvlad.errors import CheckpointError, NetvladError, SettingsError, WeightsError
from netvlad.models.foreign import (
    ForeignCheckpoint,
    is_pytorch_netvlad_run,
    read_pytorch_netvlad_run,
)
from netvlad.models.place_model import PlaceModel
from netvlad.models.registry import build_model
from netvlad.models.spec import ModelSpec
from netvlad.storage import file_sha256, folder_written_beside, read_json, recovered, write_json

FORMAT = 1
Ckpt = Literal["latest", "best"]
LATEST: Ckpt = "latest"
BEST: Ckpt = "best"
_OURS = re.compile(r"e\d{4,}(-b\d{2,})?|start(-best)?")
"""The checkpoints that a training makes, and may remove; other folders are their owner's."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model, and where its training stood.

    Attributes:
        spec: how to build the model.
        weights: its state dict.
        training: tensors that resuming needs; empty for a model alone.
        progress: what is not a tensor (epoch, best score, ...), JSON-able.
    """

    spec: ModelSpec
    weights: Mapping[str, Tensor]
    training: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(
    run: Path, name: str, checkpoint: Checkpoint, pointers: tuple[str, ...] = (LATEST,)
) -> Path:
    """Write ``checkpoint`` as ``<run>/checkpoints/<name>``, point to it, drop what none points to.

    Of the other folders in ``checkpoints`` only those go that a training has made.

    Raises:
        StorageError: it cannot be written; the earlier checkpoints and pointers are untouched.
    """
    folder = run / "checkpoints" / name
    with folder_written_beside(folder) as temporary:
        files = {
            "model.safetensors": checkpoint.weights,
            "training.safetensors": checkpoint.training,
        }
        for file, tensors in files.items():
            try:
                save_file({k: _plain(v) for k, v in tensors.items()}, temporary / file)
            except safetensors.SafetensorError as error:
                # Its only failures here are those of the disk.
                raise OSError(str(error)) from error
        write_json(
            temporary / "checkpoint.json",
            {
                "format": FORMAT,
                "model": checkpoint.spec.to_json(),
                "progress": dict(checkpoint.progress),
                "sha256": {file: file_sha256(temporary / file) for file in files},
            },
        )
    for pointer in pointers:
        write_json(run / "checkpoints" / f"{pointer}.json", {"folder": name})
    _drop_unused(run / "checkpoints")
    return folder


def read_checkpoint(run: Path, ckpt: Ckpt = LATEST) -> Checkpoint:
    """Read the ``"latest"`` or ``"best"`` checkpoint of a run folder, or a checkpoint's own folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = run if (run / "checkpoint.json").is_file() else _pointed_to(run, ckpt)
    record = read_json(folder / "checkpoint.json", error=CheckpointError)
    try:
        if record["format"] != FORMAT:
            raise CheckpointError(
                f"{folder}: was written in format {record['format']}, this version reads {FORMAT}; "
                "install a newer netvlad"
            )
        for file, expected in record["sha256"].items():
            if file_sha256(folder / file) != expected:
                raise CheckpointError(f"{folder / file}: is damaged (its checksum does not match)")
        return Checkpoint(
            spec=ModelSpec.from_json(record["model"]),
            weights=load_file(folder / "model.safetensors"),
            training=load_file(folder / "training.safetensors"),
            progress=record["progress"],
        )
    except NetvladError:
        raise
    except (KeyError, TypeError, AttributeError, OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{folder}: is not a whole checkpoint ({error})") from error


def is_run(folder: Path) -> bool:
    """Whether ``folder`` is one of our run folders, or one of their checkpoints."""
    return (folder / "checkpoint.json").is_file() or (folder / "checkpoints/latest.json").is_file()


def load_checkpoint(source: Path, ckpt: Ckpt = LATEST) -> Checkpoint:
    """Read a checkpoint of ours, or one of pytorch-NetVlad's as one of ours.

    ``source`` is a run folder of either; a checkpoint's own folder; or, of pytorch-NetVlad's, the
    ``checkpoints`` in a run folder, or a ``.pth.tar`` file there. ``ckpt`` is which checkpoint of
    a run; a single checkpoint is what it is.

    Raises:
        CheckpointError: ``source`` holds neither, or is damaged.
        SettingsError: there is no such ``ckpt``.
    """
    if ckpt not in (LATEST, BEST):
        raise SettingsError(f"ckpt is {ckpt!r}; choose latest or best")
    if is_run(source):
        return read_checkpoint(source, ckpt)
    if is_pytorch_netvlad_run(source):
        return _translated(read_pytorch_netvlad_run(source, ckpt=ckpt))
    if source.is_file():
        raise CheckpointError(f"{source}: is a file; name the run folder it lies in")
    if (source / "latest.json").is_file():
        raise CheckpointError(f"{source}: lies in a run folder; name that, {source.parent}")
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


def _pointed_to(run: Path, ckpt: str) -> Path:
    pointer = run / "checkpoints" / f"{ckpt}.json"
    if not pointer.is_file():
        reason = "is not a run folder" if not is_run(run) else f"has no {ckpt} checkpoint yet"
        raise CheckpointError(f"{run}: {reason} (no {pointer.relative_to(run)})")
    record = read_json(pointer, error=CheckpointError)
    name = record.get("folder") if isinstance(record, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise CheckpointError(f"{pointer}: does not name a checkpoint folder")
    return recovered(pointer.parent / name)


def _drop_unused(checkpoints: Path) -> None:
    used = set()
    for pointer in (LATEST, BEST):
        file = checkpoints / f"{pointer}.json"
        if file.is_file():
            used.add(read_json(file, error=CheckpointError)["folder"])
    for folder in checkpoints.iterdir():
        # What a killed run has left half-written beside is called ``.NAME.….tmp``.
        hidden = folder.name.startswith(".") and folder.suffix in (".tmp", ".old")
        name = folder.name.split(".")[1] if hidden else folder.name
        if folder.is_dir() and folder.name not in used and _OURS.fullmatch(name):
            shutil.rmtree(folder, ignore_errors=True)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous().clone()
