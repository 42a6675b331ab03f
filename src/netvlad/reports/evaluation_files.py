"""What ``netvlad evaluate`` writes beside its page, for programs, spreadsheets and papers."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.evaluation.comparison import Comparison, Entry, comparisons_to_json
from netvlad.storage import write_json, written_beside
from netvlad.types import counted

QUERY_COLUMNS = (
    *("dataset", "split", "protocol", "model", "query", "rank", "correct", "answer"),
    *("similarity", "error_m", "num_positives", "place"),
)
"""``rank`` of the first correct answer, from 1, empty where none of the answers is; ``correct``
whether the first answer is (0 or 1); ``answer`` and ``similarity`` of the first answer, empty
without one; ``error_m`` metres from the query to it, empty where unknown; ``place`` a number that
queries of one place share."""

_ROWS_AT_ONCE = 4096
_COMPARISON_COLUMNS = (
    *("num_queries", "num_database", "queries_without_positives", "data_fingerprint"),
)
_MODEL_COLUMNS = (
    *("source", "fingerprint", "unreadable_queries", "unreadable_database"),
    *("descriptor_dim", "descriptor_bytes", "ms_per_image_described", "ms_per_query_searched"),
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
    outcomes = [trial.outcomes for one in comparisons for trial in one.trials]
    labels = list(dict.fromkeys(label for found in outcomes for label in found.labels))
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


PAPER_CUTOFFS = (1, 5, 10)

_COMMANDS = {
    **{character: f"\\{character}" for character in "{}&%$#_"},
    # After \\ or \midrule these begin an option.
    **{character: f"{{{character}}}" for character in "[]*"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\`{}",
    '"': r"{\char34}",  # the quotation mark is babel's in some languages
    "·": r"$\cdot$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
}
_LETTERS = zip("ßøØæÆœŒłŁ", ("ss", "o", "O", "ae", "AE", "oe", "OE", "l", "L"), strict=True)
_COMMANDS |= {letter: rf"{{\{name}}}" for letter, name in _LETTERS}
_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u0304\u0307", "`'^~\"=.", strict=True))
_ACCENTS |= dict(zip("\u030a\u030c\u0327\u0306\u030b", "rvcuH", strict=True))


def latex_table(comparisons: Sequence[Comparison], provenance: Mapping[str, str]) -> str:
    """A ``table`` environment: models as rows, recall@1, @5 and @10 of each data set as columns.

    Per cent with one decimal. A figure is bold where its model is beyond doubt the best
    (:attr:`netvlad.evaluation.comparison.Comparison.best`), so that a column may have none. Needs
    ``\\usepackage{booktabs}`` and nothing else; all of it but comments is ASCII.

    Args:
        comparisons: a data set under a protocol each, at least one.
        provenance: goes into comments.
    """
    cutoffs = [_shown(comparison) for comparison in comparisons]
    columns = " ".join("r" * len(shown) for shown in cutoffs)
    lines = [
        *(f"% {_one_line(f'{name}: {value}')}" for name, value in provenance.items()),
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_caption(comparisons)}}}",
        r"  \label{tab:recall}",
        rf"  \begin{{tabular}}{{l {columns}}}",
        r"    \toprule",
        *(f"    {line}" for line in _heads(comparisons, cutoffs)),
        r"    \midrule",
        *(f"    {line}" for line in _rows(comparisons, cutoffs)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as LaTeX prints it, whatever characters it has; what ASCII LaTeX cannot is ``?``."""
    # Two hyphens would be set as a dash.
    return re.sub("-(?=-)", "-{}", "".join(map(_command, unicodedata.normalize("NFC", text))))


def _command(character: str) -> str:
    if character in _COMMANDS:
        return _COMMANDS[character]
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    if character.isascii():
        return character
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return "?"


def _shown(comparison: Comparison) -> tuple[int, ...]:
    usual = tuple(n for n in PAPER_CUTOFFS if n in comparison.cutoffs)
    return usual or comparison.cutoffs[: len(PAPER_CUTOFFS)]


