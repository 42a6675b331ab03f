"""Run folders: their names, and the settings stored in them."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from netvlad.cli.settings import SPEC_NAMES, Settings
from netvlad.errors import CheckpointError, StorageError
from netvlad.models.checkpoints import Checkpoint, is_run
from netvlad.storage import locked, read_json, write_json

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


@contextlib.contextmanager
def run_folder(resume: Path | None, runs_dir: Path, settings: Settings) -> Iterator[Path]:
    """The folder that a training runs in, with its settings: that of a run of ours, or a new one.

    A new one is called ``<Mon><day>_<H-M-S>_<arch>_<pooling>``, and goes again when the training
    fails, or is stopped, before its first checkpoint: there is nothing to resume.

    Raises:
        StorageError: it cannot be made, or another process trains in it.
    """
    resumed = resume is not None and is_run(resume)
    run = resume if resume is not None and resumed else _new_run(runs_dir, settings)
    try:
        with locked(run, "training"):
            write_json(run / SETTINGS, settings.to_json())
            yield run
    except BaseException:
        if not resumed and not is_run(run):
            shutil.rmtree(run, ignore_errors=True)
        raise


def _new_run(runs_dir: Path, settings: Settings) -> Path:
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
        return run
    raise StorageError(f"{runs_dir / name}: a hundred runs of this second exist already")


def stored_settings(run: Path | None, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What a run was told, ours or pytorch-NetVlad's, under our names; what its model is wins.

    Raises:
        CheckpointError: the settings cannot be read.
    """
    if run is None or checkpoint is None:
        return {}
    if checkpoint.progress.get("foreign"):
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
