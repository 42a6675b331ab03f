"""The flags that commands share. All default to None, so that what the user typed is known."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
from cyclopts import Group, Parameter

from netvlad.compute import Compute, Precision
from netvlad.training.recipes import RECIPES, Recipe

DATA = Group("Data", sort_key=1)
PHOTOS = Group("Photos", sort_key=1)
MODEL = Group("Model", sort_key=2)
TRAINING = Group("Training", sort_key=3)
MACHINE = Group("Machine", sort_key=4)

DEFAULT_SPLIT = "val"
"""Of every command that takes --split, as of pytorch-NetVlad: test is for the last run."""


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


@Parameter(name="*")
@dataclass(frozen=True)
class WhereFlags:
    """Where a data set lies."""

    data_dir: Path
    """The folder the data set lies in."""

    utm_zone: str | None = None
    """UTM zone such as 31N, where the format does not say."""


@Parameter(name="*", group=PHOTOS)
@dataclass(frozen=True)
class PositionFlags:
    """Where the photos were taken, where their own metadata do not say."""

    positions: Path | None = None
    """A table (CSV or Parquet) with the columns image, latitude, longitude (or easting, northing,
    zone) and optionally altitude, heading, time, tags. It wins over file names and EXIF."""

    utm_zone: str | None = None
    """UTM zone such as 31N of eastings and northings, where neither table nor names say."""


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

    from_scratch: bool | None = None
    """Random weights, and every layer trained."""


def _flag_of(setting: dataclasses.Field[Any], words: str) -> tuple[str, Any, Any]:
    """A setting of a recipe as a flag that is None when it is not typed."""
    usual, *others = ((arch, getattr(recipe, setting.name)) for arch, recipe in RECIPES.items())
    defaults = [str(usual[1]), *(f"{v} with {arch}" for arch, v in others if v != usual[1])]
    text = f"{words[:1].upper()}{words[1:].rstrip('.')} [default: {'; '.join(defaults)}]."
    kind: Any = setting.type
    return setting.name, Annotated[kind | None, Parameter(help=text)], None


_WORDS = {
    p.args[1]: p.description or "" for p in docstring_parser.parse(Recipe.__doc__ or "").params
}

RecipeFlags: Any = Parameter(name="*", group=TRAINING)(
    dataclasses.make_dataclass(
        "RecipeFlags",
        [
            _flag_of(setting, _WORDS[setting.name])
            for setting in dataclasses.fields(Recipe)
            if setting.name != "seed"
        ],
        # Else it passes for one of Python's own types, which have no flags.
        namespace={"__module__": __name__},
        frozen=True,
    )
)
"""A flag for each setting of :class:`~netvlad.training.recipes.Recipe`, with its words and the
defaults of each architecture."""


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class MachineFlags:
    """Where and how to compute."""

    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1; auto takes a GPU if there is one."""

    precision: Precision = "32"
    """Arithmetic of the networks; descriptors and losses stay in 32 bits."""

    seed: int | None = None
    """Governs sampling, order and mining [default: 123]."""

    threads: int = 8
    """Threads that decode images."""

    cache_batch_size: int | None = None
    """Images per forward pass where no gradients are needed [default: 24]."""

    def compute(self) -> Compute:
        """Where and how to compute, as these flags say."""
        return Compute(
            self.device,
            self.precision,
            Compute.batch_size if self.cache_batch_size is None else self.cache_batch_size,
            self.threads,
        )


ComputeFlags = Annotated[Compute, Parameter(name="*", group=MACHINE)]
"""The flags of commands that take photos instead of a data set: the record itself."""
