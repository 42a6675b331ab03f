"""Where settings are resolved: recipe defaults, what a run stored, what the user typed."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from netvlad.datasets import open_dataset
from netvlad.errors import SettingsError
from netvlad.models import AGGREGATORS, BACKBONES, ModelSpec
from netvlad.training.recipes import RECIPES, Recipe
from netvlad.types import Note, PlaceDataset, Reporter, counted

# What a run stores beside its recipe. `clusters` and `weights` name files of its beginning: a
# resumed run has its weights already, so they are recorded but never needed again.
MODEL_DEFAULTS: dict[str, Any] = {
    "arch": "vgg16",
    "pooling": "netvlad",
    "num_clusters": 64,
    "vladv2": False,
    "weights": None,
    "from_scratch": False,
    "resize": None,
}
SPEC_NAMES = ("arch", "pooling", "num_clusters", "vladv2", "from_scratch")
DATA_DEFAULTS: dict[str, Any] = {
    "dataset": None,
    "data_dir": None,
    "utm_zone": None,
    "trunk_cache": "auto",
}


@dataclass(frozen=True)
class Settings:
    """Everything a command needs to know, resolved.

    Attributes:
        data: dataset, data_dir, utm_zone, trunk_cache.
        model: arch, pooling, num_clusters, vladv2, weights, from_scratch, resize.
        recipe: how to train.
        notes: where what the user typed won over what a run had stored.
    """

    data: Mapping[str, Any]
    model: Mapping[str, Any]
    recipe: Recipe
    notes: tuple[str, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """The model to build."""
        return ModelSpec(**{name: self.model[name] for name in (*SPEC_NAMES, "resize")})

    @property
    def trunk_cache(self) -> Path | Literal["auto", "off"]:
        """Where the frozen trunk's output is kept."""
        value = str(self.data["trunk_cache"])
        return cast(Literal["auto", "off"], value) if value in ("auto", "off") else Path(value)

    @property
    def weights(self) -> str | Path:
        """Where the backbone's weights come from."""
        default = "none" if self.model["from_scratch"] else "imagenet"
        return str(self.model["weights"] or default)

    def open(self, split: str) -> PlaceDataset:
        """Open a split of the data set.

        Raises:
            SettingsError: nobody said which data set, or where it is.
            DataError: it cannot be read.
        """
        for name in ("dataset", "data_dir"):
            if self.data[name] is None:
                raise SettingsError(f"--{name.replace('_', '-')} is missing: which data set is it?")
        return open_dataset(
            self.data["dataset"], Path(self.data["data_dir"]), split, utm_zone=self.data["utm_zone"]
        )

    def to_json(self) -> dict[str, Any]:
        """What a run stores, to be read back as ``stored``."""
        merged = {**self.data, **self.model, **dataclasses.asdict(self.recipe)}
        return {k: str(v) if isinstance(v, Path) else v for k, v in merged.items()}


def resolve(*, stored: Mapping[str, Any] | None = None, typed: Mapping[str, Any]) -> Settings:
    """Merge defaults, what a run stored and what the user typed; the latter wins.

    Args:
        stored: settings of a resumed run, by the same names as flags.
        typed: flags; None means not typed.

    Raises:
        SettingsError: a value is not possible.
    """
    stored = dict(stored or {})
    typed = {k: _parsed(k, v) for k, v in typed.items() if v is not None}
    if isinstance(stored.get("resize"), list):
        stored["resize"] = tuple(stored["resize"])
    both = {**stored, **typed}
    model = {k: both.get(k, default) for k, default in MODEL_DEFAULTS.items()}
    for name, registry in (("arch", BACKBONES), ("pooling", AGGREGATORS)):
        if model[name] not in registry:
            raise SettingsError(f"--{name} {model[name]}: choose one of {', '.join(registry)}")
    recipe = RECIPES[model["arch"]].changed(stored).changed(typed)
    notes = tuple(
        f"--{k.replace('_', '-')} {_shown(v)} was typed; the run had {_shown(stored[k])}"
        for k, v in typed.items()
        if k in stored and _shown(stored[k]) != _shown(v)
    )
    return Settings(
        data={k: both.get(k, default) for k, default in DATA_DEFAULTS.items()},
        model=model,
        recipe=recipe,
        notes=notes,
    )


def typed_flags(*groups: Any) -> dict[str, Any]:
    """The fields of the flag records, by name."""
    return {k: v for group in groups if group is not None for k, v in vars(group).items()}


def tell(dataset: PlaceDataset, report: Reporter) -> PlaceDataset:
    """Report what the reader of a data set had to say, and its size; returns it."""
    for note in dataset.notes:
        report(Note(f"{dataset.name} {dataset.split}: {note}"))
    report(
        Note(
            f"{dataset.name} {dataset.split}: {counted(len(dataset.database), 'database images')}, "
            f"{counted(len(dataset.queries), 'queries')}"
        )
    )
    return dataset


def parse_resize(text: str) -> tuple[int, int] | int:
    """What ``--resize`` says: HEIGHTxWIDTH, or the most that the longer side may have.

    Raises:
        SettingsError: it says neither.
    """
    match = re.fullmatch(r"(\d+)(?:[xX×](\d+))?", text.strip())
    sides = [int(side) for side in match.groups() if side] if match else [0]
    if min(sides) < 1:
        raise SettingsError(
            f"--resize {text}: expected HEIGHTxWIDTH, such as 480x640, or the longer side's pixels"
        )
    return (sides[0], sides[1]) if len(sides) == 2 else sides[0]


def _parsed(name: str, value: Any) -> Any:
    if name == "resize" and isinstance(value, str):
        return parse_resize(value)
    if name in ("optim", "loss", "schedule", "augment", "arch", "pooling", "dataset"):
        return str(value).lower()
    if name == "data_dir":
        return str(Path(value).absolute())
    if name == "trunk_cache":
        return _cache_setting(str(value))
    if name == "weights" and value not in ("imagenet", "none"):
        return str(Path(value).absolute())
    return value


def _cache_setting(value: str) -> str:
    if value.lower() in ("auto", "off"):
        return value.lower()
    if Path(value).exists() and not Path(value).is_dir():
        raise SettingsError(f"--trunk-cache {value}: is a file; give a folder, auto or off")
    return str(Path(value).absolute())


def _shown(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
