"""The charts of a comparison: which curves, intervals, errors and conditions are worth drawing."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from netvlad.evaluation.comparison import Comparison, Entry
from netvlad.evaluation.intervals import share_intervals
from netvlad.evaluation.precision import precision_recall
from netvlad.evaluation.protocol_record import Radius
from netvlad.reports.charts import (
    Series,
    condition_chart,
    error_chart,
    interval_chart,
    precision_recall_chart,
    recall_chart,
)
from netvlad.reports.evaluation_words import names_of
from netvlad.reports.printable import printable

DEEPEST = 20
"""The greatest N of the recall curve."""

_MOST_CONDITIONS = 12


@dataclass(frozen=True)
class Chart:
    """A drawing and what it says.

    Attributes:
        title: what is drawn.
        text: how to read it, in a sentence.
        svg: the drawing.
    """

    title: str
    text: str
    svg: Markup


def charts_of(comparison: Comparison) -> list[Chart]:
    """The charts of a comparison, those first that tell most."""
    names, n = names_of(comparison), comparison.lead_cutoff
    best = comparison.best
    recalls = [trial.measures.recall[str(n)] for trial in comparison.trials]
    rows = [
        (name, one.value, one.low, one.high, number == best)
        for number, (name, one) in enumerate(zip(names, recalls, strict=True))
    ]
    filled = "; the filled one is the best by the paired test" if best is not None else ""
    return [
        Chart(
            "Recall@N",
            "The share of queries with a correct image among the first N answers. "
            "The bands are 95 % intervals.",
            Markup(
                recall_chart([_curve(*pair) for pair in zip(names, comparison.trials, strict=True)])
            ),
        ),
        Chart(
            f"R@{n} with 95 % intervals",
            f"How far each figure would move with other places of the same kind{filled}.",
            Markup(interval_chart(rows)),
        ),
        Chart(
            "Precision and recall",
            "First answers are accepted from some similarity on: how many of those accepted are "
            "right, and how many of the right ones are accepted.",
            Markup(
                precision_recall_chart(
                    [_precision(*pair) for pair in zip(names, comparison.trials, strict=True)]
                )
            ),
        ),
        *_errors(comparison, names),
        *_conditions(comparison, names, n),
    ]


def _curve(name: str, trial: Entry) -> Series:
    """Recall at every N, with intervals over places as in the table."""
    outcomes = trial.outcomes
    limits = np.arange(1, min(DEEPEST, outcomes.depth) + 1)
    hits = outcomes.ranks[:, None] < limits
    found = share_intervals(hits, outcomes.places)
    return Series(
        name,
        limits.astype(np.float64),
        np.array([one.value for one in found]),
        np.array([one.low for one in found]),
        np.array([one.high for one in found]),
    )


def _precision(name: str, trial: Entry) -> Series:
    curve = precision_recall(trial.outcomes.confidences, trial.outcomes.correct)
    return Series(name, curve.recall, curve.precision)


def _errors(comparison: Comparison, names: list[str]) -> list[Chart]:
    errors = {
        name: trial.outcomes.errors_m
        for name, trial in zip(names, comparison.trials, strict=True)
        if trial.outcomes.errors_m is not None and not np.isnan(trial.outcomes.errors_m).all()
    }
    if not errors:
        return []
    rule = comparison.prepared.protocol.positives
    if isinstance(rule, Radius):
        radius, text = rule.radius_m, "Bars left of the radius are right answers."
    else:
        radius = comparison.prepared.dataset.radius_m
        text = f"What is right depends on the rule ({rule.words}), not on the radius drawn."
    chart = error_chart({name: e for name, e in errors.items() if e is not None}, radius)
    return [
        Chart(
            "How far off the first answer is",
            f"Metres from the query to its first answer. {text}",
            Markup(chart),
        )
    ]


def _conditions(comparison: Comparison, names: list[str], n: int) -> list[Chart]:
    """A chart for each label, with the words of all models in alphabetical order."""
    labels = dict.fromkeys(label for trial in comparison.trials for label in trial.conditions)
    charts = []
    for label in labels:
        groups: dict[str, list[tuple[str, float, float, float, int]]] = {}
        for name, trial in zip(names, comparison.trials, strict=True):
            for word, measures in trial.conditions.get(label, {}).items():
                one = measures.recall[str(n)]
                row = (name, one.value, one.low, one.high, measures.queries)
                groups.setdefault(printable(word) or "unknown", []).append(row)
        shown = dict(list(groups.items())[:_MOST_CONDITIONS])
        charts.append(
            Chart(
                f"R@{n} by {printable(label)}",
                "With 95 % intervals; few queries make wide ones.",
                Markup(condition_chart(shown)),
            )
        )
    return charts
