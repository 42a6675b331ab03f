"""The training loop of the NetVLAD paper: refresh, mine, step, validate.

Arandjelović et al., "NetVLAD: CNN architecture for weakly supervised place recognition", CVPR 2016,
section 4.2 and appendix A.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import CheckpointError, DataError, extra
from netvlad.evaluation.evaluate import evaluate
from netvlad.models import PlaceModel
from netvlad.models.checkpoints import BEST, LATEST, Checkpoint, write_checkpoint
from netvlad.training.features import TrunkFeatures, prepare_caches
from netvlad.training.mining import Mined, MinedQuery, mine, mining_task
from netvlad.training.recipes import Recipe
from netvlad.training.state import TrainingState, optimiser_to_parts, restore_optimiser
from netvlad.training.stepping import Stepper, make_fabric
from netvlad.types import Note, PlaceDataset, Progress, Recalls, Reporter, silent

_COUNT = "average.count"
_WEIGHT = "average.last."


class WeightAverage:
    """Follows the weights of a model in training.

    Attributes:
        model: with the averaged weights; without averaging the trained model itself.
    """

    def __init__(self, trained: PlaceModel, first_epoch: int) -> None:
        """Begin with what ``trained`` has now.

        Until ``first_epoch``, counted from 1, the average is what the last step gave; 0 never
        averages.
        """
        self._trained, self._first_epoch = trained, first_epoch
        self._average = AveragedModel(trained) if first_epoch else None
        self.model = cast(PlaceModel, self._average.module) if self._average else trained

    def step(self, epoch: int) -> None:
        """Take in what a step of ``epoch`` gave."""
        if self._average is None:
            return
        self._average.update_parameters(self._trained)
        if epoch < self._first_epoch:
            self._average.n_averaged.zero_()  # the next update starts anew, by copying

    def finish(self) -> None:
        """Give the trained model the averaged weights."""
        if self._average is not None:
            self._trained.load_state_dict(self.model.state_dict())

    def to_parts(self) -> dict[str, Tensor]:
        """What a checkpoint needs beside the averaged weights: those of the last step."""
        if self._average is None:
            return {}
        last = {
            f"{_WEIGHT}{name}": value.detach()
            for name, value in self._trained.named_parameters()
            if value.requires_grad
        }
        return {_COUNT: self._average.n_averaged, **last}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`to_parts`; both models have the averaged weights.

        Where training did not average so far, averaging starts here; where it is not to average any
        more, training resumes from the last step.
        """
        if _COUNT not in tensors:
            return
        weights = self._trained.state_dict()
        with torch.no_grad():
            for key, value in tensors.items():
                if key.startswith(_WEIGHT):
                    weights[key.removeprefix(_WEIGHT)].copy_(value)
        if self._average is not None:
            self._average.n_averaged.copy_(tensors[_COUNT])


with extra("train"):
    from torch.utils.tensorboard.writer import SummaryWriter

ORDER, MINING, STEPS = range(3)  # what random numbers are drawn for


