"""``netvlad test``: recall@N of one model on one split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from netvlad.cli.console import fail, recall_table, reporting, show, show_json
from netvlad.cli.evaluation_reports import prepare_folder, provenance, write_report
from netvlad.cli.flags import DEFAULT_SPLIT, DataFlags, MachineFlags, ModelFlags
from netvlad.cli.models import fit_to_clusters, open_run, untrained
from netvlad.cli.settings import tell, typed_flags
from netvlad.errors import SettingsError
from netvlad.evaluation import Evaluation, evaluate
from netvlad.evaluation.compare import competitor, descriptor_folder, find_protocols
from netvlad.evaluation.comparison import compare_evaluations, comparisons_to_json
from netvlad.loading import load_model
from netvlad.models.checkpoints import model_of
from netvlad.models.describer import Describer
from netvlad.storage import written_beside
from netvlad.types import Note, counted


def test(
    *,
    data: DataFlags = DataFlags(),
    model: ModelFlags = ModelFlags(),
    machine: MachineFlags = MachineFlags(),
    split: str = DEFAULT_SPLIT,
    protocol: str | None = None,
    named: Annotated[str | None, Parameter(name="--model")] = None,
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    clusters: Path | None = None,
    runs_dir: Path = Path("runs"),
    json: bool = False,
    output: Path | None = None,
    predictions: Path | None = None,
    keep: Path | None = None,
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

    Args:
        split: train, val or test; test250k for the test split of pitts250k.
        protocol: By which rules: a protocol (`netvlad protocols`), radius-METRES or frames-N
            [default: the data set's own list or radius, all queries, one index].
        named: Any model that other commands take as --model (docs/models.md), instead of what
            --resume, --clusters or the flags of a model say.
        resume: The run folder of a trained model, ours or pytorch-NetVlad's.
        ckpt: Which of its checkpoints: latest or best.
        clusters: The cluster file [default: RUNS_DIR/centroids/ARCH_DATASET_K_desc_cen.hdf5].
        runs_dir: Where runs and centroids are kept.
        json: Print the figures as JSON, and nothing else.
        output: Write a report with a page (index.html), JSON, CSV and LaTeX into this folder.
        predictions: Write the first 20 database indices of every query to this .npy file.
        keep: Keep the descriptors in this folder, as database.npy and queries.npy: a test that was
            stopped is resumed, and another test of the same model takes them from there.
        storage: Bits per value of the descriptors: 32, or 16 for half the room.
        strict: Exit with 1 when an image could not be used.
    """
    typed = typed_flags(data, model, machine)
    if output is not None:
        prepare_folder(output)
    with reporting() as report:
        if named is not None:
            _refuse_beside_model(typed_flags(model) | {"resume": resume, "clusters": clusters})
        settings, checkpoint = open_run(resume, ckpt, typed, report)
        dataset = tell(settings.open(split), report)
        rules = None if protocol is None else find_protocols([protocol], [dataset])[0]
        network: Describer
        if named is not None:
            network = load_model(named, ckpt=ckpt, report=report)
            if settings.model["resize"] is not None:
                network = network.resized(settings.model["resize"])
        elif checkpoint is not None and resume is not None:
            network = model_of(checkpoint, resume)
        else:
            settings, centres = fit_to_clusters(settings, typed, clusters, runs_dir)
            network = untrained(settings, centres, report)
        count = len(dataset.database) + len(dataset.queries)
        size = count * network.descriptor_dim * int(storage) // 8
        with descriptor_folder(keep, size, runs_dir, report) as folder:
            evaluation = evaluate(
                network,
                dataset,
                rules,
                keep=folder,
                storage=storage,
                compute=machine.compute(),
                report=report,
            )
        if predictions is not None:
            # A handle, because numpy would append .npy to a name that lacks it.
            with written_beside(predictions) as temporary, temporary.open("wb") as file:
                np.save(file, evaluation.matches.indices)
        name = named or (settings.model["arch"] if resume is None else resume.name)
        one = competitor(name, network, str(resume or name))
        compared = compare_evaluations([(one, evaluation)])
        if output is not None:
            page = write_report(output, [compared], machine.compute(), report)[0]
            report(Note(f"look at {page}"))
    if json:
        show_json(comparisons_to_json([compared], provenance(machine.compute())))
    else:
        _show(evaluation, f"{dataset.name} {split}")
    if strict and evaluation.unreadable:
        fail(f"{counted(len(evaluation.unreadable), 'images')} could not be used (--strict)")


def _refuse_beside_model(others: Mapping[str, Any]) -> None:
    typed = [name for name, value in others.items() if value is not None]
    if typed:
        raise SettingsError(
            f"--{typed[0].replace('_', '-')} beside --model: --model says all of it; drop one"
        )


def _show(evaluation: Evaluation, title: str) -> None:
    recalls = evaluation.recalls
    table = recall_table(f"Recall on {title}", {counted(recalls.num_queries, "queries"): recalls})
    lacking = (
        (recalls.queries_without_positives, "query", "queries", "without a positive"),
        (recalls.unreadable_queries, "unreadable query", "unreadable queries", "counted as missed"),
        (recalls.unreadable_database, "unreadable image", "unreadable images", "never returned"),
    )
    extras = [
        f"{evaluation.descriptor_dim} dimensions",
        *(f"{name} {value:.1f} s" for name, value in evaluation.seconds.items()),
        *(f"{n} {one if n == 1 else several}, {what}" for n, one, several, what in lacking if n),
    ]
    show(table, " · ".join(extras))
