"""The figures of evaluations, and the outcome of each query, as tables of plain numbers."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.evaluation.comparison import Comparison, Entry

QUERY_COLUMNS = (
    "dataset",
    "split",
    "protocol",
    "model",
    "query",
    "rank",
    "correct",
    "answer",
    "similarity",
    "error_m",
    "num_positives",
    "place",
)
"""``rank`` of the first correct answer, from 1, empty where none of the answers is; ``correct``
whether the first answer is (0 or 1); ``answer`` and ``similarity`` of the first answer, empty
without one; ``error_m`` metres from the query to it, empty where unknown; ``place`` a number that
queries of one place share."""

_ROWS_AT_ONCE = 4096
_COMPARISON_COLUMNS = (
    "num_queries",
    "num_database",
    "queries_without_positives",
    "data_fingerprint",
)
_MODEL_COLUMNS = (
    "source",
    "fingerprint",
    "unreadable_queries",
    "unreadable_database",
    "descriptor_dim",
    "descriptor_bytes",
    "ms_per_image_described",
    "ms_per_query_searched",
)


def write_results_csv(path: Path, content: dict[str, Any]) -> None:
    """A row for each data set, protocol and model.

    What is not known of a model, and an error that is infinite because queries have no answer, is
    empty. There are three columns for each N of recall: ``recall@1``, and the ends of its interval
    ``recall@1_low`` and ``recall@1_high``.

    Args:
        path: the file.
        content: what :func:`netvlad.evaluation.comparison.comparisons_to_json` gives.
    """
    rows = list(_result_rows(content))
    # Models differ in their columns: answers may be too few for recall@1 %.
    order = {name: None for row in sorted(rows, key=len, reverse=True) for name in row}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(order), restval="")
        table.writeheader()
        table.writerows(rows)


def _result_rows(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for comparison in content["comparisons"]:
        for model in comparison["models"]:
            measures = dict(model["measures"])
            recall = measures.pop("recall")
            del measures["queries"]  # num_queries
            yield {
                "dataset": comparison["dataset"],
                "split": comparison["split"],
                "protocol": comparison["protocol"]["name"],
                "model": model["name"],
                **{name: comparison[name] for name in _COMPARISON_COLUMNS},
                "protocol_fingerprint": comparison["protocol"]["fingerprint"],
                **{
                    f"recall@{n}{end}": interval[key]
                    for n, interval in recall.items()
                    for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
                },
                **measures,
                **{name: model[name] for name in _MODEL_COLUMNS},
                **{f"seconds_{stage}": value for stage, value in model["seconds"].items()},
            }


def write_queries_csv(path: Path, comparisons: Sequence[Comparison]) -> None:
    """A row for each data set, protocol, model and query, with :data:`QUERY_COLUMNS`.

    A column more for each label that queries of any comparison have. A label called like another
    column has ``label_`` before its name. Rows are written as they are made: the table is never in
    memory.

    Args:
        path: the file. Bytes of file names that are not UTF-8 are written as ``\\udcNN``, NN the
            byte in hexadecimal.
        comparisons: a data set under a protocol each.
    """
    labels = list(
        dict.fromkeys(
            label for one in comparisons for trial in one.trials for label in trial.outcomes.labels
        )
    )
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        # Lines end in CR LF as RFC 4180 has it, which makes the writer quote both in names.
        table = csv.writer(file)
        table.writerow([*QUERY_COLUMNS, *_label_columns(labels)])
        for comparison in comparisons:
            counts = comparison.prepared.positives.counts()
            for trial in comparison.trials:
                for start in range(0, len(trial.outcomes), _ROWS_AT_ONCE):
                    part = slice(start, start + _ROWS_AT_ONCE)
                    table.writerows(_query_rows(comparison, trial, part, counts, labels))


def _label_columns(labels: Sequence[str]) -> list[str]:
    taken = {*QUERY_COLUMNS, *labels}
    columns = []
    for label in labels:
        column = label
        if label in QUERY_COLUMNS:
            while column in taken:
                column = f"label_{column}"
            taken.add(column)
        columns.append(column)
    return columns


def _query_rows(
    comparison: Comparison,
    trial: Entry,
    part: slice,
    counts: NDArray[np.int64],
    labels: Sequence[str],
) -> Iterator[list[object]]:
    """Some rows of one model; ``counts`` (Q,) are the positives of each query."""
    prepared, outcomes = comparison.prepared, trial.outcomes
    dataset = prepared.dataset
    rows = prepared.queries[part].tolist()
    first = trial.evaluation.matches.indices[part, 0].tolist()
    ranks = outcomes.ranks[part].tolist()
    errors = outcomes.errors_m
    columns = (
        _numbers(outcomes.confidences[part]),
        [""] * len(rows) if errors is None else _numbers(errors[part], digits=3),
        counts[part].tolist(),
        outcomes.places[part].tolist(),
        *(
            outcomes.labels[label][part].tolist() if label in outcomes.labels else [""] * len(rows)
            for label in labels
        ),
    )
    head = [comparison.dataset_name, dataset.split, prepared.protocol.name, trial.competitor.name]
    for row, answer, rank, *others in zip(rows, first, ranks, *columns, strict=True):
        yield [
            *head,
            dataset.queries.names[row],
            rank + 1 if rank < outcomes.depth else "",
            int(rank == 0),
            dataset.database.names[answer] if answer >= 0 else "",
            *others,
        ]


def _numbers(values: NDArray[np.float64], digits: int | None = None) -> list[float | str]:
    """The numbers of (n,) values, rounded if so wanted, and nothing for what is not finite."""
    return [
        (value if digits is None else round(value, digits)) if known else ""
        for value, known in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]
