"""Models that answered the same queries by the same rules, and which of them is better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.evaluation.applying import PreparedEvaluation
from netvlad.evaluation.comparing import PairedComparison, compare_paired
from netvlad.evaluation.evaluate import Evaluation
from netvlad.evaluation.measures import (
    Measures,
    QueryOutcomes,
    measure,
    measure_by,
    outcomes_of,
)
from netvlad.evaluation.recall import CUTOFFS

SIGNIFICANCE = 0.05
MOST_WORDS = 12
"""A label with more different words is no condition but a name."""


@dataclass(frozen=True)
class Competitor:
    """A model as a report names it.

    Attributes:
        name: for people.
        source: as it was typed: a run folder, a backbone, two files of descriptors.
        fingerprint: 16 hex digits for its weights and settings, or for the descriptors.
        settings: everything else that is needed to make it again, as JSON types.
    """

    name: str
    source: str = ""
    fingerprint: str = ""
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One model's part in a contest.

    Attributes:
        competitor: the model.
        evaluation: its answers and what they cost.
        outcomes: what became of each query.
        measures: its figures over all queries.
        conditions: its figures by label and word, such as ``["condition"]["night"]``.
    """

    competitor: Competitor
    evaluation: Evaluation
    outcomes: QueryOutcomes
    measures: Measures
    conditions: Mapping[str, Mapping[str, Measures]]


@dataclass(frozen=True, eq=False)
class Comparison:
    """All models under one protocol on one data set.

    Attributes:
        prepared: the data set, the protocol and what it made of it.
        trials: a model each, in the order given.
        cutoffs: the N of recall@N.
        called: what people call the data set, where that is not its layout's name.
    """

    prepared: PreparedEvaluation
    trials: tuple[Entry, ...]
    cutoffs: tuple[int, ...] = CUTOFFS
    called: str = ""

    @property
    def dataset_name(self) -> str:
        """What people call the data set."""
        return self.called or self.prepared.dataset.name

    @property
    def data(self) -> str:
        """Data set and split, for people."""
        return f"{self.dataset_name} {self.prepared.dataset.split}".strip()

    @property
    def title(self) -> str:
        """Data set, split and protocol, for people."""
        return f"{self.data} · {self.prepared.protocol.name}"

    @property
    def trial_words(self) -> tuple[str, str]:
        """What the paired tests count, one and many: queries where each shows another place."""
        outcomes = self.trials[0].outcomes
        if len(np.unique(outcomes.places)) == len(outcomes):
            return "query", "queries"
        return "place", "places"

    def compare(self, a: int, b: int, cutoff: int = 1) -> PairedComparison:
        """The exact paired test of recall@``cutoff`` between trials ``a`` and ``b``, over places.

        Queries of one place are right or wrong together: places are the trials of the test.

        Raises:
            DataError: the answers are not so many.
        """
        return compare_paired(
            self._hits(a, cutoff), self._hits(b, cutoff), places=self.trials[a].outcomes.places
        )

    @property
    def lead_cutoff(self) -> int:
        """The N of the recall by which models are called better: 1, or the least one measured.

        One, named before anything is counted: a test for each N would find a best model among
        equal ones as often as there are Ns.
        """
        return min(self.cutoffs)

    @cached_property
    def best(self) -> int | None:
        """The trial whose recall at :attr:`lead_cutoff` is beyond doubt the best, or None.

        It must beat each of the others in the paired test at a level of 5 % for all of these tests
        together (Holm, Scandinavian Journal of Statistics 6, 1979). Where models are equally good,
        one is called the best in at most 5 % of contests.
        """
        cutoff = self.lead_cutoff
        right = [int(self._hits(i, cutoff).sum()) for i in range(len(self.trials))]
        leader = int(np.argmax(right))
        others = [i for i in range(len(self.trials)) if i != leader]
        # The test counts places, recall queries: with equal recalls one model can still win many
        # places with few queries each, and which one leads would be the order given.
        if not others or right.count(right[leader]) > 1:
            return None
        found = [self.compare(leader, other, cutoff) for other in others]
        if any(test.a_better <= test.b_better for test in found):
            return None
        p_values = np.sort([test.p_value for test in found])
        limits = SIGNIFICANCE / np.arange(len(p_values), 0, -1)
        return leader if bool((p_values <= limits).all()) else None

    def pairs(self, cutoff: int = 1) -> list[tuple[int, int, PairedComparison]]:
        """Every two trials and their test, in order."""
        return [
            (a, b, self.compare(a, b, cutoff)) for a, b in combinations(range(len(self.trials)), 2)
        ]

    def _hits(self, trial: int, cutoff: int) -> NDArray[np.bool_]:
        """(Q,) whether a correct answer is among the first ``cutoff``."""
        outcomes = self.trials[trial].outcomes
        # The rank of a query without a correct answer is the depth: beyond it all would be right.
        if not 1 <= cutoff <= outcomes.depth:
            raise DataError(f"recall@{cutoff} needs 1 to {outcomes.depth} answers a query")
        hits: NDArray[np.bool_] = outcomes.ranks < cutoff
        return hits


def compare_evaluations(
    entries: Sequence[tuple[Competitor, Evaluation]],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    place_label: str | None = None,
    called: str = "",
) -> Comparison:
    """Measure every model, over all queries and by condition.

    Args:
        entries: models and their evaluations, all of the same queries.
        cutoffs: the N of recall@N.
        place_label: the label that tells places apart; None groups queries by position.
        called: what people call the data set; empty for the name it was opened by.

    Raises:
        DataError: there is none, or they are not of the same data by the same rules.
    """
    if not entries or not cutoffs:
        raise DataError("a contest needs at least one model and one cutoff")
    prepared = entries[0][1].result.prepared
    for competitor, evaluation in entries:
        other = evaluation.result.prepared
        same = other.data_fingerprint == prepared.data_fingerprint
        if not same or other.protocol.fingerprint != prepared.protocol.fingerprint:
            raise DataError(
                f"{competitor.name} answered other queries, or by other rules, than "
                f"{entries[0][0].name}; compare models on the same data set and protocol"
            )
    trials = []
    for competitor, evaluation in entries:
        outcomes = outcomes_of(evaluation.result, place_label=place_label)
        trials.append(
            Entry(
                competitor=competitor,
                evaluation=evaluation,
                outcomes=outcomes,
                measures=measure(outcomes, cutoffs=cutoffs),
                conditions={
                    label: measure_by(outcomes, label, cutoffs=cutoffs)
                    for label in condition_labels(outcomes.labels)
                },
            )
        )
    return Comparison(prepared, tuple(trials), tuple(cutoffs), called)


def condition_labels(labels: Mapping[str, NDArray[np.str_]]) -> list[str]:
    """The labels that part the queries into a few groups: a season, a city, a camera."""
    return [label for label, words in labels.items() if 1 < len(np.unique(words)) <= MOST_WORDS]