def _heads(comparisons: Sequence[Comparison], cutoffs: Sequence[tuple[int, ...]]) -> list[str]:
    titles, rules, start = [], [], 2
    splits = [comparison.data for comparison in comparisons]
    for comparison, split, shown in zip(comparisons, splits, cutoffs, strict=True):
        # A data set under several protocols needs their names to tell its columns apart.
        several = splits.count(split) > 1
        title = f"{split}, {comparison.prepared.protocol.name}" if several else split
        titles.append(rf" & \multicolumn{{{len(shown)}}}{{c}}{{{escaped(title)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + len(shown) - 1}}}")
        start += len(shown)
    names = "".join(f" & R@{n}" for shown in cutoffs for n in shown)
    return ["".join(titles).strip() + r" \\", " ".join(rules), rf"Model{names} \\"]


def _rows(comparisons: Sequence[Comparison], cutoffs: Sequence[tuple[int, ...]]) -> list[str]:
    """A row for each model, whatever number of the comparisons it took part in."""
    # Two models of one comparison may have one name; they are told apart by their order.
    found: dict[tuple[str, int], dict[int, int]] = {}
    for number, comparison in enumerate(comparisons):
        seen: Counter[str] = Counter()
        for i, trial in enumerate(comparison.trials):
            name = trial.competitor.name
            found.setdefault((name, seen[name]), {})[number] = i
            seen[name] += 1
    lines = []
    for (name, _), trials in found.items():
        cells = [escaped(name)]
        for number, comparison in enumerate(comparisons):
            cells += [_cell(comparison, trials.get(number), n) for n in cutoffs[number]]
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(comparison: Comparison, trial: int | None, cutoff: int) -> str:
    if trial is None:
        return "--"
    value = f"{100 * comparison.trials[trial].measures.recall[str(cutoff)].value:.1f}"
    best = comparison.best == trial and cutoff == comparison.lead_cutoff
    return rf"\textbf{{{value}}}" if best else value


def _caption(comparisons: Sequence[Comparison]) -> str:
    parts = [
        f"{comparison.data}: protocol {comparison.prepared.protocol.name}, "
        f"{counted(len(comparison.prepared.queries), 'queries')}, "
        f"{counted(len(comparison.prepared.database), 'database images')}"
        for comparison in comparisons
    ]
    words = f"Recall@N in per cent. {'; '.join(parts)}."
    if any(len(comparison.trials) > 1 for comparison in comparisons):
        words += " Bold: better than each other model in exact paired tests over places, "
        words += "at a level of 5 % for all of them together."
    return escaped(words)


def _one_line(text: str) -> str:
    # A line break would end the comment.
    printable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return " ".join(printable.split())


def write_results(
    folder: Path, comparisons: Sequence[Comparison], provenance: Mapping[str, str]
) -> list[Path]:
    """Write all figures, the outcome of every query, and a table for a paper.

    Each file is whole or absent; an older one of its name is replaced. All of them are UTF-8. A
    file name that is not keeps its odd bytes as ``\\udcNN``, where NN is the byte in hexadecimal.

    Args:
        folder: made if need be.
        comparisons: a data set under a protocol each.
        provenance: what is needed to repeat them: command, versions, date.

    Returns:
        ``results.json``, ``results.csv``, ``queries.csv`` and ``table.tex`` in the folder.

    Raises:
        DataError: there is no comparison.
        StorageError: a file cannot be written.
    """
    if not comparisons:
        raise DataError(f"{folder}: there is nothing to write; evaluate at least one data set")
    content = comparisons_to_json(comparisons, provenance)
    paths = [folder / name for name in ("results.json", "results.csv", "queries.csv", "table.tex")]
    write_json(paths[0], content)
    with written_beside(paths[1]) as temporary:
        write_results_csv(temporary, content)
    with written_beside(paths[2]) as temporary:
        write_queries_csv(temporary, comparisons)
    with written_beside(paths[3]) as temporary:
        temporary.write_text(latex_table(comparisons, provenance), encoding="utf-8")
    return paths
