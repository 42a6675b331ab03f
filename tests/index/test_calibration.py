from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netvlad import ImageSet, PlaceIndex
from netvlad.errors import DataError
from netvlad.index.calibration import (
    LabelledAnswers,
    feature_names,
    fit,
    folds_with_gaps,
    labelled_answers,
)
from netvlad.index.probability import LOCATED_FEATURES, document_name
from netvlad.matching.cache import FeatureCache
from netvlad.models import PlaceModel
from netvlad.types import PlaceDataset


@pytest.fixture(scope="module")
def dataset(photos: Path) -> PlaceDataset:
    """The photos' places on a street, 70 m apart; a few queries say they are from elsewhere."""
    names = sorted(path.name for path in (photos / "map").iterdir())
    asked = sorted(path.name for path in (photos / "queries").iterdir())
    east = np.array([70.0 * int(name[:2]) for name in names])
    true = np.array([70.0 * i for i in range(40)])
    return PlaceDataset(
        "street",
        "val",
        ImageSet(photos / "map", tuple(names), np.column_stack([east, east * 0])),
        ImageSet(photos / "queries", tuple(asked), np.column_stack([true, true * 0 + 3.0])),
    )


@pytest.mark.parametrize("reranked", [False, True])
def test_every_query_is_asked_with_and_without_its_place(
    dataset: PlaceDataset, quick_model: PlaceModel, reranked: bool
) -> None:
    cache = FeatureCache(None) if reranked else None
    found = labelled_answers(quick_model, dataset, cache=cache)
    assert len(found.correct) == 80
    assert (np.bincount(found.query, minlength=40) == 2).all()
    # The second answer of each query has nothing near it to be right with.
    assert not found.correct[1::2].any() and found.correct[::2].mean() > 0.8
    names = feature_names(quick_model, reranked=reranked)
    assert found.features.shape == (80, len(names))
    assert (names == LOCATED_FEATURES) == reranked
    if reranked:
        evidence = found.features[:, 0]
        assert evidence[found.correct].mean() > 2 * evidence[~found.correct].mean()


def test_a_fitted_calibration_is_kept_and_used(
    dataset: PlaceDataset, photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    index = PlaceIndex.build(photos / "map", quick_model, output=tmp_path / "i")
    names = feature_names(quick_model)
    calibration, measures = fit(labelled_answers(quick_model, dataset), dataset, names)
    assert measures.auc > 0.8 and measures.answers == 80
    before = index.locate(photos / "queries/05.jpg", rerank=False).probability
    index.store.put_document(document_name(reranked=False), calibration.to_json())
    reopened = PlaceIndex.open(tmp_path / "i")
    assert reopened.calibrations()[0] == calibration
    assert reopened.calibrations(reranked=True)[:2] == index.calibrations(reranked=True)[:2]
    after = reopened.locate(photos / "queries/05.jpg", rerank=False).probability
    assert after != before


def test_a_data_set_without_positions_cannot_calibrate(
    dataset: PlaceDataset, quick_model: PlaceModel
) -> None:
    bare = PlaceDataset("x", "val", ImageSet(Path(), ()), dataset.queries)
    with pytest.raises(DataError, match="needs positions"):
        labelled_answers(quick_model, bare)


RANDOM = np.random.default_rng(5)
GROUNDS = {
    "a line, 2 m apart": np.column_stack([2.0 * np.arange(50), np.zeros(50)]),
    "a line to the north": np.column_stack([np.zeros(300), 2.0 * np.arange(300)]),
    "a square": RANDOM.uniform(0, 400, (200, 2)),
    "a loop": 150 * np.column_stack([f(np.linspace(0, 6.28, 120)) for f in (np.cos, np.sin)]),
    "twice each": np.repeat(RANDOM.uniform(0, 300, (60, 2)), 2, axis=0),
    "two villages": np.concatenate(
        [RANDOM.uniform(0, 60, (40, 2)), 5000 + RANDOM.uniform(0, 60, (40, 2))]
    ),
}


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("gap_m", [0.0, 10.0, 25.0])
def test_no_neighbour_of_what_is_held_out_is_learned_from(ground: str, gap_m: float) -> None:
    positions = GROUNDS[ground]
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    held = np.zeros(len(positions), int)
    for here, rest in folds_with_gaps(positions, gap_m):
        held += here
        if rest.any():
            assert apart[here][:, rest].min() > gap_m
        # And nothing is left out without need.
        assert ((apart[here] <= gap_m).any(axis=0) == ~rest).all()
    assert (held == 1).all()


def test_queries_that_all_show_one_place_are_refused(dataset: PlaceDataset) -> None:
    crowded = replace(
        dataset, queries=replace(dataset.queries, positions=RANDOM.uniform(0, 9, (40, 2)))
    )
    answers = LabelledAnswers(RANDOM.normal(size=(40, 1)), np.arange(40) % 2 == 0, np.arange(40))
    with pytest.raises(DataError, match="cannot be parted into groups 25 m from each other"):
        fit(answers, crowded, ("next_ratio",))
