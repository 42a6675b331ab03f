import json

import numpy as np
import pytest

from netvlad.errors import DataError
from netvlad.evaluation import recall_at
from netvlad.evaluation.recall import first_correct
from netvlad.types import Matches, Neighbours


def neighbours(rows):
    offsets = np.cumsum([0, *map(len, rows)])
    return Neighbours(offsets, np.array([i for row in rows for i in row], dtype=np.int64))


def answers(indices):
    array = np.array(indices, dtype=np.int64)
    return Matches(array, np.zeros(array.shape, dtype=np.float32))


def test_recall_by_hand():
    matches = answers([[3, 1, 2], [0, 1, 2], [2, 3, 0], [-1, -1, -1]])
    truth = neighbours([[3], [2, 1], [], [0]])
    recalls = recall_at(matches, truth, 4, cutoffs=(1, 2, 3), unreadable_queries=1)
    # Query 0 at once, query 1 second, query 2 has no positive, query 3 no answer: of four.
    assert recalls.at == {1: 0.25, 2: 0.5, 3: 0.5}
    assert recalls.num_queries == 4
    assert recalls.queries_without_positives == 1
    assert recalls.unreadable_queries == 1


def test_first_correct_equals_a_loop():
    random = np.random.default_rng(0)
    matches = answers([random.permutation(30)[:10] for _ in range(50)])
    rows = [np.sort(random.choice(30, random.integers(0, 5), replace=False)) for _ in range(50)]
    slow = [
        next((r for r, i in enumerate(m) if i in t), 10)
        for m, t in zip(matches.indices, rows, strict=True)
    ]
    np.testing.assert_array_equal(first_correct(matches, neighbours(rows)), slow)


def test_counts_that_disagree_are_refused():
    with pytest.raises(DataError, match="1 answered queries but 2"):
        recall_at(answers([[0]]), neighbours([[0], [0]]), 1, cutoffs=(1,))
    with pytest.raises(DataError, match="at least one query"):
        recall_at(Matches(np.zeros((0, 20), int), np.zeros((0, 20))), neighbours([]), 1)
    with pytest.raises(DataError, match="needs 5 answers"):
        recall_at(answers([[0]]), neighbours([[0]]), 1, cutoffs=(5,))


def test_matrices_of_published_methods_give_their_recalls(shared):
    published = json.loads((shared / "data/vprbench/recalls.json").read_text())
    truth = json.loads((shared / "data/vprbench/ground_truth.json").read_text())
    checked = 0
    for file in sorted((shared / "data/vprbench").glob("*.npz")):
        similarity = np.load(file)["similarity"]
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :20]
        dataset, method = file.stem.split("_", 1)
        rows = truth.get(dataset) or [[i] for i in range(len(similarity))]
        recalls = recall_at(answers(order), neighbours(rows), similarity.shape[1])
        for n, value in published[dataset][method].items():
            assert recalls.at[int(n)] == pytest.approx(value, abs=5e-5), (file.stem, n)
            checked += 1
    assert checked > 0
