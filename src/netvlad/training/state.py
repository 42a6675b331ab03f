"""Where a training stands: everything that a resumed run needs to end like one never stopped."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.errors import CheckpointError
from netvlad.types import Recalls


@dataclass
class TrainingState:
    """Progress of a training. Random numbers need no place here: each epoch's order and each
    block's sample come from generators seeded by (seed, epoch, block).

    Attributes:
        epoch: the epoch under way (or next), counted from 1.
        block: blocks of this epoch that are done.
        step: optimiser steps so far.
        loss_sum: sum of the losses of this epoch's steps.
        loss_count: how many steps that sum has.
        mined: queries of this epoch that had a violator.
        skipped: queries of this epoch that had none.
        kept: query -> negatives to look at again.
        best: recalls of the best validation, as ``{"5": 0.9, ...}``, with ``"epoch"``; or None.
        best_key: what the best was best by.
        since_best: validations since then.
        finished: no epoch is left, or patience ran out.
        history: one row per finished epoch.
    """

    epoch: int = 1
    block: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    mined: int = 0
    skipped: int = 0
    kept: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    best: dict[str, float] | None = None
    best_key: tuple[float, float, float] | None = None
    since_best: int = 0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def average_loss(self) -> float:
        """The mean loss of this epoch's steps so far; 0 before the first."""
        return self.loss_sum / self.loss_count if self.loss_count else 0.0

    def figures(self) -> dict[str, float]:
        """The mean loss, and the share of this epoch's queries that had a violator."""
        violators = self.mined / max(1, self.mined + self.skipped)
        return {"loss": self.average_loss, "violators": violators}

    def next_epoch(self) -> None:
        """Start counting anew."""
        self.epoch += 1
        self.block = self.mined = self.skipped = self.loss_count = 0
        self.loss_sum = 0.0

    def take_validation(self, recalls: Recalls) -> bool:
        """Note a validation; whether it is the best so far.

        Best by recall@5, ties by recall@1, then by the loss (without steps there is none).
        """
        loss = self.average_loss if self.loss_count else sys.float_info.max
        key = (recalls.at[5], recalls.at[1], -loss)
        if self.best_key is not None and key <= self.best_key:
            self.since_best += 1
            return False
        self.best_key, self.since_best = key, 0
        self.best = {str(n): value for n, value in recalls.at.items()} | {"epoch": self.epoch}
        return True

    @classmethod
    def after_epoch(
        cls, epoch: int, best_score: float, recalls: Mapping[str, float]
    ) -> "TrainingState":
        """Where a training of pytorch-NetVlad's stands after ``epoch``, as far as it says.

        ``best_score`` is the best recall@5 of its run; ``recalls``, by N, those of its last
        validation, if it says them.
        """
        state = cls(epoch=epoch + 1)
        if recalls:
            state.best = {**recalls, "5": best_score, "epoch": float(epoch)}
            state.best_key = (best_score, recalls.get("1", 0.0), -sys.float_info.max)
        return state

    def to_parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state as (tensors, JSON-able rest), for a checkpoint."""
        queries = sorted(self.kept)
        negatives = [self.kept[query] for query in queries]
        offsets = np.cumsum([0, *map(len, negatives)])
        tensors = {
            "kept.queries": torch.tensor(queries, dtype=torch.int64),
            "kept.offsets": torch.tensor(offsets, dtype=torch.int64),
            "kept.negatives": torch.from_numpy(np.concatenate([np.empty(0, np.int64), *negatives])),
        }
        return tensors, {k: v for k, v in vars(self).items() if k != "kept"}

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> "TrainingState":
        """The inverse of :meth:`to_parts`.

        Raises:
            CheckpointError: something is missing.
        """
        try:
            negatives = tensors["kept.negatives"].numpy().astype(np.int64)
            parts = np.split(negatives, tensors["kept.offsets"].numpy()[1:-1])
            # A run without a kept negative has no query, and one empty part.
            kept = dict(zip(tensors["kept.queries"].tolist(), parts, strict=False))
            state = cls(**rest, kept=kept)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint's training state is incomplete: {error}"
            ) from error
        if state.best_key is not None:
            state.best_key = (state.best_key[0], state.best_key[1], state.best_key[2])
        return state


def optimiser_to_parts(
    optimiser: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as (tensors, JSON-able rest)."""
    saved = optimiser.state_dict()
    values = {
        f"optimiser.{index}.{name}": value
        for index, entries in saved["state"].items()
        for name, value in entries.items()
    }
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    scalars = {key: value for key, value in values.items() if key not in tensors}
    return tensors, {"scalars": scalars, "groups": saved["param_groups"]}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]
) -> None:
    """Put back what :func:`optimiser_to_parts` gave; the learning rate is set by the schedule.

    Raises:
        CheckpointError: the state belongs to other parameters or another optimiser.
    """
    state: dict[int, dict[str, Any]] = {}
    for key, value in (*tensors.items(), *rest["scalars"].items()):
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    if [len(g["params"]) for g in groups] != [len(g["params"]) for g in rest["groups"]]:
        raise CheckpointError("the optimiser's state is of a model with other trained layers")
    optimiser.load_state_dict({"state": state, "param_groups": groups})
