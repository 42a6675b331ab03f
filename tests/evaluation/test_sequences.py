"""Sequence matching, against the definition written as loops."""

import json

import numpy as np
import pytest

from netvlad.errors import SettingsError
from netvlad.evaluation import recall_at
from netvlad.evaluation.sequences import (
    SequenceSearch,
    match_sequences,
    nearest_by_similarity,
    search_sequences,
)
from netvlad.types import Neighbours


def slowly(similarity, length, speeds):
    rows, columns = similarity.shape
    half = length // 2
    result = np.full((rows, columns), -np.inf)
    for i in range(rows):
        for j in range(columns):
            for speed in speeds:
                existing, values = 0, []
                for t in range(-half, half + 1):
                    if not 0 <= i + t < rows:
                        continue
                    existing += 1
                    column = j + int(np.rint(speed * t))
                    if 0 <= column < columns and np.isfinite(similarity[i + t, column]):
                        values.append(similarity[i + t, column])
                if values and len(values) * 2 >= existing:
                    result[i, j] = max(result[i, j], np.mean(values))
    return result


@pytest.mark.parametrize(
    ("shape", "length", "speeds"),
    [
        ((20, 25), 7, (0.8, 1.0, 1.25)),
        ((4, 30), 9, (2.0, 0.5)),  # a sequence longer than the traverse
        ((30, 5), 5, (0.0, 3.0)),
        ((6, 6), 1, (1.0,)),
    ],
)
def test_equals_the_definition(shape, length, speeds):
    similarity = np.random.default_rng(0).random(shape).astype(np.float32)
    similarity[2, 3] = np.nan
    similarity[:, 1] = -np.inf
    fast = match_sequences(similarity, SequenceSearch(length, speeds))
    np.testing.assert_allclose(fast, slowly(similarity, length, speeds), rtol=1e-5)


def test_descriptors_in_blocks_give_what_the_matrix_gives(monkeypatch):
    random = np.random.default_rng(3)
    queries, database = random.normal(size=(2, 40, 8)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    queries[7], database[5] = np.nan, np.inf
    settings = SequenceSearch(5, (0.9, 1.0, 1.1))
    similarity = np.full((40, 40), np.nan, np.float32)
    ask, give = np.arange(40) != 7, np.arange(40) != 5
    similarity[np.ix_(ask, give)] = queries[ask] @ database[give].T
    expected = match_sequences(similarity, settings)
    expected[7], expected[:, 5] = -np.inf, -np.inf
    whole = nearest_by_similarity(expected, 6)
    monkeypatch.setattr("netvlad.evaluation.sequences._VALUES_AT_ONCE", 40 * 9)
    blocks = search_sequences(queries, database, 6, settings)
    np.testing.assert_array_equal(blocks.indices, whole.indices)
    np.testing.assert_allclose(blocks.squared_distances, whole.squared_distances, rtol=1e-4)
    assert (blocks.indices[7] == -1).all() and not (blocks.indices == 5).any()


def test_nearest_by_similarity_equals_a_stable_sort():
    similarity = np.random.default_rng(0).integers(0, 5, (50, 30)).astype(np.float64)
    similarity[:, 4] = np.nan
    similarity[3] = -np.inf
    found = nearest_by_similarity(similarity, 10)
    order = np.argsort(np.where(np.isnan(similarity), np.inf, -similarity), axis=1, kind="stable")
    keep = np.arange(50) != 3
    np.testing.assert_array_equal(found.indices[keep], order[keep, :10])
    assert (found.indices[3] == -1).all() and np.isinf(found.squared_distances[3]).all()
    np.testing.assert_array_equal(found.squared_distances[0], 2 - 2 * similarity[0, order[0, :10]])
    assert nearest_by_similarity(similarity, 40).indices[0, 29:].tolist() == [-1] * 11


def test_wrong_settings_are_refused():
    with pytest.raises(SettingsError, match="odd number"):
        SequenceSearch(4)
    with pytest.raises(SettingsError, match="speeds"):
        SequenceSearch(5, ())


def corridor(shared):
    truth = json.loads((shared / "data/vprbench/ground_truth.json").read_text())["corridor"]
    offsets = np.cumsum([0, *map(len, truth)])
    positives = Neighbours(offsets, np.concatenate(truth))
    for file in sorted((shared / "data/vprbench").glob("corridor_*.npz")):
        yield file.stem.split("_", 1)[1], np.load(file)["similarity"], positives


def test_matrices_of_published_methods_give_their_recalls(shared):
    published = json.loads((shared / "data/vprbench/recalls.json").read_text())
    methods = 0
    for method, similarity, positives in corridor(shared):
        recalls = recall_at(nearest_by_similarity(similarity, 20), positives, 111)
        rounded = {str(n): round(share, 6) for n, share in recalls.at.items()}
        assert rounded == published["corridor"][method]
        methods += 1
    diagonal = Neighbours(np.arange(608), np.arange(607))
    for method, figures in published["SPEDTEST"].items():
        similarity = np.load(shared / f"data/vprbench/SPEDTEST_{method}.npz")["similarity"]
        recalls = recall_at(nearest_by_similarity(similarity, 20), diagonal, 607)
        assert {str(n): round(share, 6) for n, share in recalls.at.items()} == figures
        methods += 1
    assert methods == 7


def test_sequences_help_every_published_method_along_the_corridor(shared):
    for _, similarity, positives in corridor(shared):
        single = recall_at(nearest_by_similarity(similarity, 20), positives, 111).at[1]
        together = nearest_by_similarity(match_sequences(similarity), 20)
        assert recall_at(together, positives, 111).at[1] > single + 0.1
