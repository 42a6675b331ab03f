"""The result of an evaluation in sentences, no stronger than the paired test allows."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from netvlad.evaluation.comparison import SIGNIFICANCE, Comparison
from netvlad.evaluation.protocol_record import LabelFilter, Protocol
from netvlad.reports.evaluation_words import (
    data_name,
    interval,
    joined,
    names_of,
    p_value,
    share,
)
from netvlad.reports.printable import printable
from netvlad.types import counted


def verdict(comparison: Comparison) -> str:
    """The result at R@1 in one sentence, without a full stop."""
    names = names_of(comparison)
    if len(names) == 1:
        n = comparison.lead_cutoff
        one = comparison.trials[0].measures.recall[str(n)]
        told = f"R@{n} {share(one.value)} (95 % interval {interval(one)})"
        return f"{names[0]} on {data_name(comparison)}: {told}"
    return _of_two(comparison, names) if len(names) == 2 else _of_many(comparison, names)


def _of_two(comparison: Comparison, names: Sequence[str]) -> str:
    n, where = comparison.lead_cutoff, data_name(comparison)
    first, second = _by_recall(comparison)
    ahead, behind = (_recall(comparison, i) for i in (first, second))
    test = comparison.compare(first, second, n)
    places = f"{counted(test.a_better, comparison.trial_words[1])} to {test.b_better}"
    told = f"{places}, {p_value(test.p_value)}"
    if comparison.best is None:
        return (
            f"Neither model is beyond doubt the better one on {where}: R@{n} {ahead} "
            f"({names[first]}) and {behind} ({names[second]}); {told}"
        )
    return (
        f"{names[first]} is better than {names[second]} on {where}: R@{n} {ahead} "
        f"against {behind}; {told}"
    )


def _of_many(comparison: Comparison, names: Sequence[str]) -> str:
    n, where = comparison.lead_cutoff, data_name(comparison)
    leader, *others = _by_recall(comparison)
    ahead = _recall(comparison, leader)
    tests = {i: comparison.compare(leader, i, n) for i in others}
    nearest = max(tests, key=lambda i: tests[i].p_value)
    told = p_value(tests[nearest].p_value)
    if comparison.best is None and _recall(comparison, nearest) == ahead:
        equals = [i for i in (leader, *others) if _recall(comparison, i) == ahead]
        return (
            f"No model is beyond doubt the best on {where}: {joined([names[i] for i in equals])} "
            f"have the highest R@{n}, {ahead}"
        )
    if comparison.best is None:
        return (
            f"No model is beyond doubt the best on {where}: {names[leader]} has the highest "
            f"R@{n}, {ahead}, but is not beyond doubt ahead of {names[nearest]} with "
            f"{_recall(comparison, nearest)} ({told})"
        )
    rest = joined([f"{_recall(comparison, i)} ({names[i]})" for i in others])
    return (
        f"{names[leader]} is the best of {len(names)} models on {where}: R@{n} {ahead} "
        f"against {rest}; largest {told}"
    )


def _recall(comparison: Comparison, trial: int) -> str:
    return share(comparison.trials[trial].measures.recall[str(comparison.lead_cutoff)].value)


def _by_recall(comparison: Comparison) -> list[int]:
    """The trials, highest recall first, equal ones in their order."""
    n = str(comparison.lead_cutoff)
    recalls = [trial.measures.recall[n].value for trial in comparison.trials]
    return sorted(range(len(recalls)), key=lambda i: -recalls[i])


def summary(comparisons: Sequence[Comparison]) -> str:
    """The result of all comparisons in one sentence, without a full stop."""
    if len(comparisons) == 1:
        return verdict(comparisons[0])
    n, total = comparisons[0].lead_cutoff, len(comparisons)
    if all(len(comparison.trials) == 1 for comparison in comparisons):
        told = [f"{_recall(one, 0)} on {data_name(one)}" for one in comparisons]
        return f"R@{n} of {names_of(comparisons[0])[0]}: {joined(told)}"
    best = [(one, one.best) for one in comparisons]
    winners = Counter(names_of(one)[i] for one, i in best if i is not None)
    if not winners:
        return f"No model is beyond doubt the best at R@{n} in any of {total} evaluations"
    told = [f"{name} in {count} of {total}" for name, count in winners.most_common()]
    rest = total - winners.total()
    tail = f"; in the other{'' if rest == 1 else f' {rest}'} no model is" if rest else ""
    return f"Beyond doubt the best at R@{n}: {joined(told)} evaluations{tail}"


def pair_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """The paired tests at R@1 (or the least N), a row for every two models, each test by itself.

    By the names that the template has: the models by their numbers from 0, at how many places each
    is the better one, and at how many they are equal; p, and which is ahead if p says so.
    """
    rows = []
    for first, second, test in comparison.pairs(comparison.lead_cutoff):
        ahead = "first" if test.a_better > test.b_better else "second"
        chance = test.p_value > SIGNIFICANCE or test.a_better == test.b_better
        row = {
            "first": first,
            "second": second,
            "first_better": test.a_better,
            "second_better": test.b_better,
            "equal": test.trials - test.a_better - test.b_better,
            "p": re.sub("^p\N{NO-BREAK SPACE}(=\N{NO-BREAK SPACE})?", "", p_value(test.p_value)),
            "verdict": "could be chance" if chance else f"the {ahead} is ahead",
        }
        rows.append(row)
    return rows


def protocol_facts(protocol: Protocol) -> list[tuple[str, str]]:
    """The rules as (what, how) in words; what a protocol does not do is left out."""
    whole = protocol.count == "all"
    facts = [
        ("Correct", protocol.positives.words),
        ("Queries that count", "all" if whole else "those that have a correct image"),
        ("Query filters", _filters(protocol.query_filters)),
        ("Query version", protocol.query_version or ""),
        ("Database filters", _filters(protocol.database_filters)),
        ("Index", f"one for each {protocol.index_per}" if protocol.index_per else "one"),
        ("Answers", protocol.suppression.words if protocol.suppression else ""),
        ("Same time stamp", "left out" if protocol.exclude_same_time else ""),
        ("Resizing", _resizing(protocol)),
        ("Used by", "; ".join(protocol.papers)),
    ]
    return [(what, printable(how)) for what, how in facts if how]


def _filters(filters: Sequence[LabelFilter]) -> str:
    return "; ".join(wanted.words for wanted in filters)


def _resizing(protocol: Protocol) -> str:
    database, queries = protocol.resizing_of("database"), protocol.resizing_of("queries")
    if database == queries:
        return database.words
    return f"database {database.words}; queries {queries.words}"
