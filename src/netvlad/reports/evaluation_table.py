"""The table of an evaluation: a row for each model, a column for each figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from netvlad.evaluation.comparison import Comparison, Entry
from netvlad.evaluation.measures import ONE_PERCENT
from netvlad.reports.evaluation_words import (
    UNKNOWN,
    interval,
    metres,
    milliseconds,
    names_of,
    share,
)


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        text: the figure.
        small: its interval; empty without one.
        best: whether the paired test says that this model is the best here.
    """

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: of the model.
        cells: its figures.
    """

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        name: what it holds, in a few letters.
        title: the same in words.
        group: whether a group of columns begins here.
    """

    name: str
    title: str
    group: bool


@dataclass(frozen=True)
class Table:
    """The whole of it.

    Attributes:
        groups: (name, how many columns it spans), in order.
        columns: without that of the models' names.
        rows: a model each.
        marked: whether any figure is marked as the best.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    marked: bool


def table_of(comparison: Comparison) -> Table:
    """The figures of all models, marked where :attr:`Comparison.best` says so and nowhere else."""
    with_percent = any(ONE_PERCENT in trial.measures.recall for trial in comparison.trials)
    with_errors = any(trial.outcomes.errors_m is not None for trial in comparison.trials)
    rows = tuple(
        Row(
            name,
            (
                *_recalls(
                    trial,
                    comparison.cutoffs,
                    [
                        comparison.best == number and n == comparison.lead_cutoff
                        for n in comparison.cutoffs
                    ],
                ),
                *([_one_percent(trial)] if with_percent else []),
                *_answers(trial),
                *(_errors(trial) if with_errors else []),
                *_cost(trial),
            ),
        )
        for number, (name, trial) in enumerate(
            zip(names_of(comparison), comparison.trials, strict=True)
        )
    )
    blocks = _blocks(comparison.cutoffs, with_percent, with_errors)
    return Table(
        groups=tuple((name, len(columns)) for name, columns in blocks),
        columns=tuple(
            Column(name, title, group=i == 0)
            for _, columns in blocks
            for i, (name, title) in enumerate(columns)
        ),
        rows=rows,
        marked=comparison.best is not None,
    )


def _blocks(
    cutoffs: Sequence[int], with_percent: bool, with_errors: bool
) -> list[tuple[str, list[tuple[str, str]]]]:
    """The groups of columns, each with the (name, title) of its columns."""
    recalls = [(f"R@{n}", f"a correct image among the first {n}") for n in cutoffs]
    if with_percent:
        recalls.append(("R@1 %", "a correct image among the first hundredth of the index"))
    answers = [
        ("AP", "average precision of first answers, accepted by similarity"),
        ("AUC", "area under the precision-recall curve"),
        ("R@P100", "recall at 100 % precision"),
    ]
    errors = [
        ("median", "half of the queries have at most this error"),
        ("90 %", "nine of ten queries have at most this error"),
    ]
    cost = [
        ("D", "numbers in a descriptor"),
        ("bytes", "of one descriptor, as stored"),
        ("ms/image", "milliseconds for each image described"),
        ("ms/query", "milliseconds for each query searched"),
    ]
    blocks = [("Recall", recalls), ("First answers", answers)]
    blocks += [("Error (m)", errors)] if with_errors else []
    return [*blocks, ("Descriptor and time", cost)]


def _recalls(trial: Entry, cutoffs: Sequence[int], best: Sequence[bool]) -> list[Cell]:
    found = [trial.measures.recall[str(n)] for n in cutoffs]
    return [
        Cell(share(one.value), interval(one), marked)
        for one, marked in zip(found, best, strict=True)
    ]


def _one_percent(trial: Entry) -> Cell:
    found = trial.measures.recall.get(ONE_PERCENT)
    return Cell(UNKNOWN) if found is None else Cell(share(found.value), interval(found))


def _answers(trial: Entry) -> list[Cell]:
    measures = trial.measures
    return [
        Cell(share(measures.average_precision)),
        Cell(share(measures.auc)),
        Cell(share(measures.recall_at_full_precision)),
    ]


def _errors(trial: Entry) -> list[Cell]:
    measures = trial.measures
    return [Cell(metres(measures.median_error_m)), Cell(metres(measures.p90_error_m))]


def _cost(trial: Entry) -> list[Cell]:
    evaluation = trial.evaluation
    seconds = evaluation.seconds
    return [
        Cell(f"{evaluation.descriptor_dim:,}"),
        Cell(f"{evaluation.descriptor_bytes:,}"),
        Cell(milliseconds(seconds.get("describe", 0.0), evaluation.described)),
        Cell(milliseconds(seconds.get("search", 0.0), len(trial.outcomes))),
    ]
