"""``netvlad test``: recall@N of one model on one split."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np

from netvlad.cli.console import recall_table, reporting, show
from netvlad.cli.flags import DataFlags, MachineFlags, ModelFlags
from netvlad.cli.models import choose_device, fit_to_clusters, open_run, untrained
from netvlad.cli.settings import tell, typed_flags
from netvlad.evaluation import Evaluation, evaluate
from netvlad.models.loading import model_of
from netvlad.storage import write_json, written_beside

DEFAULTS = (DataFlags(), ModelFlags(), MachineFlags())


def test(
    *,
    data: DataFlags = DEFAULTS[0],
    model: ModelFlags = DEFAULTS[1],
    machine: MachineFlags = DEFAULTS[2],
    split: str = "val",
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    clusters: Path | None = None,
    runs_dir: Path = Path("runs"),
    json: Path | None = None,
    predictions: Path | None = None,
    strict: bool = False,
) -> None:
    """Measure recall@1, 5, 10 and 20 of a model on a split.

    A trained model is named by its run folder; without --resume the model is "off the shelf", its
    NetVLAD layer initialised from the clusters that `netvlad cluster` wrote.

        netvlad test --resume runs/Nov23_12-00-00_vgg16_netvlad --split test

    Parameters
    ----------
    split
        train, val or test; test250k for the test split of pitts250k.
    resume
        The run folder of a trained model, ours or pytorch-NetVlad's.
    ckpt
        Which of its checkpoints: latest or best.
    clusters
        The cluster file [default: RUNS_DIR/centroids/ARCH_DATASET_K_desc_cen.hdf5].
    runs_dir
        Where runs and centroids are kept.
    json
        Write the figures to this file.
    predictions
        Write the first 20 database indices of every query to this .npy file.
    strict
        Exit with 1 when an image could not be used.
    """
    typed = typed_flags(data, model, machine)
    with reporting() as report:
        start = open_run(resume, ckpt, typed, report)
        settings = start.settings
        dataset = tell(settings.open(split), report)
        if start.checkpoint is not None and resume is not None:
            network = model_of(start.checkpoint, resume)
        else:
            settings, centres = fit_to_clusters(settings, typed, clusters, runs_dir)
            network = untrained(settings, centres, report)
        evaluation = evaluate(
            network.to(choose_device(machine.device)),
            dataset,
            batch_size=settings.recipe.cache_batch_size,
            threads=machine.threads,
            precision=machine.precision,
            report=report,
        )
        if json is not None:
            write_json(json, figures(evaluation))
        if predictions is not None:
            # A handle, because numpy would append .npy to a name that lacks it.
            with written_beside(predictions) as temporary, temporary.open("wb") as file:
                np.save(file, evaluation.matches.indices)
    _show(evaluation, f"{dataset.name} {split}")
    if strict and evaluation.unreadable:
        count = len(evaluation.unreadable)
        print(f"netvlad: {count} images could not be used (--strict)", file=sys.stderr)
        sys.exit(1)


def figures(evaluation: Evaluation) -> dict[str, object]:
    """What ``--json`` writes: recalls as fractions in [0, 1], counts and seconds."""
    recalls = evaluation.recalls
    return {
        "recalls": {str(n): value for n, value in recalls.at.items()},
        "num_queries": recalls.num_queries,
        "num_database": recalls.num_database,
        "queries_without_positives": recalls.queries_without_positives,
        "unreadable_queries": recalls.unreadable_queries,
        "unreadable_database": recalls.unreadable_database,
        "descriptor_dim": evaluation.descriptor_dim,
        "seconds": {name: round(value, 4) for name, value in evaluation.seconds.items()},
    }


def _show(evaluation: Evaluation, title: str) -> None:
    recalls = evaluation.recalls
    show(recall_table(f"Recall on {title}", {f"{recalls.num_queries} queries": recalls}))
    extras = [f"{evaluation.descriptor_dim} dimensions"]
    extras += [f"{name} {value:.1f} s" for name, value in evaluation.seconds.items()]
    for count, what in (
        (recalls.queries_without_positives, "queries without a positive"),
        (recalls.unreadable_queries, "unreadable queries, counted as missed"),
        (recalls.unreadable_database, "unreadable database images, never returned"),
    ):
        if count:
            extras.append(f"{count} {what}")
    show(" · ".join(extras))
