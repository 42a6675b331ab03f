"""Recalls as a LaTeX table, the way papers print them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from netvlad.evaluation.comparison import Comparison
from netvlad.types import counted

PAPER_CUTOFFS = (1, 5, 10)

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\`{}",
    # After \\ or \midrule these begin an option; the quotation mark is babel's in some languages.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    '"': r"{\char34}",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "ß": r"{\ss}",
    "ø": r"{\o}",
    "Ø": r"{\O}",
    "æ": r"{\ae}",
    "Æ": r"{\AE}",
    "œ": r"{\oe}",
    "Œ": r"{\OE}",
    "ł": r"{\l}",
    "Ł": r"{\L}",
}
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
    split_of = [_split(comparison) for comparison in comparisons]
    for comparison, split, shown in zip(comparisons, split_of, cutoffs, strict=True):
        # A data set under several protocols needs their names to tell its columns apart.
        several = split_of.count(split) > 1
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
            for n in cutoffs[number]:
                part = trials.get(number)
                cells.append("--" if part is None else _cell(comparison, part, n))
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(comparison: Comparison, trial: int, cutoff: int) -> str:
    value = f"{100 * comparison.trials[trial].measures.recall[str(cutoff)].value:.1f}"
    best = comparison.best == trial and cutoff == comparison.lead_cutoff
    return rf"\textbf{{{value}}}" if best else value


def _caption(comparisons: Sequence[Comparison]) -> str:
    parts = [
        f"{_split(comparison)}: protocol {comparison.prepared.protocol.name}, "
        f"{counted(len(comparison.prepared.queries), 'queries')}, "
        f"{counted(len(comparison.prepared.database), 'database images')}"
        for comparison in comparisons
    ]
    words = f"Recall@N in per cent. {'; '.join(parts)}."
    if any(len(comparison.trials) > 1 for comparison in comparisons):
        words += (
            " Bold: better than each other model in exact paired tests over places, at a level of "
            "5 % for all of them together."
        )
    return escaped(words)


def _split(comparison: Comparison) -> str:
    return comparison.data


def _one_line(text: str) -> str:
    # A line break would end the comment.
    printable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return " ".join(printable.split())