class Trainer:
    """One training of one model on one data set, in one run folder."""

    def __init__(
        self,
        model: PlaceModel,
        train: PlaceDataset,
        val: PlaceDataset | None,
        recipe: Recipe,
        run: str | Path,
        *,
        trunk_cache: Path | Literal["auto", "off"] = "auto",
        compute: Compute = Compute(),
        report: Reporter = silent,
    ) -> None:
        """Prepare a training; nothing is computed or written yet.

        Args:
            model: trained in place; with ``recipe.average_from`` it has the average in the end.
            train: needs positions on both sides.
            val: validated on after each ``recipe.eval_every`` epochs; None never validates.
            recipe: every setting.
            run: the run folder, for checkpoints and curves.
            trunk_cache: the folder where the frozen trunk's output of all images is kept;
                ``"auto"`` is ``cache`` beside the run folder, and goes without where there is no
                room; ``"off"`` computes it whenever it is needed.
            compute: where and how.
            report: receives progress and notes.

        Raises:
            DataError: positions are missing, or no query has a potential positive.
        """
        self.model, self.train_set, self.val_set = model, train, val
        self.recipe, self.compute, self.report = recipe, compute, report
        self.run_folder = Path(run)
        self.state = TrainingState()
        self.fabric = make_fabric(compute)
        model.to(self.fabric.device)
        self.task = mining_task(train, recipe)
        self.usable_queries = np.flatnonzero(self.task.potential_positives.counts() > 0)
        if len(self.usable_queries) == 0:
            raise DataError(
                f"{train.name} {train.split}: no query has a database image within "
                f"{train.train_radius_m:g} m to learn from"
            )
        self._cache_is_optional = trunk_cache == "auto"
        self._cache_folder = None if trunk_cache == "off" else Path(trunk_cache)
        if self._cache_is_optional:
            self._cache_folder = self.run_folder.parent / "cache"
        self.average = WeightAverage(model, recipe.average_from)
        self.train_features = self._features_of(train, model)
        self.val_features = None if val is None else self._features_of(val, self.average.model)
        self.stepper = Stepper(model, train, self.train_features, recipe, self.fabric)

    def _features_of(self, dataset: PlaceDataset, model: PlaceModel) -> TrunkFeatures:
        return TrunkFeatures(
            model,
            dataset.database.joined(dataset.queries),
            cache=self._cache_folder,
            compute=self.compute,
            report=self.report,
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where ``checkpoint`` stood; the model was built with its weights.

        Raises:
            CheckpointError: it lacks the training state, or belongs to other trained layers.
        """
        progress = checkpoint.progress
        if progress.get("foreign"):
            self.state = TrainingState.after_epoch(
                progress["epoch"], progress["best_score"], progress["recalls"]
            )
        elif "state" in progress:
            self.state = TrainingState.from_parts(checkpoint.training, progress["state"])
        else:
            raise CheckpointError("this checkpoint holds a model but no training to resume")
        self.average.restore(checkpoint.training)
        self.state.finished = self.state.epoch > self.recipe.epochs or self._out_of_patience()
        if progress["optim"] != self.recipe.optim:
            self.report(Note(f"the optimiser is now {self.recipe.optim}: it starts without memory"))
            return
        restore_optimiser(self.stepper.optimiser, checkpoint.training, progress["optimiser"])
        if progress.get("scaler"):
            self.fabric.strategy.precision.load_state_dict(progress["scaler"])

    def run(self) -> TrainingState:
        """Train to the end, and give the final state with its history and its best validation.

        Each epoch refreshes, mines and steps by blocks, then validates. A checkpoint is written
        after every block, so a killed run loses one block at most.

        Raises:
            ModelError: the loss is no longer finite.
            StorageError: a checkpoint cannot be written (the last one stays readable).
        """
        # Points after the one that a run is resumed at are dropped.
        purged = self.state.step + 1 if self.state.step else None
        with SummaryWriter(str(self.run_folder), purge_step=purged) as curves:
            if not self.state.finished and self._cache_folder is not None:
                prepare_caches(
                    {"training": self.train_features, "validation": self.val_features},
                    optional=self._cache_is_optional,
                    changed=self.recipe.augment == "images",
                    report=self.report,
                )
            while not self.state.finished:
                started = time.perf_counter()
                self._epoch(curves)
                self._close_epoch(curves, time.perf_counter() - started)
        self.average.finish()
        return self.state

    def _epoch(self, curves: SummaryWriter) -> None:
        order = self._random(ORDER, 0).permutation(self.usable_queries)
        rate = self.recipe.cache_refresh_rate or len(order)
        blocks = np.array_split(order, math.ceil(len(order) / rate))  # nearly equal
        for number in range(self.state.block, len(blocks)):
            descriptors = self._refresh()
            mined = self._mine(blocks[number], descriptors, number)
            del descriptors  # the largest thing here; the steps do not need it
            self.steps(mined.tuples, block=number, blocks=len(blocks), curves=curves)
            self.state.block = number + 1
            self._save(f"e{self.state.epoch:04d}-b{number + 1:02d}", (LATEST,))

    def _refresh(self) -> NDArray[np.floating[Any]]:
        return self.train_features.describe(
            stage=f"Epoch {self.state.epoch}: refreshing descriptors"
        )

    def _mine(
        self, queries: NDArray[np.int64], descriptors: NDArray[np.floating[Any]], block: int
    ) -> Mined:
        split = len(self.train_set.database)
        readable = self.train_features.readable
        mined = mine(
            self.task,
            queries,
            descriptors[split:],
            descriptors[:split],
            self.state.kept,
            self._random(MINING, block),
            query_readable=readable[split:],
            database_readable=readable[:split],
            device=self.fabric.device,
        )
        self.state.kept.update(mined.kept)
        self.state.mined += len(mined.tuples)
        self.state.skipped += mined.without_violator
        return mined

    def steps(
        self,
        tuples: Sequence[MinedQuery],
        *,
        block: int = 0,
        blocks: int = 1,
        curves: SummaryWriter | None = None,
    ) -> None:
        """The optimiser's steps over mined tuples, of one of the blocks of an epoch's queries.

        Raises:
            ModelError: the loss is no longer finite.
            DataError: an image cannot be read any more.
        """
        started, seen, state = time.perf_counter(), 0, self.state
        for step in self.stepper.steps(
            tuples,
            self._random(STEPS, block),
            epoch=state.epoch,
            begin=block / blocks,
            end=(block + 1) / blocks,
        ):
            seen += step.images
            self.average.step(state.epoch)
            state.step += 1
            state.loss_sum += step.loss
            state.loss_count += 1
            if curves is not None:
                values = {"Loss": step.loss, "nNeg": step.triplets, "LearningRate": step.rate}
                _draw(curves, "Train/", values, state.step)
            stage = f"Epoch {state.epoch}: training, block {block + 1} of {blocks}"
            figures = state.figures() | {"images/s": seen / (time.perf_counter() - started)}
            self.report(Progress(stage, step.number, step.total, "steps", figures))

    def _close_epoch(self, curves: SummaryWriter, seconds: float) -> None:
        state, epoch = self.state, self.state.epoch
        row = {"epoch": float(epoch), **state.figures(), "seconds": seconds}
        if state.mined == 0:
            self.report(Note(f"epoch {epoch}: no query has a violating negative; nothing learned"))
        pointers: tuple[str, ...] = (LATEST,)
        last = epoch == self.recipe.epochs
        if self.val_set is not None and (epoch % self.recipe.eval_every == 0 or last):
            recalls = self._validate()
            row |= {f"recall@{n}": value for n, value in recalls.at.items()}
            if state.take_validation(recalls):
                pointers = (LATEST, BEST)
            _draw(curves, "Val/Recall@", recalls.at, epoch)
        elif self.val_set is None:
            pointers = (LATEST, BEST)
        _draw(curves, "Train/", {"AvgLoss": row["loss"], "Violators": row["violators"]}, epoch)
        _draw(curves, "Time/", {"Epoch": seconds}, epoch)
        state.history.append(row)
        state.finished = last or self._out_of_patience()
        state.next_epoch()
        self._save(f"e{epoch:04d}", pointers)

    def _validate(self) -> Recalls:
        assert self.val_set is not None and self.val_features is not None
        values = self.val_features.describe(stage=f"Epoch {self.state.epoch}: validating")
        split, readable = len(self.val_set.database), self.val_features.readable
        database, queries = (
            Descriptors(values[part], readable[part])
            for part in (slice(None, split), slice(split, None))
        )
        sides = (database, queries)
        return evaluate(sides, self.val_set, compute=self.compute, report=self.report).recalls

    def _out_of_patience(self) -> bool:
        return 0 < self.recipe.patience <= self.state.since_best

    def _save(self, name: str, pointers: tuple[str, ...]) -> None:
        tensors, rest = self.state.to_parts()
        optimiser_tensors, optimiser_rest = optimiser_to_parts(self.stepper.optimiser)
        checkpoint = Checkpoint(
            self.model.spec,
            self.average.model.state_dict(),
            tensors | optimiser_tensors | self.average.to_parts(),
            {
                "state": rest,
                "optim": self.recipe.optim,
                "optimiser": optimiser_rest,
                "scaler": self.fabric.strategy.precision.state_dict(),
                "recipe": asdict(self.recipe),
            },
        )
        write_checkpoint(self.run_folder, name, checkpoint, pointers)

    def _random(self, purpose: int, block: int) -> np.random.Generator:
        """A generator of its own for each purpose, epoch and block: there is no state to save."""
        return np.random.default_rng([self.recipe.seed, self.state.epoch, purpose, block])


def _draw(curves: SummaryWriter, group: str, values: Mapping[Any, float], at: int) -> None:
    """Points of TensorBoard curves, under pytorch-NetVlad's tags and a few more."""
    for name, value in values.items():
        curves.add_scalar(f"{group}{name}", value, at)
