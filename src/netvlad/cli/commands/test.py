"""``netvlad test``: recall@N of one model on one split."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from netvlad.cli.console import recall_table, reporting, show
from netvlad.cli.contest_reports import prepare_folder, write_report
from netvlad.cli.contests import descriptor_folder
from netvlad.cli.entrants import model_entrant
from netvlad.cli.flags import DataFlags, MachineFlags, ModelFlags
from netvlad.cli.models import fit_to_clusters, open_run, untrained
from netvlad.cli.protocol_choice import find_protocols
from netvlad.cli.settings import tell, typed_flags
from netvlad.errors import SettingsError
from netvlad.evaluation import Evaluation, evaluate
from netvlad.evaluation.comparison import compare_evaluations
from netvlad.loading import load_model
from netvlad.models.checkpoints import model_of
from netvlad.models.describer import Describer
from netvlad.storage import write_json, written_beside
from netvlad.types import Note

DEFAULTS = (DataFlags(), ModelFlags(), MachineFlags())


def test(
    *,
    data: DataFlags = DEFAULTS[0],
    model: ModelFlags = DEFAULTS[1],
    machine: MachineFlags = DEFAULTS[2],
    split: str = "val",
    protocol: str | None = None,
    named: Annotated[str | None, Parameter(name="--model")] = None,
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    clusters: Path | None = None,
    runs_dir: Path = Path("runs"),
    json: Path | None = None,
    predictions: Path | None = None,
    report: Path | None = None,
    descriptors: Path | None = None,
    storage: Literal["32", "16"] = "32",
    strict: bool = False,
) -> None:
    """Measure recall@1, 5, 10 and 20 of a model on a split.

    A trained model is named by its run folder; without --resume the model is "off the shelf", its
    NetVLAD layer initialised from the clusters that `netvlad cluster` wrote.

    ```
    netvlad test --resume runs/Nov23_12-00-00_vgg16_netvlad --split test
    netvlad test --model efficientnet-lite0-gem \\
        --dataset pitts30k --data-dir ~/pittsburgh
    ```

    `netvlad evaluate` compares several models.

    Parameters
    ----------
    split
        train, val or test; test250k for the test split of pitts250k.
    protocol
        By which rules: a protocol (`netvlad protocols`), radius-METRES or frames-N
        [default: the data set's own list or radius, all queries, one index].
    named
        Any model that other commands take as --model (docs/models.md), instead of what --resume,
        --clusters or the flags of a model say.
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
    report
        Write a report with a page (index.html), JSON, CSV and LaTeX into this folder.
    descriptors
        Keep the descriptors in this folder, as database.npy and queries.npy: a test that was
        stopped is resumed, and another test of the same model takes them from there.
    storage
        Bits per value of the descriptors: 32, or 16 for half the room.
    strict
        Exit with 1 when an image could not be used.
    """
    typed = typed_flags(data, model, machine)
    if report is not None:
        prepare_folder(report)
    with reporting() as tell_user:
        if named is not None:
            _refuse_beside_model(typed_flags(model) | {"resume": resume, "clusters": clusters})
        settings, checkpoint = open_run(resume, ckpt, typed, tell_user)
        dataset = tell(settings.open(split), tell_user)
        rules = None if protocol is None else find_protocols([protocol], [dataset])[0]
        network: Describer
        if named is not None:
            network = load_model(named, ckpt=ckpt, report=tell_user)
            if settings.model["resize"] is not None:
                network = network.resized(settings.model["resize"])
        elif checkpoint is not None and resume is not None:
            network = model_of(checkpoint, resume)
        else:
            settings, centres = fit_to_clusters(settings, typed, clusters, runs_dir)
            network = untrained(settings, centres, tell_user)
        count = len(dataset.database) + len(dataset.queries)
        size = count * network.descriptor_dim * int(storage) // 8
        with descriptor_folder(descriptors, size, runs_dir, tell_user) as folder:
            evaluation = evaluate(
                network,
                dataset,
                protocol=rules,
                descriptors=folder,
                storage=storage,
                compute=machine.compute(),
                report=tell_user,
            )
        if json is not None:
            write_json(json, figures(evaluation))
        if predictions is not None:
            # A handle, because numpy would append .npy to a name that lacks it.
            with written_beside(predictions) as temporary, temporary.open("wb") as file:
                np.save(file, evaluation.matches.indices)
        if report is not None:
            name = named or (settings.model["arch"] if resume is None else resume.name)
            entrant = model_entrant(network, name, str(resume or name))
            held = compare_evaluations([(entrant.competitor, evaluation)])
            page = write_report(report, [held], [entrant], machine.compute(), tell_user)[0]
            tell_user(Note(f"look at {page}"))
    _show(evaluation, f"{dataset.name} {split}")
    if strict and evaluation.unreadable:
        count = len(evaluation.unreadable)
        print(f"netvlad: {count} images could not be used (--strict)", file=sys.stderr)
        sys.exit(1)


def _refuse_beside_model(others: Mapping[str, Any]) -> None:
    typed = [name for name, value in others.items() if value is not None]
    if typed:
        raise SettingsError(
            f"--{typed[0].replace('_', '-')} beside --model: --model says all of it; drop one"
        )


def figures(evaluation: Evaluation) -> dict[str, object]:
    """What ``--json`` writes: recalls as fractions in [0, 1], counts, seconds, by which rules."""
    recalls = evaluation.recalls
    prepared = evaluation.result.prepared
    return {
        "recalls": {str(n): value for n, value in recalls.at.items()},
        "num_queries": recalls.num_queries,
        "num_database": recalls.num_database,
        "queries_without_positives": recalls.queries_without_positives,
        "unreadable_queries": recalls.unreadable_queries,
        "unreadable_database": recalls.unreadable_database,
        "descriptor_dim": evaluation.descriptor_dim,
        "seconds": {name: round(value, 4) for name, value in evaluation.seconds.items()},
        "protocol": {
            "name": prepared.protocol.name,
            "fingerprint": prepared.protocol.fingerprint,
        },
        "data_fingerprint": prepared.data_fingerprint,
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
