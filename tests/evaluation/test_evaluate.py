import numpy as np
import pytest

import netvlad
from netvlad.errors import DataError
from netvlad.evaluation import Protocol
from netvlad.evaluation.resizing import Resizing
from netvlad.models import ModelSpec, build_model


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return netvlad.open_dataset("csv", tiny_data, "test")


def test_a_model_and_its_descriptors_get_the_same_figures(dataset):
    model = build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")
    by_model = netvlad.evaluate(model, dataset)
    by_descriptors = netvlad.evaluate(
        (
            netvlad.describe(model, dataset.database).values,
            netvlad.describe(model, dataset.queries).values,
        ),
        dataset,
    )
    assert by_model.recalls.at == by_descriptors.recalls.at
    assert 0 < by_model.recalls.at[1] <= by_model.recalls.at[20] == 1
    np.testing.assert_array_equal(by_model.matches.indices, by_descriptors.matches.indices)


def test_descriptors_in_a_folder_get_the_same_figures(dataset, tmp_path):
    model = build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")
    in_memory = netvlad.evaluate(model, dataset)
    in_files = netvlad.evaluate(model, dataset, keep=tmp_path)
    half = netvlad.evaluate(model, dataset, keep=tmp_path / "half", storage="16")
    np.testing.assert_array_equal(in_memory.matches.indices, in_files.matches.indices)
    assert in_memory.recalls.at == in_files.recalls.at == half.recalls.at
    made_elsewhere = netvlad.evaluate(
        (
            np.load(tmp_path / "half" / "database.npy", mmap_mode="r"),
            np.load(tmp_path / "half" / "queries.npy", mmap_mode="r"),
        ),
        dataset,
    )
    assert made_elsewhere.recalls.at == half.recalls.at


@pytest.mark.parametrize(
    ("rules", "sizes"),
    [
        ({"resizing": Resizing("height-width", (48, 64))}, ((48, 64), (48, 64))),
        ({"query_resizing": Resizing("square", (64,))}, (None, (64, 64))),
    ],
)
def test_images_are_resized_as_the_protocol_says(dataset, quick_model, rules, sizes):
    protocol = Protocol(name="resized", **rules)
    by_model = netvlad.evaluate(quick_model, dataset, protocol=protocol)
    database, queries = (
        netvlad.describe(quick_model.resized(size), images).values
        for size, images in zip(sizes, (dataset.database, dataset.queries), strict=True)
    )
    by_hand = netvlad.evaluate((database, queries), dataset, protocol=protocol)
    np.testing.assert_array_equal(by_model.matches.indices, by_hand.matches.indices)
    plain = netvlad.evaluate(quick_model, dataset)
    assert (by_model.matches.indices != plain.matches.indices).any()


def test_perfect_and_hopeless_descriptors(dataset):
    places = np.eye(12, dtype=np.float32)
    perfect = netvlad.evaluate((np.repeat(places, 2, axis=0), places), dataset)
    assert perfect.recalls.at[1] == 1
    hopeless = netvlad.evaluate((np.repeat(places, 2, axis=0), np.roll(places, 1, axis=0)), dataset)
    assert hopeless.recalls.at[1] == 0


def test_rows_that_are_not_finite_are_missed_and_never_returned(dataset):
    places = np.eye(12, dtype=np.float32)
    database = np.repeat(places, 2, axis=0)
    database[0] = np.nan
    queries = places.copy()
    queries[3] = np.inf
    evaluation = netvlad.evaluate((database, queries), dataset)
    assert evaluation.recalls.at[1] == pytest.approx(11 / 12)
    assert (evaluation.recalls.unreadable_queries, evaluation.recalls.unreadable_database) == (1, 1)
    assert 0 not in evaluation.matches.indices
    assert (evaluation.matches.indices[3] == -1).all()


def test_wrong_counts_name_the_side(dataset):
    with pytest.raises(DataError, match=r"query_descriptors has shape \(5, 3\).* 12 images"):
        netvlad.evaluate((np.zeros((24, 3), np.float32), np.zeros((5, 3), np.float32)), dataset)
    with pytest.raises(DataError, match="a model and a data set"):
        netvlad.evaluate(dataset, dataset.queries)
