"""Queries with each model's first answers, grouped by which of the models were right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.evaluation.comparison import Comparison
from netvlad.reports.evaluation_cards import CardPainter, Overlay, QueryCard
from netvlad.reports.evaluation_words import joined, names_of
from netvlad.reports.printable import printable
from netvlad.types import Progress, Reporter, counted, silent

CARDS = 4
"""At most so many queries of a pattern."""

PATTERNS = 8
"""At most so many patterns."""

TOP = 5
"""So many answers of each model; three where there would be hardly a card otherwise."""

_TOP_IF_NARROW = 3
_FEW_CARDS = 6


@dataclass(frozen=True, eq=False)
class Pattern:
    """The queries at which the same models were right.

    Attributes:
        right: for each model whether its first answer was right.
        queries: (n,) ascending; places in ``PreparedEvaluation.queries``.
    """

    right: tuple[bool, ...]
    queries: NDArray[np.int64]


@dataclass(frozen=True)
class PatternCards:
    """A pattern and some of its queries.

    Attributes:
        title: which models were right.
        text: how many queries, and how many are shown.
        cards: the queries shown.
    """

    title: str
    text: str
    cards: tuple[QueryCard, ...]


def patterns_of(hits: NDArray[np.bool_]) -> list[Pattern]:
    """The queries by which models were right: those first where models differ, most queries first.

    Then come those where all are wrong, and those where all are right. Of many patterns the
    rarest in which models differ are left out; :data:`PATTERNS` are kept.

    Args:
        hits: (M, Q) whether the first answer of each model is right.
    """
    found, which = np.unique(hits.T, axis=0, return_inverse=True)
    which = which.reshape(-1)
    patterns = [
        Pattern(tuple(right), np.flatnonzero(which == number))
        for number, right in enumerate(found.tolist())
    ]
    differing = [p for p in patterns if len(set(p.right)) > 1]
    differing.sort(key=lambda p: (-len(p.queries), p.right))
    alike = [p for p in patterns if len(set(p.right)) == 1]
    alike.sort(key=lambda p: p.right)
    return differing[: PATTERNS - len(alike)] + alike


def pattern_title(right: Sequence[bool], names: Sequence[str]) -> str:
    """Which models were right, in words."""
    if len(names) == 1:
        return "Right" if right[0] else "Wrong"
    if len(set(right)) == 1:
        every = "both" if len(names) == 2 else "all"
        return f"Right in {every}" if right[0] else f"Wrong in {every}"
    good = joined([name for name, hit in zip(names, right, strict=True) if hit])
    bad = joined([name for name, hit in zip(names, right, strict=True) if not hit])
    return f"Right in {good}, wrong in {bad}"


def gallery(
    comparison: Comparison,
    *,
    pictures: int,
    overlays: Mapping[str, Overlay] | None = None,
    report: Reporter = silent,
) -> list[PatternCards]:
    """The gallery of one comparison; the queries of a pattern are taken at even distances.

    Args:
        comparison: the models and their answers.
        pictures: at most so many are shown.
        overlays: what in a query speaks for its first answer, by the name of the competitor.
        report: receives the progress.

    Returns:
        the patterns that have a card; none when there is no room for a single one.
    """
    names = names_of(comparison)
    shown = [(overlays or {}).get(trial.competitor.name) for trial in comparison.trials]
    patterns = patterns_of(np.stack([trial.outcomes.correct for trial in comparison.trials]))
    top, room = _room(pictures, len(names), sum(overlay is not None for overlay in shown))
    chosen = _chosen(comparison, patterns, room)
    painter = CardPainter(comparison, names, shown, top)
    total, done = sum(len(rows) for rows in chosen), 0
    stage = f"Reading pictures of {printable(comparison.title)}"
    found = []
    for pattern, rows in zip(patterns, chosen, strict=True):
        cards = []
        for row in rows.tolist():
            report(Progress(stage, done, total, "queries"))
            cards.append(painter.card(row))
            done += 1
        if cards:
            text = _text(comparison, pattern, len(cards))
            found.append(PatternCards(pattern_title(pattern.right, names), text, tuple(cards)))
    report(Progress(stage, done, total, "queries"))
    return found


def _room(pictures: int, models: int, overlays: int) -> tuple[int, int]:
    """How many answers of a model a card shows, and for how many cards there is room."""
    for top in (TOP, _TOP_IF_NARROW):
        cards = pictures // (1 + overlays + models * top)
        if cards >= _FEW_CARDS:
            break
    return top, cards


def _chosen(
    comparison: Comparison, patterns: Sequence[Pattern], room: int
) -> list[NDArray[np.int64]]:
    """The queries of each pattern that get a card: each pattern in turn, while there is room."""
    has_positive = comparison.prepared.positives.counts() > 0
    # Little is to be seen in a query that no model could have got right.
    possible = [p.queries[has_positive[p.queries]] for p in patterns]
    rows = [some if len(some) else p.queries for some, p in zip(possible, patterns, strict=True)]
    counts = [0] * len(patterns)
    for _ in range(CARDS):
        for i in range(len(patterns)):
            if sum(counts) < room and counts[i] < len(rows[i]):
                counts[i] += 1
    return [some[_spread(len(some), count)] for some, count in zip(rows, counts, strict=True)]


def _spread(length: int, count: int) -> NDArray[np.int64]:
    """``count`` of ``length`` numbers: the middles of as many equal parts."""
    return ((np.arange(count) + 0.5) * length / max(count, 1)).astype(np.int64)


def _text(comparison: Comparison, pattern: Pattern, cards: int) -> str:
    total = len(comparison.prepared.queries)
    number = len(pattern.queries)
    text = f"{counted(number, 'queries')} of {total:,}"
    without = int((comparison.prepared.positives.counts()[pattern.queries] == 0).sum())
    if without:
        text += f", {without:,} of them without any correct image"
    if cards < number:
        text += f"; {cards} shown, at even distances"
    return text + "."
