"""One query of an evaluation with each model's first answers, as a page shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from netvlad.evaluation.comparison import Comparison
from netvlad.reports.chart_style import SERIES
from netvlad.reports.pictures import Picture, small_picture
from netvlad.reports.place_map import distance_text
from netvlad.reports.printable import printable
from netvlad.types import counted

Overlay = Callable[[Path, Path], Picture | None]
"""From the files of a query and of its first answer to a picture of what in the query speaks for
that answer; None where there is none."""

_SIDE = 196
_MOST_LABELS = 6


@dataclass(frozen=True)
class AnswerPicture:
    """One database image that a model returned.

    Attributes:
        rank: from 1.
        picture: the image.
        name: its name in the data set.
        correct: whether it is a right answer.
        distance: from the query; empty where positions are unknown.
        similarity: of the descriptors.
    """

    rank: int
    picture: Picture
    name: str
    correct: bool
    distance: str
    similarity: str


@dataclass(frozen=True)
class ModelAnswers:
    """One model's answers to one query.

    Attributes:
        name: of the model.
        style: the number of its colour, from 0.
        right: whether the first answer is right.
        verdict: the rank of the first correct answer, in words.
        overlay: what in the query speaks for the first answer; None without such a picture.
        answers: best first.
    """

    name: str
    style: int
    right: bool
    verdict: str
    overlay: Picture | None
    answers: tuple[AnswerPicture, ...]


@dataclass(frozen=True)
class QueryCard:
    """One query.

    Attributes:
        name: of its file.
        labels: what is known about it.
        positives: how many correct images there are, in words.
        picture: its photo.
        models: each model's answers.
    """

    name: str
    labels: tuple[str, ...]
    positives: str
    picture: Picture
    models: tuple[ModelAnswers, ...]


class CardPainter:
    """Makes cards; each file is read once, however often it is shown."""

    def __init__(
        self,
        comparison: Comparison,
        names: Sequence[str],
        overlays: Sequence[Overlay | None],
        top: int,
    ) -> None:
        """Make cards of one comparison.

        Args:
            comparison: the models and their answers.
            names: of the models, each different.
            overlays: what speaks for a first answer, for each model that can tell.
            top: how many answers of each model a card shows.
        """
        self._comparison = comparison
        self._names = names
        self._overlays = overlays
        self._top = top
        self._read: dict[Path, Picture] = {}

    def card(self, row: int) -> QueryCard:
        """The card of one of the queries that count."""
        prepared = self._comparison.prepared
        query = int(prepared.queries[row])
        images = prepared.dataset.queries
        labels = [
            f"{printable(name)}: {printable(str(words[query]))}"
            for name, words in images.labels.items()
            if words[query]
        ]
        right = prepared.positives.row(row)
        return QueryCard(
            name=printable(images.names[query]),
            labels=tuple(labels[:_MOST_LABELS]),
            positives=counted(len(right), "correct images"),
            picture=self._picture(images.path(query)),
            models=tuple(
                self._answers(number, row, query, set(right.tolist()))
                for number in range(len(self._names))
            ),
        )

    def _answers(self, number: int, row: int, query: int, right: set[int]) -> ModelAnswers:
        trial = self._comparison.trials[number]
        matches = trial.evaluation.matches
        rank, depth = int(trial.outcomes.ranks[row]), trial.outcomes.depth
        found = matches.indices[row, : self._top].tolist()
        answered = found[0] >= 0
        if rank < depth:
            told = "right" if rank == 0 else f"first correct image at rank {rank + 1}"
        else:
            told = f"no correct image among the first {depth}" if answered else "no answer"
        return ModelAnswers(
            name=self._names[number],
            style=number % SERIES,
            right=rank == 0,
            verdict=told,
            overlay=self._overlay(number, query, found[0]),
            answers=tuple(
                self._answer(place, index, query, index in right, float(squared))
                for place, (index, squared) in enumerate(
                    zip(found, matches.squared_distances[row], strict=False), 1
                )
                if index >= 0
            ),
        )

    def _overlay(self, number: int, query: int, answer: int) -> Picture | None:
        overlay, dataset = self._overlays[number], self._comparison.prepared.dataset
        if overlay is None or answer < 0:
            return None
        return overlay(dataset.queries.path(query), dataset.database.path(answer))

    def _answer(
        self, rank: int, index: int, query: int, correct: bool, squared: float
    ) -> AnswerPicture:
        database = self._comparison.prepared.dataset.database
        return AnswerPicture(
            rank=rank,
            picture=self._picture(database.path(index)),
            name=printable(database.names[index]),
            correct=correct,
            distance=self._distance(index, query),
            # The cosine of unit vectors, as QueryOutcomes.confidences.
            similarity=f"{1 - squared / 2:.3f}",
        )

    def _distance(self, index: int, query: int) -> str:
        dataset = self._comparison.prepared.dataset
        own, theirs = dataset.queries.positions, dataset.database.positions
        if own is None or theirs is None:
            return ""
        away = float(np.linalg.norm(own[query] - theirs[index]))
        return distance_text(away) if np.isfinite(away) else "position unknown"

    def _picture(self, path: Path) -> Picture:
        if path not in self._read:
            picture = small_picture(path, _SIDE)
            self._read[path] = replace(picture, reason=printable(picture.reason))
        return self._read[path]
