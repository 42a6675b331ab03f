"""What is printed about models that answered the same queries."""

import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text
from tests.evaluation.made_comparisons import line_comparison, line_dataset, line_evaluation

from netvlad.cli.evaluation_tables import (
    comparison_lines,
    condition_table,
    count_lines,
    evaluation_table,
)
from netvlad.errors import DataError
from netvlad.evaluation.comparison import Competitor, compare_evaluations

NAMES = ("off-the-shelf average", "off-the-shelf [NetVLAD]", "trained NetVLAD")


@pytest.fixture(scope="module")
def three():
    """The third is right at all 40 places, the others at 25 and 24 of them; all are at R@10."""
    jumps = np.zeros((3, 40))
    jumps[0, :15], jumps[1, 5:21] = 3, 4
    dataset = line_dataset(40, labels={"hour": ["day", "night"] * 19 + ["", ""]})
    return line_comparison(dataset, dict(zip(NAMES, jumps, strict=True)))


def printed(table, width=100):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table, highlight=False, markup=False)
    return capture.get()


def column(table, header):
    (found,) = (c for c in table.columns if str(c.header).split(" [")[0] == header)
    return list(found.cells)


def test_figures_are_the_measures(three):
    table = evaluation_table(three)
    for i, trial in enumerate(three.trials):
        recall = trial.measures.recall
        one = column(table, "R@1")[i].plain.removesuffix("*")
        assert one == f"{recall['1'].value:.3f} [{recall['1'].low:.2f}, {recall['1'].high:.2f}]"
        assert column(table, "R@5")[i].plain.removesuffix("*") == f"{recall['5'].value:.3f}"
        assert column(table, "R@1 %")[i].plain == f"{recall['1%'].value:.3f}"
        assert column(table, "AP")[i].plain == f"{trial.measures.average_precision:.3f}"
    assert column(table, "R@1")[0].plain.startswith("0.625 [")
    assert [cell.plain for cell in column(table, "median\nerror")] == ["3.0 m"] * 3


def test_what_lowers_every_recall_is_told(three):
    assert count_lines(three) == []
    dataset = line_dataset(10)
    # Two queries are far from every database image, three have no descriptor in one of the models.
    assert dataset.queries.positions is not None
    positions = dataset.queries.positions.copy()
    positions[:2] += 1e6
    dataset = replace(dataset, queries=replace(dataset.queries, positions=positions))
    gaps = np.where(np.arange(10) < 3, np.nan, 0.0)
    assert count_lines(line_comparison(dataset, {"a": np.zeros(10), "b": gaps})) == [
        "2 queries have no correct database image and cannot be right",
        "3 queries could not be read and count as missed",
    ]


def test_the_mark_is_where_best_says(three):
    table = evaluation_table(three)
    assert three.best == 2
    for n in three.cutoffs:
        for i, cell in enumerate(column(table, f"R@{n}")):
            marked = i == 2 and n == 1
            assert cell.plain.endswith("*") == marked and (cell.style == "bold") == marked
    assert "* better than each other model at R@1" in printed(table)
    # One place more decides nothing.
    two = line_comparison(line_dataset(4), {"a": [0, 0, 0, 3], "b": [0, 0, 3, 3]})
    assert "*" not in printed(evaluation_table(two))


def test_three_models_fit_into_100_columns(three):
    lines = printed(evaluation_table(three)).splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line for line in lines if re.search(r"\d\.\d{3} \[", line)]
    assert len(rows) == 3
    # All of a row is in one line, but for a long name, which is folded rather than cut.
    assert all(len(re.findall(r"\b\d\.\d{3}\b", row)) == 6 for row in rows)
    assert "…" not in "".join(lines) and "line test · radius-25: 40 queries" in lines[0]
    wide = printed(evaluation_table(three), 200)
    assert all(name in wide for name in NAMES)
    narrow = printed(condition_table(three, "hour")).splitlines()
    assert max(map(len, narrow)) <= 100 and sum("[" in line for line in narrow) >= 3


def test_comparisons_in_words(three):
    # The second is wrong at places 5 to 20, the first at 0 to 14.
    assert comparison_lines(three) == [
        f"{NAMES[0]} against {NAMES[1]} at R@1: better at 6 queries, worse at 5, p = 1",
        f"{NAMES[0]} against {NAMES[2]} at R@1: better at 0 queries, worse at 15, p < 0.001",
        f"{NAMES[1]} against {NAMES[2]} at R@1: better at 0 queries, worse at 16, p < 0.001",
    ]
    jumps = {"a": np.zeros(9), "b": np.zeros(9), "c": np.array([5.0] * 6 + [0] * 3)}
    lines = comparison_lines(line_comparison(line_dataset(9), jumps))
    assert lines[0] == "a against b at R@1: equally good at each of 9 queries"
    assert lines[1] == "a against c at R@1: better at 6 queries, worse at 0, p = 0.031"


def test_conditions_have_a_row_each(three):
    table = condition_table(three, "hour")
    words, queries = (list(c.cells) for c in table.columns[:2])
    assert [word.plain for word in words] == ["(unknown)", "day", "night"]
    assert queries == ["2", "19", "19"]
    for i, trial in enumerate(three.trials):
        cells = list(table.columns[2 + i].cells)
        night = trial.conditions["hour"]["night"].recall["1"]
        assert cells[2].plain == f"{night.value:.3f} [{night.low:.2f}, {night.high:.2f}]"
    with pytest.raises(DataError, match=r"no condition weather \(conditions: hour\)"):
        condition_table(three, "weather")


def test_what_is_not_known_is_not_shown():
    nowhere = line_comparison(line_dataset(6, located=False), {'a,b"&_%$': np.zeros(6)})
    table = evaluation_table(nowhere)
    assert not [c for c in table.columns if "error" in str(c.header)]
    assert 'a,b"&_%$' in printed(table) and comparison_lines(nowhere) == []
    unanswered = np.full(6, np.nan)
    unanswered[0] = 0
    lost = line_comparison(line_dataset(6), {"lost": unanswered, "far": np.full(6, 11)})
    errors = [cell.plain for cell in column(evaluation_table(lost), "median\nerror")]
    assert errors == ["∞", "1 km"]
    odd = b"caf\xe9\n".decode("utf-8", "surrogateescape")
    dataset = line_dataset(6)
    named = compare_evaluations([(Competitor(odd), line_evaluation(dataset, np.zeros(6)))])
    (cell,) = column(evaluation_table(named), "model")
    assert isinstance(cell, Text) and cell.plain == "caf\\udce9"
