"""Queries with each model's first answers, grouped by which of the models were right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.evaluation.comparison import Comparison
from netvlad.reports.evaluation_words import distance, joined
from netvlad.reports.pictures import Picture, small_picture
from netvlad.reports.printable import printable
from netvlad.types import Progress, Reporter, counted, silent

FIRST_CARDS = 4  # so many queries of a pattern are shown at first; a button shows the others
PATTERNS = 8  # at most
TOP, _TOP_IF_NARROW = 5, 3  # answers of each model; fewer where there would be hardly a card
_FEW_CARDS = 6
_SIDE = 280  # pixels: enlarged, a picture takes half of a screen
_MOST_LABELS = 6

Overlay = Callable[[Path, Path], Picture | None]
"""From the files of a query and of its first answer to a picture of what in the query speaks for
that answer; None where there is none."""


@dataclass(frozen=True)
class Pattern:
    """The queries at which the same models were right.
    Attributes:
        right: for each model whether its first answer was right.
        queries: (n,) ascending; places in ``PreparedEvaluation.queries``.
        title: which models were right, in words.
        text: how many queries, and how many are shown.
        cards: the queries shown, by the names that the template has for their parts.
    """

    right: tuple[bool, ...]
    queries: NDArray[np.int64]
    title: str = ""
    text: str = ""
    cards: tuple[dict[str, Any], ...] = ()


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
    patterns.sort(key=lambda p: (-len(p.queries), p.right))
    differing = [p for p in patterns if len(set(p.right)) > 1]
    alike = sorted((p for p in patterns if len(set(p.right)) == 1), key=lambda p: p.right)
    return differing[: PATTERNS - len(alike)] + alike


def pattern_title(right: Sequence[bool], names: Sequence[str]) -> str:
    """Which models were right, in words."""
    if len(names) == 1:
        return "Right" if right[0] else "Wrong"
    if len(set(right)) == 1:
        every = "both" if len(names) == 2 else "all"
        return f"Right in {every}" if right[0] else f"Wrong in {every}"
    good, bad = (
        joined([name for name, hit in zip(names, right, strict=True) if hit == wanted])
        for wanted in (True, False)
    )
    return f"Right in {good}, wrong in {bad}"


class Gallery:
    """Cards of queries, and the pictures that they show; each file is read once."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self._numbers: dict[Path, int] = {}

    def patterns(
        self,
        comparison: Comparison,
        names: Sequence[str],
        *,
        room: int,
        overlays: Mapping[str, Overlay] | None = None,
        report: Reporter = silent,
    ) -> list[Pattern]:
        """The patterns of one comparison, with as many of their queries as there is room for.

        A pattern without a card is left out; there is none when there is no room for a card.

        Args:
            comparison: the models and their answers.
            names: of the models, each different.
            room: at most so many pictures are added.
            overlays: what in a query speaks for its first answer, by the name of the competitor;
                for the queries that are shown at first.
            report: receives the progress.
        """
        shown = [(overlays or {}).get(trial.competitor.name) for trial in comparison.trials]
        patterns = patterns_of(np.stack([trial.outcomes.correct for trial in comparison.trials]))
        glowing = sum(overlay is not None for overlay in shown)
        for top in (TOP, _TOP_IF_NARROW):
            if room // (1 + glowing + len(names) * top) >= _FEW_CARDS:
                break
        chosen = _chosen(comparison, patterns, top, room, glowing)
        total, done = sum(map(len, chosen)), 0
        stage = f"Reading pictures of {printable(comparison.title)}"
        found = []
        for pattern, rows in zip(patterns, chosen, strict=True):
            cards: list[dict[str, Any]] = []
            for row in rows:
                report(Progress(stage, done, total, "queries"))
                glows = shown if len(cards) < FIRST_CARDS else [None] * len(shown)
                cards.append(self._card(comparison, row, top, glows))
                done += 1
            if cards:
                title = pattern_title(pattern.right, names)
                text = _text(comparison, pattern, len(cards))
                found.append(replace(pattern, title=title, text=text, cards=tuple(cards)))
        report(Progress(stage, done, total, "queries"))
        return found

    def _card(
        self, comparison: Comparison, row: int, top: int, overlays: Sequence[Overlay | None]
    ) -> dict[str, Any]:
        prepared = comparison.prepared
        query = int(prepared.queries[row])
        images = prepared.dataset.queries
        labels = [
            f"{printable(name)}: {printable(str(words[query]))}"
            for name, words in images.labels.items()
            if words[query]
        ]
        right = set(prepared.positives.row(row).tolist())
        return {
            "row": row,
            "name": printable(images.names[query]),
            "labels": labels[:_MOST_LABELS],
            "positives": counted(len(right), "correct images"),
            "picture": self._file(images.path(query)),
            "models": [
                self._answers(comparison, number, row, top, right, overlay)
                for number, overlay in enumerate(overlays)
            ],
        }

    def _answers(
        self,
        comparison: Comparison,
        number: int,
        row: int,
        top: int,
        right: set[int],
        overlay: Overlay | None,
    ) -> dict[str, Any]:
        trial, dataset = comparison.trials[number], comparison.prepared.dataset
        query = int(comparison.prepared.queries[row])
        matches = trial.evaluation.matches
        rank, depth = int(trial.outcomes.ranks[row]), trial.outcomes.depth
        found = matches.indices[row, :top].tolist()
        if rank < depth:
            told = "right" if rank == 0 else f"first correct image at rank {rank + 1}"
        else:
            told = f"no correct image among the first {depth}" if found[0] >= 0 else "no answer"
        glow = None
        if overlay is not None and found[0] >= 0:
            glow = overlay(dataset.queries.path(query), dataset.database.path(found[0]))
        squared = matches.squared_distances[row, :top].tolist()
        return {
            "right": rank == 0,
            "verdict": told,
            "overlay": None if glow is None else self._number(glow),
            "answers": [
                {
                    "rank": place,
                    "picture": self._file(dataset.database.path(index)),
                    "name": printable(dataset.database.names[index]),
                    "correct": index in right,
                    "distance": _distance(comparison, query, index),
                    # The cosine of unit vectors, as QueryOutcomes.confidences.
                    "similarity": f"{1 - away / 2:.3f}",
                }
                for place, (index, away) in enumerate(zip(found, squared, strict=True), 1)
                if index >= 0
            ],
        }

    def _file(self, path: Path) -> int:
        if path not in self._numbers:
            self._numbers[path] = self._number(small_picture(path, _SIDE))
        return self._numbers[path]

    def _number(self, picture: Picture) -> int:
        self.pictures.append(replace(picture, reason=printable(picture.reason)))
        return len(self.pictures) - 1


