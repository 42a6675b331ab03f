"""The flags that commands share. All default to None, so that what the user typed is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

DATA = Group("Data", sort_key=1)
MODEL = Group("Model", sort_key=2)
TRAINING = Group("Training", sort_key=3)
MACHINE = Group("Machine", sort_key=4)


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataFlags:
    """Which images."""

    dataset: str | None = None
    """Layout of the data: pitts30k, pitts250k, tokyo-time-machine, tokyo247, utm-names or csv."""

    data_dir: Path | None = None
    """The folder the data set lies in. Nothing is ever written there."""

    utm_zone: str | None = None
    """UTM zone such as 31N, where the format does not say."""

    resize: Annotated[str | None, Parameter(name="--resize")] = None
    """Bring every image to HEIGHTxWIDTH pixels, such as 480x640; or one number, such as 640: the
    most that the longer side may have [default: native size]."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True)
class ModelFlags:
    """Which model."""

    arch: str | None = None
    """Backbone: vgg16, alexnet or efficientnet-lite0 [default: vgg16]."""

    pooling: str | None = None
    """Aggregation: netvlad, max, avg or gem [default: netvlad]."""

    num_clusters: int | None = None
    """NetVLAD clusters [default: 64]."""

    vladv2: Annotated[bool | None, Parameter(negative="--vladv1")] = None
    """NetVLAD's assignment with a bias, initialised from distances as the paper has it."""

    weights: str | None = None
    """Weights of the backbone: imagenet, none, or a .pth or .safetensors file
    [default: imagenet; none with --from-scratch]."""

    from_scratch: Annotated[bool | None, Parameter(negative=())] = None
    """Random weights, and every layer trained."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class RecipeFlags:
    """How to train. Defaults depend on --arch; those of vgg16 and alexnet are given."""

    epochs: int | None = None
    """Walks over all training queries [default: 30]."""

    batch_size: int | None = None
    """Queries per step, each with its positives or views, and negatives [default: 4]."""

    cache_refresh_rate: int | None = None
    """Queries between two refreshes of all descriptors; 0: once an epoch [default: 1000]."""

    optim: str | None = None
    """Optimiser: sgd, adam or adamw [default: sgd]."""

    lr: float | None = None
    """Learning rate [default: 0.0001]."""

    schedule: str | None = None
    """Course of the learning rate: step or cosine [default: step]."""

    lr_step: int | None = None
    """Epochs between two cuts of the learning rate [default: 5]."""

    lr_gamma: float | None = None
    """What the learning rate is cut by [default: 0.5]."""

    weight_decay: float | None = None
    """Weight decay, for sgd and adamw [default: 0.001]."""

    momentum: float | None = None
    """Momentum, for sgd [default: 0.9]."""

    loss: str | None = None
    """triplet, hardest-triplets, multi-similarity or mil-nce [default: triplet]."""

    margin: float | None = None
    """Margin of the triplet loss and of what mining calls a violator [default: 0.1]."""

    temperature: float | None = None
    """Temperature of mil-nce; the smaller, the more the nearest images decide [default: 0.05]."""

    positives: int | None = None
    """Positives per query, the nearest in descriptor space [default: 1]."""

    positive_radius_m: float | None = None
    """How far from the query a positive may be, in metres [default: 10]."""

    negatives: int | None = None
    """Hard negatives per query [default: 10]."""

    views: int | None = None
    """Random other images of a query's place and of each negative's place in a step, in place of
    the nearest positives; 0: the paper's tuples [default: 0]."""

    negative_pool: int | None = None
    """Random negatives looked at per query; 0: all of them [default: 1000]."""

    augment: str | None = None
    """Vary what is trained on: none; features (windows of the trunk's output, mirrored batches); or
    images (light, colour, window), which makes every step run the whole network [default: none]."""

    average_from: int | None = None
    """First epoch whose steps' weights are averaged; the average is validated and stored. 0: the
    last step's weights are [default: 0]."""

    eval_every: int | None = None
    """Epochs between two validations [default: 1]."""

    patience: int | None = None
    """Validations without a new best before training stops; 0: never [default: 10]."""


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class MachineFlags:
    """Where and how to compute."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""

    precision: Literal["32", "bf16", "16"] = "32"
    """Arithmetic of the networks; descriptors and losses stay in 32 bits."""

    seed: int | None = None
    """Governs sampling, order and mining [default: 123]."""

    threads: int = 8
    """Threads that decode images."""

    cache_batch_size: int | None = None
    """Images per forward pass where no gradients are needed [default: 24]."""

    debug: Annotated[bool, Parameter(negative=())] = False
    """Show the traceback of an error."""
