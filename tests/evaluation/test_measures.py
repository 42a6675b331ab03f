"""The figures of an evaluation, for all queries and by condition."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.made_traverses import DATABASE, QUERIES, descriptors, two_cities

from netvlad.errors import DataError
from netvlad.evaluation.applying import apply
from netvlad.evaluation.by_protocol import evaluate_prepared
from netvlad.evaluation.measures import (
    QueryOutcomes,
    error_quantile,
    measure,
    measure_by,
    outcomes_of,
)
from netvlad.evaluation.protocol_record import Protocol


@pytest.fixture(scope="module")
def outcomes():
    result = evaluate_prepared(
        apply(Protocol(name="p"), two_cities()), descriptors(DATABASE), descriptors(QUERIES)
    )
    return outcomes_of(result)


def test_outcomes_by_hand(outcomes):
    # Ranks of c0, c1, s2, nothing, s0, s0 (behind s1, c1, s2, c2), s0 (behind c1, s1).
    assert outcomes.ranks.tolist() == [1, 0, 1, 20, 0, 4, 2]
    assert outcomes.correct.tolist() == [False, True, False, False, True, False, False]
    # q0 is answered with s0, 10,000 km away, q5 with s1, q6 with c1.
    expected = [1e7, 0, 1e7 + 200 - 500, 5000, 0, 100, 1e7 - 100]
    np.testing.assert_allclose(outcomes.errors_m, expected)
    assert outcomes.one_percent.tolist() == [1] * 7
    assert len(set(outcomes.places[[4, 5, 6]])) == 1 and len(set(outcomes.places)) == 5


def test_measures_by_hand(outcomes):
    measures = measure(outcomes, cutoffs=(1, 2, 5))
    values = {name: interval.value for name, interval in measures.recall.items()}
    assert values == {"1": 2 / 7, "2": 4 / 7, "5": 6 / 7, "1%": 2 / 7}
    assert (measures.queries, measures.places, measures.right) == (7, 5, 2)
    # The two right ones are at distance 0, the others farther: the surest answers are right.
    assert measures.recall_at_full_precision == measures.average_precision == 1
    assert measures.median_error_m == 5000
    assert all(i.low <= i.value <= i.high for i in measures.recall.values())
    assert json.loads(json.dumps(measures.to_json()))["recall"]["2"]["value"] == 4 / 7


def test_measures_by_condition(outcomes):
    by_city = measure_by(outcomes, "city", cutoffs=(1, 2))
    assert {city: m.recall["1"].value for city, m in by_city.items()} == {"cph": 1 / 2, "sf": 1 / 5}
    assert by_city["cph"].queries == 2 and by_city["sf"].places == 3
    with pytest.raises(DataError, match="no label weather"):
        measure_by(outcomes, "weather")
    with pytest.raises(DataError, match="recall@50 needs 50 answers"):
        measure(outcomes, cutoffs=(50,))


def test_unanswered_queries_are_infinitely_wrong():
    queries = descriptors(QUERIES)
    queries[[0, 1, 2, 3]] = np.nan
    dataset = two_cities()
    result = evaluate_prepared(apply(Protocol(name="p"), dataset), descriptors(DATABASE), queries)
    measures = measure(outcomes_of(result))
    assert measures.median_error_m == np.inf and measures.to_json()["median_error_m"] is None
    assert measures.recall["1"].value == 1 / 7
    # Only q4, q5 and q6 are answered, and q4 is right and the surest.
    assert measures.average_precision == 1
    nowhere = replace(dataset, queries=replace(dataset.queries, labels={}))
    with pytest.raises(DataError, match="no label spot"):
        outcomes_of(
            replace(result, prepared=replace(result.prepared, dataset=nowhere)), place_label="spot"
        )


def test_recall_at_one_percent_of_unequal_indexes():
    outcomes = QueryOutcomes(
        ranks=np.array([2, 2, 30]),
        depth=30,
        confidences=np.ones(3),
        errors_m=None,
        places=np.arange(3),
        one_percent=np.array([3, 2, 28]),
        labels={},
    )
    measures = measure(outcomes, cutoffs=(1,))
    assert measures.recall["1%"].value == 1 / 3
    assert measures.median_error_m is None
    shallow = replace(outcomes, depth=20)
    assert "1%" not in measure(shallow, cutoffs=(1,)).recall


def test_error_quantiles_equal_numpy_s():
    errors = np.random.default_rng(0).exponential(10, 101)
    for share in (0.0, 0.5, 0.9, 0.97, 1.0):
        assert error_quantile(errors, share) == pytest.approx(np.quantile(errors, share))
    assert error_quantile(np.append(errors, np.nan), 0.5) == np.median(errors)
    assert error_quantile(np.array([1.0, 2.0, np.inf]), 0.5) == 2
    assert error_quantile(np.array([1.0, np.inf]), 0.5) == np.inf
    assert error_quantile(np.array([np.nan]), 0.5) is None
