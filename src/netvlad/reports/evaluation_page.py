"""The page that ``netvlad evaluate --output`` writes: which model is better, on what evidence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netvlad.errors import DataError
from netvlad.evaluation.comparison import SIGNIFICANCE, Comparison
from netvlad.evaluation.confidence import precision_recall
from netvlad.evaluation.intervals import share_intervals
from netvlad.evaluation.measures import ONE_PERCENT
from netvlad.evaluation.protocol_record import Radius
from netvlad.reports.evaluation_gallery import FIRST_CARDS, Gallery, Overlay, Pattern
from netvlad.reports.evaluation_verdicts import pair_rows, protocol_facts, summary, verdict
from netvlad.reports.evaluation_words import (
    UNKNOWN,
    data_name,
    interval,
    joined,
    metres,
    milliseconds,
    names_of,
    share,
)
from netvlad.reports.pages import write_page
from netvlad.reports.plots import (
    COLOURS,
    Plot,
    error_plot,
    interval_plot,
    outcome_map,
    precision_recall_plot,
    recall_plot,
    short_names,
)
from netvlad.reports.printable import printable
from netvlad.types import Reporter, silent

PICTURES = 800  # at most so many photos on a page, of however many queries, models and data sets
DEEPEST = 20  # the greatest N of the recall curve
_MOST_UNREADABLE = 20
_CONDITIONS = 12

# Columns of the table of figures: what they hold, in a few letters and in words.
_ANSWERS = [
    ("AP", "average precision of first answers, accepted by similarity"),
    ("AUC", "area under the precision-recall curve"),
    ("R@P100", "recall at 100 % precision"),
]
_ERRORS = [
    ("median", "half of the queries have at most this error"),
    ("90 %", "nine of ten queries have at most this error"),
]
_COST = [
    ("D", "numbers in a descriptor"),
    ("bytes", "of one descriptor, as stored"),
    ("ms/image", "milliseconds for each image described"),
    ("ms/query", "milliseconds for each query searched"),
]


def write_evaluation_page(
    path: Path,
    comparisons: Sequence[Comparison],
    *,
    provenance: Mapping[str, str],
    overlays: Mapping[str, Overlay] | None = None,
    report: Reporter = silent,
) -> Path:
    """Write evaluations as one self-contained page, which fetches nothing.

    However many queries there are, the page shows at most :data:`PICTURES` photos and maps of
    bounded size: 10,000 queries of three models take less than 16 MB.

    Args:
        path: the page, which is returned, too.
        comparisons: a section each; at least one.
        provenance: how the figures were made (command, versions, machine, date), by name.
        overlays: what in a query speaks for its first answer, by the name of the competitor.
        report: receives the progress.

    Raises:
        DataError: there is no comparison.
        StorageError: it cannot be written.
    """
    if not comparisons:
        raise DataError("a page of an evaluation needs at least one comparison")
    gallery = Gallery()
    sections = []
    for number, comparison in enumerate(comparisons, 1):
        found = gallery.patterns(
            comparison,
            short_names(names_of(comparison)),
            room=PICTURES // len(comparisons),
            overlays=overlays,
            report=report,
        )
        sections.append(_section(f"comparison-{number}", comparison, found))
    data = joined(list(dict.fromkeys(section["data"] for section in sections)))
    return write_page(
        path,
        "evaluation.html",
        data=data,
        summary=summary(comparisons),
        sections=sections,
        identities=_identities(comparisons),
        provenance=[(printable(k), printable(str(v))) for k, v in provenance.items()],
        pictures=gallery.pictures,
        most_pictures=PICTURES,
        first_cards=FIRST_CARDS,
        colours=COLOURS,
        level=f"{SIGNIFICANCE:.0%}".replace("%", " %"),
    )


def _section(anchor: str, comparison: Comparison, patterns: list[Pattern]) -> dict[str, Any]:
    """One comparison, by the names that the template has for its parts."""
    prepared, protocol = comparison.prepared, comparison.prepared.protocol
    names = names_of(comparison)
    models = [model for pattern in patterns for card in pattern.cards for model in card["models"]]
    overlays = any(model["overlay"] is not None for model in models)
    return {
        "anchor": anchor,
        "data": data_name(comparison),
        "protocol": printable(protocol.name),
        "description": printable(protocol.description),
        "facts": protocol_facts(protocol),
        "verdict": verdict(comparison),
        "figures": _counts(comparison),
        "notes": [printable(note) for note in (*prepared.dataset.notes, *prepared.notes)],
        "unreadable": _unreadable(comparison),
        "names": names,
        "short": short_names(names),
        "cutoff": comparison.lead_cutoff,
        "trials": comparison.trial_words[1],
        "table": _table(comparison, names),
        "pairs": pair_rows(comparison),
        "plots": _plots(comparison, names),
        "maps": _maps(comparison, names),
        "patterns": patterns,
        "overlays": overlays,
        "strip": max((len(model["answers"]) for model in models), default=0) + overlays,
        "protocol_fingerprint": protocol.fingerprint,
        "data_fingerprint": prepared.data_fingerprint,
    }


def _table(comparison: Comparison, names: list[str]) -> dict[str, Any]:
    """A row for each model, marked where :attr:`Comparison.best` says so and nowhere else."""
    first = "a correct image among the first"
    recalls = {str(n): (f"R@{n}", f"{first} {n}") for n in comparison.cutoffs}
    if any(ONE_PERCENT in trial.measures.recall for trial in comparison.trials):
        recalls[ONE_PERCENT] = "R@1 %", f"{first} hundredth of the index"
    with_errors = any(trial.outcomes.errors_m is not None for trial in comparison.trials)
    groups = {"Recall": list(recalls.values()), "First answers": _ANSWERS}
    groups |= {"Error (m)": _ERRORS} if with_errors else {}
    groups["Descriptor and time"] = _COST
    rows = []
    for number, (name, trial) in enumerate(zip(names, comparison.trials, strict=True)):
        measures, evaluation = trial.measures, trial.evaluation
        cells = []
        for n in recalls:
            best = comparison.best == number and n == str(comparison.lead_cutoff)
            found = measures.recall.get(n)
            text, small = (share(found.value), interval(found)) if found else (UNKNOWN, "")
            cells.append({"text": text, "small": small, "best": best})
        answers = measures.average_precision, measures.auc, measures.recall_at_full_precision
        errors = (measures.median_error_m, measures.p90_error_m) if with_errors else ()
        texts = [
            *map(share, answers),
            *map(metres, errors),
            f"{evaluation.descriptor_dim:,}",
            f"{evaluation.descriptor_bytes:,}",
            milliseconds(evaluation.seconds.get("describe", 0.0), evaluation.described),
            milliseconds(evaluation.seconds.get("search", 0.0), len(trial.outcomes)),
        ]
        plain = [{"text": text, "small": "", "best": False} for text in texts]
        rows.append({"name": name, "cells": [*cells, *plain]})
    return {
        "groups": [(name, len(columns)) for name, columns in groups.items()],
        "columns": [
            {"name": name, "title": title, "group": i == 0}
            for columns in groups.values()
            for i, (name, title) in enumerate(columns)
        ],
        "rows": rows,
        "marked": comparison.best is not None,
    }


def _plots(comparison: Comparison, names: list[str]) -> list[Plot]:
    """The plots of a comparison, those first that tell most."""
    trials = dict(zip(names, comparison.trials, strict=True))
    curves, precisions, errors = {}, {}, {}
    for name, trial in trials.items():
        outcomes = trial.outcomes
        limits = np.arange(1, min(DEEPEST, outcomes.depth) + 1)
        found = share_intervals(outcomes.ranks[:, None] < limits, outcomes.places)
        ends = np.array([(one.value, one.low, one.high) for one in found]).T
        curves[name] = (ends[0], ends[1], ends[2])
        curve = precision_recall(outcomes.confidences, outcomes.correct)
        precisions[name] = (curve.recall, curve.precision)
        if outcomes.errors_m is not None and not np.isnan(outcomes.errors_m).all():
            errors[name] = outcomes.errors_m
    n = str(comparison.lead_cutoff)
    plots = [recall_plot(curves), precision_recall_plot(precisions)]
    plots.append(
        interval_plot(
            f"R@{n} with 95 % intervals",
            "How far each figure would move with other places of the same kind.",
            {name: {"": trial.measures.recall[n]} for name, trial in trials.items()},
        )
    )
    if errors:
        rule = comparison.prepared.protocol.positives
        if isinstance(rule, Radius):
            radius, text = rule.radius_m, "Left of the line are right answers."
        else:
            radius = comparison.prepared.dataset.radius_m
            text = f"What is right depends on the rule ({rule.words}), not on the radius drawn."
        plots.append(error_plot(errors, radius, text))
    for label in dict.fromkeys(label for trial in trials.values() for label in trial.conditions):
        shares = {
            name: {
                f"{printable(word) or 'unknown'} ({measures.queries:,})": measures.recall[n]
                for word, measures in list(trial.conditions.get(label, {}).items())[:_CONDITIONS]
            }
            for name, trial in trials.items()
        }
        text = "With 95 % intervals, and how many queries there are: few make wide ones."
        plots.append(interval_plot(f"R@{n} by {printable(label)}", text, shares))
    return plots


def _maps(comparison: Comparison, names: list[str]) -> list[Plot]:
    prepared = comparison.prepared
    images = prepared.dataset.queries
    database, queries = prepared.dataset.database.positions, images.positions
    if database is None or queries is None:
        return []
    found = [
        outcome_map(
            name,
            database,
            queries[prepared.queries],
            trial.evaluation.matches.indices[:, 0],
            trial.outcomes.correct,
            [printable(images.names[i]) for i in prepared.queries.tolist()],
        )
        for name, trial in zip(names, comparison.trials, strict=True)
    ]
    return [replace(one, style=i) for i, one in enumerate(found) if one is not None]


def _unreadable(comparison: Comparison) -> list[str]:
    """What was wrong with each image, once for all models; of many the first."""
    found = dict.fromkeys(
        printable(text) for trial in comparison.trials for text in trial.evaluation.unreadable
    )
    more = len(found) - _MOST_UNREADABLE
    return list(found)[:_MOST_UNREADABLE] + ([f"and {more:,} more"] if more > 0 else [])


def _counts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was asked of what; images that one model could not read may be another's answers."""
    recalls = [trial.evaluation.recalls for trial in comparison.trials]
    first, without = recalls[0], recalls[0].queries_without_positives
    places = comparison.trials[0].measures.places if comparison.trial_words[0] == "place" else 0
    unread = max(one.unreadable_queries for one in recalls)
    unread_database = max(one.unreadable_database for one in recalls)
    counts = [
        (first.num_database, "database image", "database images"),
        (first.num_queries, "query", "queries"),
        (places, "different place", "different places"),
        (without, "query without a correct image", "queries without a correct image"),
        (unread, "unreadable query", "unreadable queries"),
        (unread_database, "unreadable database image", "unreadable database images"),
    ]
    return [
        (f"{count:,}", one if count == 1 else many)
        for i, (count, one, many) in enumerate(counts)
        if count or i < 2
    ]


def _identities(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Every model of the page once, though it took part in several comparisons."""
    found: list[dict[str, Any]] = []
    for comparison in comparisons:
        for name, trial in zip(names_of(comparison), comparison.trials, strict=True):
            settings = trial.competitor.settings or {}
            identity = {
                "name": name,
                "source": printable(trial.competitor.source),
                "fingerprint": trial.competitor.fingerprint,
                "settings": [(printable(key), _setting(value)) for key, value in settings.items()],
            }
            if identity not in found:
                found.append(identity)
    return found


def _setting(value: object) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False, default=str))
