"""TensorBoard curves, under pytorch-NetVlad's tags and a few more."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard.writer import SummaryWriter

from netvlad.types import Recalls


class Curves:
    """The event file of a run; use it as a context manager."""

    def __init__(self, run: Path, *, step: int) -> None:
        """Open the curves; ``step`` is where a resumed run goes on (later points are dropped)."""
        self._writer = SummaryWriter(str(run), purge_step=step + 1 if step else None)

    def __enter__(self) -> "Curves":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def step(self, step: int, *, loss: float, triplets: int, rate: float) -> None:
        """One optimiser step: loss, number of triplets, learning rate."""
        self._add("Train/Loss", loss, step)
        self._add("Train/nNeg", triplets, step)
        self._add("Train/LearningRate", rate, step)

    def epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """One epoch: average loss, share of queries with violators, seconds."""
        self._add("Train/AvgLoss", row["loss"], epoch)
        self._add("Train/Violators", row["violators"], epoch)
        self._add("Time/Epoch", row["seconds"], epoch)

    def validation(self, epoch: int, recalls: Recalls) -> None:
        """Recall@N on the validation split."""
        for n, value in recalls.at.items():
            self._add(f"Val/Recall@{n}", value, epoch)

    def _add(self, tag: str, value: float, step: int) -> None:
        self._writer.add_scalar(tag, value, step)
