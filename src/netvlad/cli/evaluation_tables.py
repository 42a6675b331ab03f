"""What ``netvlad evaluate`` prints about models that answered the same queries."""

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from netvlad.errors import DataError
from netvlad.evaluation.comparison import Comparison, Entry
from netvlad.evaluation.intervals import Interval
from netvlad.evaluation.measures import ONE_PERCENT
from netvlad.types import counted

MARK = "*"
"""Stands behind a figure that is beyond doubt the best of its column."""


def evaluation_table(comparison: Comparison) -> Table:
    """The figures of each model, a row each; legible at 100 columns.

    A recall is bold and marked where ``Comparison.best`` says that its model is the best.
    The first recall has its 95 % interval over places.
    """
    prepared, trials = comparison.prepared, comparison.trials
    counts = (
        f"{counted(len(prepared.queries), 'queries')}, "
        f"{counted(len(prepared.database), 'database images')}"
    )
    table = _table(f"{comparison.title}: {counts}")
    table.add_column("model", overflow="fold", min_width=8)
    table.add_column("D", justify="right", no_wrap=True)
    for place, n in enumerate(comparison.cutoffs):
        table.add_column(f"R@{n}" if place else f"R@{n} [95 %]", no_wrap=True)
    one_percent = any(ONE_PERCENT in trial.measures.recall for trial in trials)
    if one_percent:
        table.add_column("R@1 %", no_wrap=True)
    table.add_column("AP", no_wrap=True)
    errors = any(trial.measures.median_error_m is not None for trial in trials)
    if errors:
        table.add_column("median\nerror", justify="right", no_wrap=True)
    for i, trial in enumerate(trials):
        cells = [_printable(trial.competitor.name), Text(f"{trial.evaluation.descriptor_dim}")]
        marked = comparison.lead_cutoff if comparison.best == i else None
        cells += _recall_cells(trial, comparison.cutoffs, marked)
        if one_percent:
            at_one = trial.measures.recall.get(ONE_PERCENT)
            cells.append(Text("" if at_one is None else f"{at_one.value:.3f}"))
        cells.append(Text(f"{trial.measures.average_precision:.3f}"))
        if errors:
            cells.append(Text(_metres(trial.measures.median_error_m)))
        table.add_row(*cells)
    if comparison.best is not None:
        table.caption = Text(
            f"{MARK} better than each other model at R@{comparison.lead_cutoff} (exact paired "
            "tests "
            f"over {comparison.trial_words[1]}, 5 % in all)"
        )
    return table


def count_lines(comparison: Comparison) -> list[str]:
    """What lowers every recall for reasons that are no model's merit, a line each; often none."""
    recalls = [trial.evaluation.recalls for trial in comparison.trials]
    # Images that one model cannot use (too small, say) may be another's answers.
    queries = max(one.unreadable_queries for one in recalls)
    database = max(one.unreadable_database for one in recalls)
    without = recalls[0].queries_without_positives
    found = [
        (without, ("query has", "queries have"), "no correct database image and cannot be right"),
        (queries, ("query", "queries"), "could not be read and count as missed"),
        (database, ("database image", "database images"), "could not be read, never returned"),
    ]
    return [f"{_counted(count, words)} {what}" for count, words, what in found if count]


def comparison_lines(comparison: Comparison) -> list[str]:
    """Every two models at the smallest N of recall@N, a line each, in words.

    The p-values are of each test by itself; marks in the table allow for their number.
    """
    cutoff, words = min(comparison.cutoffs), comparison.trial_words
    lines = []
    for a, b, test in comparison.pairs(cutoff):
        first, second = (_printable(comparison.trials[i].competitor.name).plain for i in (a, b))
        if test.a_better + test.b_better == 0:
            found = f"equally good at each of {_counted(test.trials, words)}"
        else:
            found = f"better at {_counted(test.a_better, words)}, worse at {test.b_better}, "
            found += "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.2g}"
        lines.append(f"{first} against {second} at R@{cutoff}: {found}")
    return lines


def condition_table(comparison: Comparison, label: str) -> Table:
    """The smallest recall@N of each model with its interval, a row for each word of a label.

    Raises:
        DataError: the queries are not parted by that label.
    """
    known = comparison.trials[0].conditions
    if label not in known:
        names = ", ".join(known) or "none"
        raise DataError(f"{comparison.title}: there is no condition {label} (conditions: {names})")
    cutoff = min(comparison.cutoffs)
    table = _table(f"{comparison.title}: R@{cutoff} by {label}")
    table.add_column(_printable(label), overflow="fold", min_width=8)
    table.add_column("queries", justify="right", no_wrap=True)
    for trial in comparison.trials:
        table.add_column(_printable(trial.competitor.name), overflow="fold", min_width=18)
    for word, measures in known[label].items():
        recalls = [trial.conditions[label][word].recall[str(cutoff)] for trial in comparison.trials]
        table.add_row(
            _printable(word or "(unknown)"),
            f"{measures.queries:,}",
            *(Text(_with_interval(recall)) for recall in recalls),
        )
    return table


def _table(title: str) -> Table:
    # A title as str would be read as markup, which names of data sets are not.
    return Table(
        title=_printable(title),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
    )


def _recall_cells(trial: Entry, cutoffs: Sequence[int], marked: int | None) -> list[Text]:
    cells = []
    for place, n in enumerate(cutoffs):
        recall = trial.measures.recall[str(n)]
        best = n == marked
        words = f"{recall.value:.3f}" if place else _with_interval(recall)
        cells.append(Text(words + MARK if best else words, style="bold" if best else ""))
    return cells


def _with_interval(recall: Interval) -> str:
    return f"{recall.value:.3f} [{recall.low:.2f}, {recall.high:.2f}]"


def _metres(error_m: float | None) -> str:
    if error_m is None:
        return ""
    if math.isinf(error_m):
        return "∞"
    return f"{error_m:.1f} m" if error_m < 1000 else f"{error_m / 1000:,.0f} km"


def _counted(count: int, words: tuple[str, str]) -> str:
    return f"{count:,} {words[count != 1]}"


def _printable(text: str) -> Text:
    """A name as the terminal can show it: one line, valid UTF-8."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return Text(" ".join(shown.split()))
