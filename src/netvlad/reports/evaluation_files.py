"""What ``netvlad evaluate`` writes beside its page, for programs, spreadsheets and papers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netvlad.errors import DataError
from netvlad.evaluation.comparison import Comparison, Entry
from netvlad.evaluation.evaluate import Evaluation
from netvlad.reports.evaluation_csv import write_queries_csv, write_results_csv
from netvlad.reports.evaluation_latex import latex_table
from netvlad.storage import write_json, written_beside

RESULTS_JSON = "results.json"
RESULTS_CSV = "results.csv"
QUERIES_CSV = "queries.csv"
TABLE_TEX = "table.tex"


def write_results(
    folder: Path, contests: Sequence[Comparison], provenance: Mapping[str, str]
) -> list[Path]:
    """Write all figures, the outcome of every query, and a table for a paper.

    Each file is whole or absent; an older one of its name is replaced. All of them are UTF-8. A
    file name that is not keeps its odd bytes as ``\\udcNN``, where NN is the byte in hexadecimal.

    Args:
        folder: made if need be.
        contests: a data set under a protocol each.
        provenance: what is needed to repeat them: command, versions, date.

    Returns:
        ``results.json``, ``results.csv``, ``queries.csv`` and ``table.tex`` in the folder.

    Raises:
        DataError: there is no contest.
        StorageError: a file cannot be written.
    """
    if not contests:
        raise DataError(f"{folder}: there is nothing to write; evaluate at least one data set")
    content = contests_to_json(contests, provenance)
    paths = [folder / name for name in (RESULTS_JSON, RESULTS_CSV, QUERIES_CSV, TABLE_TEX)]
    write_json(paths[0], content)
    with written_beside(paths[1]) as temporary:
        write_results_csv(temporary, content)
    with written_beside(paths[2]) as temporary:
        write_queries_csv(temporary, contests)
    with written_beside(paths[3]) as temporary:
        temporary.write_text(latex_table(contests, provenance), encoding="utf-8")
    return paths


def contests_to_json(
    contests: Sequence[Comparison], provenance: Mapping[str, str]
) -> dict[str, Any]:
    """All figures as strict JSON types.

    What is no finite number is null: an error that is unknown, or infinite because queries have no
    answer. ``best`` marks the model that is beyond doubt the best, if one is
    (:attr:`netvlad.evaluation.comparison.Comparison.best`).

    Args:
        contests: a data set under a protocol each.
        provenance: what is needed to repeat them.
    """
    content: dict[str, Any] = _strict(
        {"provenance": provenance, "contests": [_contest(one) for one in contests]}
    )
    return content


def _contest(contest: Comparison) -> dict[str, Any]:
    prepared = contest.prepared
    return {
        "dataset": contest.dataset_name,
        "layout": prepared.dataset.name,
        "split": prepared.dataset.split,
        "data_fingerprint": prepared.data_fingerprint,
        "protocol": prepared.protocol.to_json(),
        "num_queries": len(prepared.queries),
        "num_database": len(prepared.database),
        "queries_without_positives": int((prepared.positives.counts() == 0).sum()),
        "notes": [*prepared.dataset.notes, *prepared.notes],
        "models": [_model(trial, contest.best == i) for i, trial in enumerate(contest.trials)],
        "comparisons": [
            {
                "a": contest.trials[a].competitor.name,
                "b": contest.trials[b].competitor.name,
                "cutoff": cutoff,
                "trials": test.trials,
                "a_better": test.a_better,
                "b_better": test.b_better,
                "p_value": test.p_value,
            }
            for cutoff in contest.cutoffs
            for a, b, test in contest.pairs(cutoff)
        ],
    }


def _model(trial: Entry, best: bool) -> dict[str, Any]:
    competitor, evaluation = trial.competitor, trial.evaluation
    return {
        "name": competitor.name,
        "source": competitor.source,
        "fingerprint": competitor.fingerprint,
        "settings": competitor.settings or {},
        "measures": trial.measures.to_json(),
        "conditions": {
            label: {word: measures.to_json() for word, measures in words.items()}
            for label, words in trial.conditions.items()
        },
        "descriptor_dim": evaluation.descriptor_dim,
        "descriptor_bytes": evaluation.descriptor_bytes,
        "seconds": evaluation.seconds,
        **_milliseconds(evaluation),
        "unreadable": evaluation.unreadable,
        "unreadable_queries": evaluation.recalls.unreadable_queries,
        "unreadable_database": evaluation.recalls.unreadable_database,
        "best": best,
    }


def _milliseconds(evaluation: Evaluation) -> dict[str, float | None]:
    """Wall time for an image and for a query; None for what was not done."""
    described, asked = evaluation.described, evaluation.recalls.num_queries
    return {
        "ms_per_image_described": (
            1000 * evaluation.seconds["describe"] / described if described else None
        ),
        "ms_per_query_searched": 1000 * evaluation.seconds["search"] / asked,
    }


def _strict(value: Any) -> Any:
    """Lists and dictionaries without NaN, infinities and what UTF-8 cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_strict(str(key)): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
