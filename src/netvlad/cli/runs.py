"""Run folders: their names, and the settings stored in them."""

from datetime import datetime
from pathlib import Path
from typing import Any

from netvlad.cli.settings import SPEC_NAMES, Settings
from netvlad.errors import CheckpointError, StorageError
from netvlad.models.checkpoints import Checkpoint, is_run
from netvlad.storage import read_json, write_json

SETTINGS = "settings.json"

# pytorch-NetVlad's flags under our names. Paths of the machine it ran on are left behind.
_FOREIGN_NAMES = {
    "nEpochs": "epochs",
    "batchSize": "batch_size",
    "cacheRefreshRate": "cache_refresh_rate",
    "optim": "optim",
    "lr": "lr",
    "lrStep": "lr_step",
    "lrGamma": "lr_gamma",
    "weightDecay": "weight_decay",
    "momentum": "momentum",
    "margin": "margin",
    "evalEvery": "eval_every",
    "patience": "patience",
    "seed": "seed",
}


def new_run(runs_dir: Path, settings: Settings) -> Path:
    """Make a run folder ``<Mon><day>_<H-M-S>_<arch>_<pooling>`` and store the settings in it.

    Raises:
        StorageError: it cannot be made.
    """
    stamp = datetime.now().strftime("%b%d_%H-%M-%S")
    name = f"{stamp}_{settings.model['arch']}_{settings.model['pooling']}"
    for attempt in range(1, 100):
        run = runs_dir / (name if attempt == 1 else f"{name}_{attempt}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"{run}: cannot be made: {error.strerror or error}") from error
        store_settings(run, settings)
        return run
    raise StorageError(f"{runs_dir / name}: a hundred runs of this second exist already")


def store_settings(run: Path, settings: Settings) -> None:
    """Write what the run was told."""
    write_json(run / SETTINGS, settings.to_json())


def stored_settings(run: Path | None, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What a run was told, ours or pytorch-NetVlad's, under our names; what its model is wins.

    Raises:
        CheckpointError: the settings cannot be read.
    """
    if run is None or checkpoint is None:
        return {}
    if not is_run(run):
        flags = checkpoint.progress["settings"]
        stored = {ours: flags[theirs] for theirs, ours in _FOREIGN_NAMES.items() if theirs in flags}
        if "optim" in stored:
            stored["optim"] = str(stored["optim"]).lower()
        if "lr_step" in stored:
            stored["lr_step"] = int(stored["lr_step"])
    else:
        file = run / SETTINGS
        stored = read_json(file, error=CheckpointError) if file.is_file() else {}
        if not isinstance(stored, dict):
            raise CheckpointError(f"{file}: is not a list of settings")
        if isinstance(stored.get("augment"), bool):  # runs of the first weeks
            stored["augment"] = "features" if stored["augment"] else "none"
    return stored | {name: getattr(checkpoint.spec, name) for name in (*SPEC_NAMES, "resize")}
