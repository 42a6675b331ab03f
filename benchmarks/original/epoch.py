"""A whole epoch the original's way, in parts: it takes hours, and may be interrupted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.journal import Journal
from benchmarks.original.evaluation import evaluate
from benchmarks.original.mining import OriginalMiner, negative_lists
from benchmarks.original.model import OriginalModel
from benchmarks.original.refresh import DATASET, create_file, refresh
from benchmarks.original.training import build_optimiser, steps
from benchmarks.timing import seconds_of
from netvlad.storage import written_beside
from netvlad.training.mining import MinedQuery, MiningTask
from netvlad.training.recipes import Recipe
from netvlad.types import PlaceDataset

IMAGES_A_PART = 240
QUERIES_A_PART = 20
FEATURES, STATE, JOURNAL = "features.hdf5", "state.pt", "journal.json"


@dataclass(frozen=True, eq=False)
class OriginalEpoch:
    """One epoch over a train split.

    Mining and steps take turns. The original mines in worker processes beside the steps, which on
    a machine without a GPU are busy with the same cores.

    Attributes:
        model: trained in place.
        train: the split.
        task: its neighbours.
        recipe: block, batch and negatives.
        folder: where the journal, the descriptors and the state of the training are kept.
        workers: processes that decode.
        report: is told what was just finished.
        batch: images per forward pass without gradients.
    """

    model: OriginalModel
    train: PlaceDataset
    task: MiningTask
    recipe: Recipe
    folder: Path
    workers: int
    report: Callable[[str], None]
    batch: int = 24

    def run(self, val: PlaceDataset) -> Journal:
        """Do what the journal lacks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(self.folder / JOURNAL)
        optimiser = build_optimiser(self.model)
        # The state goes before the journal's line, so it may know of one part more.
        done = self._restore(optimiser)
        for number, queries in enumerate(self._blocks()):
            self._refresh(number, journal)
            for start in range(0, len(queries), QUERIES_A_PART):
                name = f"block {number}, steps from {start}"
                if name in journal.parts or name in done:
                    continue
                known = self._steps(
                    queries[start : start + QUERIES_A_PART], (number, start), optimiser
                )
                done[name] = known
                self._keep(optimiser, done)
                journal.add(name, **known)
                self.report(f"{name} of {len(queries)}: {known['seconds']:.0f} s")
        for name, known in done.items():
            if name not in journal.parts:
                journal.add(name, **known)
        self._validate(val, journal)
        return journal

    def _blocks(self) -> list[NDArray[np.int64]]:
        usable = np.flatnonzero(self.task.potential_positives.counts() > 0)
        order = np.random.default_rng([self.recipe.seed, 0]).permutation(usable)
        size = self.recipe.cache_refresh_rate
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _refresh(self, block: int, journal: Journal) -> None:
        images = self.train.database.joined(self.train.queries)
        path = self.folder / FEATURES
        starts = range(0, len(images), IMAGES_A_PART)
        names = [f"block {block}, refresh from {start}" for start in starts]
        if names[0] not in journal.parts:
            create_file(path, len(images), self._dim)
        for name, start in zip(names, starts, strict=True):
            if name in journal.parts:
                continue
            part = images.subset(range(start, min(start + IMAGES_A_PART, len(images))))
            seconds = seconds_of(
                partial(
                    refresh,
                    self.model,
                    part,
                    path,
                    batch_size=self.batch,
                    workers=self.workers,
                    first_row=start,
                )
            )
            journal.add(name, kind="refresh", seconds=seconds)
            self.report(f"{name} of {len(images)}: {seconds:.0f} s")

    def _steps(
        self,
        queries: NDArray[np.int64],
        address: tuple[int, int],
        optimiser: torch.optim.Optimizer,
    ) -> dict[str, Any]:
        random = np.random.default_rng([self.recipe.seed, 1, *address])
        tuples: list[MinedQuery] = []
        losses: list[float] = []
        mining = seconds_of(lambda: tuples.extend(self._mined(queries, random)))
        stepping = seconds_of(
            lambda: losses.extend(
                steps(
                    self.model,
                    optimiser,
                    self.train,
                    tuples,
                    batch_size=self.recipe.batch_size,
                    workers=self.workers,
                )
            )
        )
        return {
            "kind": "steps",
            "seconds": mining + stepping,
            "mining_seconds": mining,
            "step_seconds": stepping,
            "tuples": len(tuples),
            "losses": losses,
        }

    def _mined(
        self, queries: NDArray[np.int64], random: np.random.Generator
    ) -> Iterator[MinedQuery]:
        number = len(self.train.database)
        with h5py.File(self.folder / FEATURES, "r") as file:
            miner = OriginalMiner(
                file[DATASET],
                number,
                self.task.potential_positives,
                negative_lists(self.task.not_negatives, number),
                pool=self.recipe.negative_pool,
                count=self.recipe.negatives,
                margin=self.recipe.margin,
            )
            for query in queries.tolist():
                # In a first epoch nothing is kept from an earlier one.
                found = miner.mine(query, None, random)
                if found is not None:
                    yield found

    def _validate(self, val: PlaceDataset, journal: Journal) -> None:
        if "validation" in journal.parts:
            return
        recalls: dict[str, float] = {}

        def work() -> None:
            found = evaluate(
                self.model,
                self._dim,
                val,
                batch_size=self.batch,
                workers=self.workers,
            )
            recalls.update({str(n): value for n, value in found.recalls.items()})

        seconds = seconds_of(work)
        journal.add("validation", kind="validation", seconds=seconds, recalls=recalls)
        self.report(f"validation: {seconds:.0f} s")

    @property
    def _dim(self) -> int:
        return self.model.pool.centroids.numel()

    def _keep(self, optimiser: torch.optim.Optimizer, done: dict[str, Any]) -> None:
        state = {"model": self.model.state_dict(), "optimiser": optimiser.state_dict()}
        with written_beside(self.folder / STATE) as temporary:
            torch.save({**state, "done": done}, temporary)

    def _restore(self, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        path = self.folder / STATE
        if not path.is_file():
            return {}
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        done: dict[str, Any] = state["done"]
        return done