def _chosen(
    comparison: Comparison, patterns: Sequence[Pattern], top: int, room: int, glowing: int
) -> list[list[int]]:
    """The queries of each pattern that get a card: each pattern in turn, while there is room."""
    has_positive = comparison.prepared.positives.counts() > 0
    orders = []
    for pattern in patterns:
        # Little is to be seen in a query that no model could have got right: those come last.
        rows = pattern.queries[np.argsort(~has_positive[pattern.queries], kind="stable")]
        count = max(int(has_positive[rows].sum()), min(len(rows), FIRST_CARDS))
        first = rows[_middles(count, min(count, FIRST_CARDS))]
        orders.append([*first.tolist(), *rows[~np.isin(rows, first)].tolist()])
    chosen: list[list[int]] = [[] for _ in patterns]
    used: set[tuple[str, int]] = set()
    overlays = 0
    for turn in zip_longest(*orders):
        for number, row in enumerate(turn):
            if row is None:
                continue
            answers = {
                ("database", index)
                for trial in comparison.trials
                for index in trial.evaluation.matches.indices[row, :top].tolist()
                if index >= 0
            }
            more = used | answers | {("query", row)}
            glows = overlays + (glowing if len(chosen[number]) < FIRST_CARDS else 0)
            if len(more) + glows > room:
                return chosen
            used, overlays = more, glows
            chosen[number].append(row)
    return chosen


def _middles(length: int, count: int) -> NDArray[np.int64]:
    """``count`` of ``length`` numbers: the middles of as many equal parts."""
    return ((np.arange(count) + 0.5) * length / max(count, 1)).astype(np.int64)


def _distance(comparison: Comparison, query: int, index: int) -> str:
    dataset = comparison.prepared.dataset
    own, theirs = dataset.queries.positions, dataset.database.positions
    if own is None or theirs is None:
        return ""
    away = float(np.linalg.norm(own[query] - theirs[index]))
    return distance(away) if np.isfinite(away) else "position unknown"


def _text(comparison: Comparison, pattern: Pattern, cards: int) -> str:
    total = len(comparison.prepared.queries)
    number = len(pattern.queries)
    text = f"{counted(number, 'queries')} of {total:,}"
    without = int((comparison.prepared.positives.counts()[pattern.queries] == 0).sum())
    if without:
        text += f", {without:,} of them without any correct image"
    if cards < number:
        text += f"; {cards:,} have room on this page, queries.csv has all"
    return text + "."
