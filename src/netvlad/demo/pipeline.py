"""The demo: the whole way, from clustering to recall@N, on the rendered town."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from netvlad.compute import Compute
from netvlad.datasets import open_dataset
from netvlad.demo.town import WHOLE_TOWN, TownSize, render_town
from netvlad.evaluation import Evaluation, evaluate
from netvlad.fitting import compute_clusters, initialise
from netvlad.loading import load_place_model
from netvlad.models import ModelSpec, PlaceModel, build_model
from netvlad.training.loop import Trainer
from netvlad.training.recipes import RECIPES, Recipe
from netvlad.training.state import TrainingState
from netvlad.types import Note, PlaceDataset, Progress, Reporter, silent

ARCH = "efficientnet-lite0"
NUM_CLUSTERS = 16
# The town is far from what the backbone was trained on, so it moves further than on photographs.
DEMO_RECIPE = replace(RECIPES[ARCH], epochs=5, lr=2e-4)
UTM_ZONE = "31N"  # the town is nowhere; its coordinates need a zone to be written down


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo found out.

    Attributes:
        test: the district that was not trained on.
        before: the evaluation off the shelf.
        after: the evaluation of the trained model.
        training: the course of the training.
        run: the run folder.
    """

    test: PlaceDataset
    before: Evaluation
    after: Evaluation
    training: TrainingState
    run: Path

    @property
    def learned(self) -> bool:
        """Whether training helped on streets that were not trained on."""
        return self.after.recalls.at[1] > self.before.recalls.at[1]


def run_demo(
    folder: Path,
    *,
    recipe: Recipe | None = None,
    town: TownSize = WHOLE_TOWN,
    compute: Compute = Compute(),
    report: Reporter = silent,
    workers: int | None = None,
) -> DemoResult:
    """Render the town, cluster, test, train, test again.

    Args:
        folder: the town goes to ``folder/town`` (a finished one is reused), the run to
            ``folder/runs``.
        recipe: how to train; by default ``DEMO_RECIPE``.
        town: how large a town.
        compute: where and how.
        report: receives progress and notes.
        workers: processes that draw; None for one per processor.

    Raises:
        StorageError: ``folder`` cannot be written, or another demo is at work in it.
    """
    recipe = recipe or DEMO_RECIPE
    summary = render_town(folder / "town", town=town, workers=workers, progress=_drawing(report))
    report(Note(f"the town has {summary.images} images; every one is rendered, none photographed"))
    train, val, test = (
        open_dataset("csv", summary.folder, split, utm_zone=UTM_ZONE)
        for split in ("train", "val", "test")
    )
    model = _off_the_shelf(train, recipe, compute, report)
    before = _test(model, test, compute, "before training", report)
    run = folder / "runs" / "demo"
    state = Trainer(model, train, val, recipe, run, compute=compute, report=report).run()
    best = load_place_model(run, ckpt="best")
    after = _test(best, test, compute, "after training", report)
    return DemoResult(test, before, after, state, run)


def _off_the_shelf(
    train: PlaceDataset, recipe: Recipe, compute: Compute, report: Reporter
) -> PlaceModel:
    torch.manual_seed(recipe.seed)
    model = build_model(ModelSpec(arch=ARCH, num_clusters=NUM_CLUSTERS), weights="imagenet")
    clusters = compute_clusters(
        model,
        train.database,
        NUM_CLUSTERS,
        seed=recipe.seed,
        compute=compute,
        report=report,
    )
    return initialise(model, clusters)


def _test(
    model: PlaceModel, test: PlaceDataset, compute: Compute, when: str, report: Reporter
) -> Evaluation:
    def labelled(event: Progress | Note) -> None:
        if isinstance(event, Progress):
            event = replace(event, stage=f"{event.stage}, {when}")
        report(event)

    return evaluate(model, test, compute=compute, report=labelled)


def _drawing(report: Reporter) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        report(Progress("Drawing the town", done, total))

    return progress
