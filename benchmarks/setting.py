"""What all measurements of a run agree on: where the data lie, and how large the samples are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netvlad.compute import Compute, Precision

SEED = 123
NUM_CLUSTERS = 64
CHANNELS = 512  # of VGG16's conv5_3
CELLS = (15, 20)  # of its map of a 240×320 image
TRUNK_FILE = "vgg16_hed_fp16.pth"
CLUSTER_FILE = "vgg16_pitts30k_64_desc_cen.hdf5"


class BenchmarkError(Exception):
    """Something a person has to put right; the message is one line."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything is measured. Costs grow linearly, so samples stand for the whole.

    Attributes:
        batch: images per forward pass without gradients (the original calls it cacheBatchSize).
        layer_images: images in the batch that the layer is timed on.
        layer_repeats: timed passes of the layer; the median counts.
        refresh: database images and queries of train that are described.
        step_queries: queries of train that are stepped over.
        step_batch: queries per optimiser step.
        negatives: negatives per query.
        pool: random negatives looked at per query.
        block: queries between two refreshes, mined at once on our side.
        block_repeats: timed passes over that block.
        mined_queries: queries that the original's mining is timed on.
        evaluation: database images and queries of val that are described and searched.
    """

    batch: int = 24
    layer_images: int = 24
    layer_repeats: int = 20
    refresh: tuple[int, int] = (72, 24)
    step_queries: int = 24
    step_batch: int = 4
    negatives: int = 10
    pool: int = 1000
    block: int = 1000
    block_repeats: int = 5
    mined_queries: int = 20
    evaluation: tuple[int, int] = (96, 48)


FULL = Sizes()
QUICK = Sizes(
    batch=4,
    layer_images=2,
    layer_repeats=2,
    refresh=(4, 2),
    step_queries=2,
    step_batch=2,
    negatives=3,
    block=4,
    block_repeats=1,
    mined_queries=2,
    evaluation=(4, 2),
)
"""Enough to see that everything runs; its times mean nothing."""

LARGE = Sizes(
    refresh=(1860, 1248),
    step_queries=200,
    evaluation=(336, 192),
)
"""For a GPU, which is through with the usual samples before a clock can tell."""


@dataclass(frozen=True)
class Setting:
    """One run.

    Attributes:
        data: a data set in the ``csv`` layout, with the splits train and val.
        weights: the folder of :data:`TRUNK_FILE` and :data:`CLUSTER_FILE`.
        work: where both sides keep their files while they are measured.
        threads: torch's threads, and how many threads or processes decode; both sides alike.
        quick: whether samples are tiny.
        device: ``"cpu"`` or ``"cuda"``.
        precision: ours only; the original knows float32.
    """

    data: Path
    weights: Path
    work: Path
    threads: int = 2
    quick: bool = False
    device: str = "cpu"
    precision: Precision = "32"

    @property
    def sizes(self) -> Sizes:
        """How large the samples are."""
        if self.quick:
            return QUICK
        return FULL if self.device == "cpu" else LARGE

    @property
    def compute(self) -> Compute:
        """The same as our package takes it."""
        return Compute(self.device, self.precision, self.sizes.batch, self.threads)

    @property
    def trunk_file(self) -> Path:
        """The weights of VGG16."""
        return self.weights / TRUNK_FILE

    @property
    def cluster_file(self) -> Path:
        """The centres that NetVLAD starts from."""
        return self.weights / CLUSTER_FILE

    def check(self) -> None:
        """Say what is missing before anything is measured.

        Raises:
            BenchmarkError: a file is not there.
        """
        for file, variable in (
            (self.data / "train.csv", "NETVLAD_BENCH_DATA"),
            (self.data / "val.csv", "NETVLAD_BENCH_DATA"),
            (self.trunk_file, "NETVLAD_BENCH_WEIGHTS"),
            (self.cluster_file, "NETVLAD_BENCH_WEIGHTS"),
        ):
            if not file.is_file():
                raise BenchmarkError(f"{file}: no such file; name its folder in {variable}")


def from_environment(
    work: Path,
    *,
    threads: int = 2,
    quick: bool = False,
    device: str = "cpu",
    precision: Precision = "32",
    environment: Mapping[str, str] = os.environ,
) -> Setting:
    """The setting that ``NETVLAD_BENCH_DATA`` and ``NETVLAD_BENCH_WEIGHTS`` name.

    Raises:
        BenchmarkError: a file is not there.
    """
    setting = Setting(
        data=Path(environment.get("NETVLAD_BENCH_DATA", "../shared/data/cambridge")),
        weights=Path(environment.get("NETVLAD_BENCH_WEIGHTS", "../shared/weights")),
        work=work,
        threads=threads,
        quick=quick,
        device=device,
        precision=precision,
    )
    setting.check()
    return setting
