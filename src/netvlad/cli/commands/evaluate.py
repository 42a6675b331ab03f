"""``netvlad evaluate``: several models on several data sets, by named rules, with a report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from cyclopts import Group, Parameter

from netvlad.cli.console import fail, reporting, show, show_json
from netvlad.cli.evaluation_reports import (
    prepare_folder,
    provenance,
    unreadable_in,
    write_report,
)
from netvlad.cli.evaluation_tables import (
    comparison_lines,
    condition_table,
    count_lines,
    evaluation_table,
)
from netvlad.cli.flags import DEFAULT_SPLIT, ComputeFlags
from netvlad.cli.settings import parse_resize, tell
from netvlad.compute import Compute
from netvlad.datasets import DATASETS, open_dataset
from netvlad.errors import SettingsError
from netvlad.evaluation.compare import Comparing, compare_all, competitor, find_protocols
from netvlad.evaluation.comparison import Comparison, Competitor, comparisons_to_json
from netvlad.evaluation.sequences import SPEEDS, SequenceSearch
from netvlad.loading import load_model
from netvlad.models.checkpoints import Ckpt
from netvlad.types import PlaceDataset, Reporter, counted

T = TypeVar("T")
COMPARED = Group("What is compared", sort_key=1)
DATA = Group("Data", sort_key=2)
RULES = Group("Rules", sort_key=3)
NO_DEFAULT = Parameter(show_default=False)


@Parameter(name="*", group=COMPARED)
@dataclass(frozen=True)
class EntrantFlags:
    """Models, and descriptors made elsewhere."""

    model: Annotated[tuple[str, ...], NO_DEFAULT] = ()
    """A run folder, an index, a cluster file, a Python file, or a backbone such as vgg16-gem; once
    for each model (docs/models.md)."""

    descriptors: Annotated[tuple[tuple[Path, Path], ...], NO_DEFAULT] = ()
    """Two .npy files made elsewhere: of the database, and of the queries, rows in the order of the
    data set; once for each model."""

    name: Annotated[tuple[str, ...], NO_DEFAULT] = ()
    """What to call them in tables: once for each, models first."""

    ckpt: Ckpt = "latest"
    """Which checkpoint of a run: latest or best."""

    resize: Annotated[str | None, Parameter(name="--resize")] = None
    """Bring images to HEIGHTxWIDTH, or their longer side to so many pixels, where the protocol
    leaves it to the model [default: the model's own size]."""


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataSetFlags:
    """One data set or several."""

    dataset: Annotated[tuple[str, ...], NO_DEFAULT] = ()
    """Its name (`netvlad datasets list`); once for each data set."""

    data_dir: Annotated[tuple[Path, ...], NO_DEFAULT] = ()
    """The folder it lies in; once for each, or once for all of them."""

    split: Annotated[tuple[str, ...], NO_DEFAULT] = (DEFAULT_SPLIT,)
    """train, val, test, ...; once for each, or once for all of them [default: val]."""

    utm_zone: str | None = None
    """UTM zone such as 31N, where a format does not say."""


@Parameter(name="*", group=RULES)
@dataclass(frozen=True)
class RuleFlags:
    """By which rules figures are counted."""

    protocol: Annotated[tuple[str, ...], NO_DEFAULT] = ()
    """A protocol (`netvlad protocols`), radius-METRES or frames-N; several are evaluated each
    [default: the data set's own list or radius, all queries, one index]."""

    one_percent: bool = False
    """Measure recall@1 % too, however large the database."""

    place_label: str | None = None
    """The label that tells places apart, for intervals and tests [default: cells of 25 m]."""

    sequence_length: int | None = None
    """Match sequences of so many frames too: for traverses, an odd number."""

    sequence_speeds: Annotated[tuple[float, ...], NO_DEFAULT] = SPEEDS
    """Database frames per query frame that are tried [default: 0.8 0.9 1 1.1 1.2]."""


def evaluate(
    *,
    entrants: EntrantFlags = EntrantFlags(),
    data: DataSetFlags = DataSetFlags(),
    rules: RuleFlags = RuleFlags(),
    compute: ComputeFlags = Compute(),
    output: Path | None = None,
    json: bool = False,
    keep: Path | None = None,
    storage: Literal["32", "16"] = "32",
    strict: bool = False,
) -> None:
    """Compare models on data sets by named rules, and write a report.

    ```
    netvlad evaluate --model efficientnet-lite0-avg --model runs/mine \\
        --dataset pitts30k --data-dir ~/pittsburgh --output out
    ```

    Prints recalls with 95 % intervals; a model is marked as better only where an exact paired test
    on the same queries says so. The report is a page (out/index.html) and, beside it, results.json,
    results.csv, queries.csv and table.tex.

    Args:
        output: Write the report into this folder.
        json: Print the figures as JSON, and nothing else.
        keep: Keep the descriptors in this folder: what was stopped is resumed, and another
            evaluation of the same models takes them from there.
        storage: Bits per value of the descriptors: 32, or 16 for half the room.
        strict: Exit with 1 when an image could not be used.
    """
    if output is not None:
        prepare_folder(output)
    with reporting() as report:
        datasets = _datasets(data, report)
        protocols = find_protocols(rules.protocol, datasets)
        competitors = _competitors(entrants, report)
        frames = rules.sequence_length
        how = Comparing(
            one_percent=rules.one_percent,
            sequences=None if frames is None else SequenceSearch(frames, rules.sequence_speeds),
            place_label=rules.place_label,
            keep=keep,
            storage=storage,
            temporary=output or Path("runs"),
        )
        found = compare_all(
            competitors, datasets, protocols, how, compute, report, called=_called(data)
        )
        written = [] if output is None else write_report(output, found, compute, report)
    if json:
        show_json(comparisons_to_json(found, provenance(compute)))
    else:
        for one in found:
            _show(one)
        if written:
            show(f"\nLook at {written[0]}; beside it {', '.join(p.name for p in written[1:])}")
    unusable = unreadable_in(found)
    if strict and unusable:
        fail(f"{counted(unusable, 'images')} could not be used (--strict)")


def _show(one: Comparison) -> None:
    show(evaluation_table(one), *count_lines(one), *comparison_lines(one))
    show(*(condition_table(one, label) for label in one.trials[0].conditions))


def _datasets(data: DataSetFlags, report: Reporter) -> list[PlaceDataset]:
    for name, given in (("dataset", data.dataset), ("data-dir", data.data_dir)):
        if not given:
            raise SettingsError(f"--{name} is missing: which data set is it?")
    folders = _one_each("data-dir", data.data_dir, len(data.dataset))
    splits = _one_each("split", data.split, len(data.dataset))
    return [
        tell(open_dataset(name, folder, split, utm_zone=data.utm_zone), report)
        for name, folder, split in zip(data.dataset, folders, splits, strict=True)
    ]


def _called(data: DataSetFlags) -> list[str]:
    """Layouts that hold anybody's images say nothing; the folder does."""
    folders = _one_each("data-dir", data.data_dir, len(data.dataset))
    return [
        "" if DATASETS[name].splits else folder.name.strip(".") or folder.resolve().name
        for name, folder in zip(data.dataset, folders, strict=True)
    ]


def _one_each(flag: str, given: Sequence[T], count: int) -> Sequence[T]:
    if len(given) not in (1, count):
        raise SettingsError(
            f"--{flag} is there {len(given)} times for {count} data sets; give it once, or once "
            "for each --dataset, in their order"
        )
    return given if len(given) == count else list(given) * count


def _competitors(flags: EntrantFlags, report: Reporter) -> list[Competitor]:
    count = len(flags.model) + len(flags.descriptors)
    if count == 0:
        raise SettingsError("--model is missing: name a model, or --descriptors DATABASE QUERIES")
    if flags.name and len(flags.name) != count:
        raise SettingsError(
            f"--name is there {len(flags.name)} times for {count} models; give it for each or none"
        )
    sources = [*flags.model, *(str(pair[0]) for pair in flags.descriptors)]
    names = list(flags.name) or [_short(source) for source in sources]
    if len(set(names)) < count:
        twice = Counter(names).most_common(1)[0][0]
        raise SettingsError(f"two models would be called {twice}; tell them apart with --name")
    resize = None if flags.resize is None else parse_resize(flags.resize)
    found = []
    for source, name in zip(flags.model, names, strict=False):
        network = load_model(source, ckpt=flags.ckpt, report=report)
        network = network if resize is None else network.resized(resize)
        found.append(competitor(name, network, source))
    for pair, name in zip(flags.descriptors, names[len(flags.model) :], strict=True):
        found.append(competitor(name, pair, " ".join(map(str, pair))))
    return found


def _short(source: str) -> str:
    """What a model is called where nobody names it: the last part of its path."""
    path = Path(source.rpartition(":")[0] if ".py:" in source else source)
    if path.suffix == ".npy" and path.parent.name:
        return path.parent.name
    return path.stem if path.suffix in (".py", ".hdf5", ".npy") else path.name or source
