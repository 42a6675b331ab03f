"""Models that answered the same queries by the same rules, and which of them is better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from netvlad.errors import DataError
from netvlad.evaluation.applying import PreparedEvaluation
from netvlad.evaluation.by_protocol import Rows
from netvlad.evaluation.evaluate import Evaluation
from netvlad.evaluation.measures import (
    Measures,
    QueryOutcomes,
    measure,
    measure_by,
    outcomes_of,
)
from netvlad.evaluation.recall import CUTOFFS
from netvlad.models.describer import Describer
from netvlad.types import counted

SIGNIFICANCE = 0.05
MOST_WORDS = 12
"""A label with more different words is no condition but a name."""


@dataclass(frozen=True, eq=False)
class Competitor:
    """A model as a report names it.

    Attributes:
        name: for people.
        source: as it was typed: a run folder, a backbone, two files of descriptors.
        fingerprint: 16 hex digits for its weights and settings, or for the descriptors.
        settings: everything else that is needed to make it again, as JSON types.
        model: the model itself; None for descriptors.
        rows: (N, D) of the database and (Q, D) of the queries; None for a model.
    """

    name: str
    source: str = ""
    fingerprint: str = ""
    settings: Mapping[str, Any] | None = None
    model: Describer | None = None
    rows: tuple[Rows, Rows] | None = None


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same trials: queries, or places.

    Attributes:
        trials: how many.
        a_better: trials in which only the first model is right (places: more often right).
        b_better: trials in which only the second is.
        p_value: how likely so uneven a split of these, or a more uneven one, is if neither is
            better (two-sided, exact); 1 where they never differ.
    """

    trials: int
    a_better: int
    b_better: int
    p_value: float


def compare_paired(
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    *,
    places: NDArray[np.integer] | None = None,
) -> PairedComparison:
    """McNemar's test in its exact form, or the sign test over places.

    Trials in which both models do equally well say nothing; the others are tosses of a fair coin
    if neither is better (McNemar, Psychometrika 12, 1947; exact by the binomial distribution).

    Args:
        correct_a: (Q,) whether the first model is right at each query.
        correct_b: (Q,) likewise the second, on the same queries in the same order.
        places: (Q,) numbers; queries with one number are one trial, won by the model that is right
            more often there. Queries of one place are not independent, so that the test over
            queries finds differences that are none. None makes every query a trial.

    Raises:
        DataError: the lengths differ.
    """
    if correct_a.shape != correct_b.shape or correct_a.ndim != 1:
        raise DataError(
            f"models answered {correct_a.shape} and {correct_b.shape} queries; a paired test needs "
            "the same ones"
        )
    difference = correct_a.astype(np.int64) - correct_b.astype(np.int64)
    if places is not None:
        if places.shape != difference.shape:
            raise DataError(f"{len(difference)} queries but places of shape {places.shape}")
        numbers = np.unique(places, return_inverse=True)[1]
        # Sums of integers, which bincount's floats hold exactly.
        difference = np.bincount(numbers, weights=difference).astype(np.int64)
    a_better, b_better = int(np.sum(difference > 0)), int(np.sum(difference < 0))
    decided = a_better + b_better
    p_value = float(binomtest(a_better, decided, 0.5).pvalue) if decided else 1.0
    return PairedComparison(len(difference), a_better, b_better, p_value)


@dataclass(frozen=True, eq=False)
class Entry:
    """One model's part in a comparison.

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

    Example:
        >>> from pathlib import Path
        >>> from netvlad import ImageSet, PlaceDataset, compare
        >>> places = np.column_stack([100.0 * np.arange(20), np.zeros(20)])
        >>> images = ImageSet(Path("a"), tuple(f"{i}.jpg" for i in range(20)), places)
        >>> right, wrong = np.eye(20), np.roll(np.eye(20), 1, axis=0)
        >>> models = {"mine": (right, right), "other": (right, wrong)}
        >>> comparison = compare(models, PlaceDataset("street", "test", images, images))
        >>> comparison.best, comparison.compare(0, 1).p_value < 0.001
        (0, True)

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
        one is called the best in at most 5 % of comparisons.
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

    def to_json(self) -> dict[str, Any]:
        """All figures as strict JSON types.

        What is no finite number is null: an error that is unknown, or infinite because queries have
        no answer. ``best`` marks the model that is beyond doubt the best, if one is.
        """
        prepared = self.prepared
        tests = [(cutoff, *pair) for cutoff in self.cutoffs for pair in self.pairs(cutoff)]
        content = {
            "dataset": self.dataset_name,
            "layout": prepared.dataset.name,
            "split": prepared.dataset.split,
            "data_fingerprint": prepared.data_fingerprint,
            "protocol": prepared.protocol.to_json(),
            "num_queries": len(prepared.queries),
            "num_database": len(prepared.database),
            "queries_without_positives": int((prepared.positives.counts() == 0).sum()),
            "notes": [*prepared.dataset.notes, *prepared.notes],
            "models": [_model(entry, self.best == i) for i, entry in enumerate(self.trials)],
            "tests": [
                {
                    "a": self.trials[a].competitor.name,
                    "b": self.trials[b].competitor.name,
                    "cutoff": cutoff,
                    "trials": test.trials,
                    "a_better": test.a_better,
                    "b_better": test.b_better,
                    "p_value": test.p_value,
                }
                for cutoff, a, b, test in tests
            ],
        }
        return cast(dict[str, Any], _strict(content))

    def __str__(self) -> str:
        width = max(len(entry.competitor.name) for entry in self.trials)
        lines = [
            f"{self.title}: {counted(len(self.prepared.queries), 'queries')}, "
            f"{counted(len(self.prepared.database), 'database images')}",
            " ".join([" " * width, *(f"{f'R@{n}':>6} " for n in self.cutoffs)]).rstrip(),
        ]
        for i, entry in enumerate(self.trials):
            cells = [f"{entry.measures.recall[str(n)].value:6.3f} " for n in self.cutoffs]
            if i == self.best:
                place = self.cutoffs.index(self.lead_cutoff)
                cells[place] = cells[place].rstrip() + "*"
            lines.append(" ".join([f"{entry.competitor.name:{width}}", *cells]).rstrip())
        if self.best is not None:
            lines.append(
                f"* better than each other model at R@{self.lead_cutoff} (exact paired tests over "
                f"{self.trial_words[1]}, 5 % in all)"
            )
        return "\n".join(lines)

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
        raise DataError("a comparison needs at least one model and one cutoff")
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


def comparisons_to_json(
    comparisons: Sequence[Comparison], provenance: Mapping[str, str]
) -> dict[str, Any]:
    """Several comparisons, each as :meth:`Comparison.to_json` gives it, and how to repeat them.

    Args:
        comparisons: a data set under a protocol each.
        provenance: command, versions, machine, date.
    """
    told = {"provenance": provenance, "comparisons": [one.to_json() for one in comparisons]}
    return cast(dict[str, Any], _strict(told))


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
