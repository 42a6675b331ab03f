"""``netvlad train``: weakly supervised training with mined hard negatives."""

import contextlib
from pathlib import Path
from typing import Literal

from netvlad.cli.console import history_table, reporting, show
from netvlad.cli.flags import DataFlags, MachineFlags, ModelFlags, RecipeFlags
from netvlad.cli.models import found_or_made, open_run, untrained
from netvlad.cli.runs import run_folder
from netvlad.cli.settings import Settings, tell, typed_flags
from netvlad.errors import CheckpointError
from netvlad.models.checkpoints import (
    BEST,
    LATEST,
    Checkpoint,
    is_run,
    load_checkpoint,
    model_of,
    write_checkpoint,
)
from netvlad.training.loop import Trainer
from netvlad.training.recipes import RECIPES
from netvlad.training.state import TrainingState
from netvlad.types import Note


def train(
    *,
    data: DataFlags = DataFlags(),
    model: ModelFlags = ModelFlags(),
    recipe: RecipeFlags = RecipeFlags(),
    machine: MachineFlags = MachineFlags(),
    clusters: Path | None = None,
    runs_dir: Path = Path("runs"),
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    trunk_cache: str | None = None,
) -> None:
    """Train a model: refresh descriptors, mine hard negatives, step, validate.

    Every run gets a folder below --runs-dir with its settings, TensorBoard curves, the latest
    checkpoint and the best one (by recall@5 on the val split). A run that was stopped is resumed by

    ```
    netvlad train --resume runs/Nov23_12-00-00_vgg16_netvlad
    ```

    and ends as if it had never stopped. What is typed beside --resume wins over what the run had.

    Args:
        clusters: The cluster file [default: RUNS_DIR/centroids/ARCH_DATASET_K_desc_cen.hdf5, made
            as by `netvlad cluster` if it is not there].
        runs_dir: Where runs and centroids are kept.
        resume: Resume a run of ours, in its folder; or start a new run from one of
            pytorch-NetVlad's.
        ckpt: Which of its checkpoints: latest or best.
        trunk_cache: Where the frozen layers' output of every image is kept, so that it is computed
            once: auto (RUNS_DIR/cache, or nowhere when the disk has no room), off, or a folder.
            Runs share it; see `netvlad cache info` [default: auto].
    """
    typed = typed_flags(data, model, recipe, machine) | {"trunk_cache": trunk_cache}
    with reporting() as report:
        settings, checkpoint = open_run(resume, ckpt, typed, report)
        train_set = tell(settings.open("train"), report)
        val_set = tell(settings.open("val"), report)
        if checkpoint is not None and resume is not None:
            network = model_of(checkpoint, resume)
        else:
            settings, centres = found_or_made(
                settings, typed, clusters, runs_dir, train_set, machine.compute(), report
            )
            network = untrained(settings, centres, report)
        with run_folder(resume, runs_dir, settings) as run:
            report(Note(f"run folder: {run}"))
            report(Note(_recipe_line(settings)))
            trainer = Trainer(
                network,
                train_set,
                val_set,
                settings.recipe,
                run,
                trunk_cache=settings.trunk_cache,
                compute=machine.compute(),
                report=report,
            )
            if checkpoint is not None and resume is not None:
                trainer.resume(checkpoint)
                if run != resume:
                    _adopt(run, resume, checkpoint)
            try:
                state = trainer.run()
            except KeyboardInterrupt:
                if is_run(run):
                    report(Note(f"stopped; resume it with: netvlad train --resume {run}"))
                raise
    _show(state, run)


def _recipe_line(settings: Settings) -> str:
    """How this training goes, and which settings are not those of its architecture's recipe."""
    usual = vars(RECIPES[settings.model["arch"]])
    words = ", ".join(
        f"{name} {value}" + ("" if value == usual[name] else f" (usually {usual[name]})")
        for name, value in vars(settings.recipe).items()
    )
    return f"recipe of {settings.model['arch']}: {words}"


def _adopt(run: Path, source: Path, checkpoint: Checkpoint) -> None:
    """Begin a new run folder with what it comes from, the best of that run included."""
    write_checkpoint(run, "start", checkpoint, (LATEST, BEST))
    with contextlib.suppress(CheckpointError):  # an early run has no best yet
        place = source.parent if source.is_file() else source
        write_checkpoint(run, "start-best", load_checkpoint(place, "best"), (BEST,))


def _show(state: TrainingState, run: Path) -> None:
    if state.history:
        show(history_table(state.history))
    if state.best is not None:
        best = ", ".join(f"R@{n} {v:.4f}" for n, v in state.best.items() if n != "epoch")
        show(f"best epoch {state.best['epoch']:.0f}: {best}")
    show(f"{run}")
