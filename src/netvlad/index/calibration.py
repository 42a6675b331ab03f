"""Fitting an index's calibration to a data set: answers that are known to be right or wrong."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.errors import DataError
from netvlad.evaluation.confidence import ConfidenceMeasures, measure_confidence
from netvlad.fitting.calibration import Calibration, fit_calibration
from netvlad.geography import radius_neighbours
from netvlad.index.answer import CANDIDATES
from netvlad.index.probability import (
    LOCATED_FEATURES,
    answer_features,
    default_calibrations,
)
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import Matcher
from netvlad.matching.rerank import Reranked, rerank
from netvlad.matching.sift import ROOT_SIFT
from netvlad.models import PlaceModel
from netvlad.search import search_exact
from netvlad.types import PlaceDataset, Progress, Reporter, silent

FOLDS = 5
AWAY_M = 100.0
"""For a query of a place that is not in the index, all places this near it are left out."""


@dataclass(frozen=True, eq=False)
class LabelledAnswers:
    """Answers to the queries of a data set, each asked twice: with its place there, and without.

    Attributes:
        features: (n, f) what the calibration reads.
        correct: (n,) whether the first place lay within the radius of the query.
        query: (n,) which query it was.
    """

    features: NDArray[np.float64]
    correct: NDArray[np.bool_]
    query: NDArray[np.int64]


def labelled_answers(
    model: PlaceModel,
    dataset: PlaceDataset,
    *,
    radius_m: float = 25.0,
    cache: FeatureCache | None = None,
    matcher: Matcher = ROOT_SIFT,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> LabelledAnswers:
    """Ask every query of a data set twice: of its whole database, and without its surroundings.

    Args:
        model: describes both sides.
        dataset: needs positions; those of one zone, in metres.
        radius_m: how near the first place must lie to be right.
        cache: of local features; given, the answers are re-ranked.
        matcher: by which.
        compute: where and how images are described.
        report: receives progress and notes.

    Raises:
        DataError: images have no positions.
    """
    places, truth = dataset.database.positions, dataset.queries.positions
    if places is None or truth is None:
        raise DataError(f"{dataset.name}: a calibration needs positions of images and queries")
    sides = [
        describe(model, images, compute=compute, stage=stage, report=report)
        for images, stage in (
            (dataset.database, "Describing the database"),
            (dataset.queries, "Describing queries"),
        )
    ]
    usable = np.isfinite(truth).all(axis=1) & sides[1].readable
    near = radius_neighbours(truth, places, AWAY_M)
    k = CANDIDATES + int(near.counts().max(initial=0))
    found = search_exact(
        sides[1].values,
        sides[0].values,
        min(k, len(places)),
        query_mask=usable,
        database_mask=sides[0].readable,
    )
    names = feature_names(model, reranked=cache is not None)
    rows, correct, queries = [], [], []
    asked = np.flatnonzero(usable).tolist()
    for done, query in enumerate(asked, 1):
        there = found.indices[query] >= 0
        indices = found.indices[query][there]
        scores = 1.0 - found.squared_distances[query][there].astype(np.float64) / 2.0
        away = ~np.isin(indices, near.row(query))
        for shown in (np.ones(len(indices), np.bool_), away):
            first, cosines = indices[shown][:CANDIDATES], scores[shown][:CANDIDATES]
            if not len(first):
                continue
            support = None
            if cache is not None:
                found_here = _verified(cache, matcher, dataset, query, first, cosines)
                order, support = found_here.order, found_here.support
                first, cosines = first[order], cosines[order]
            positions = places[first] - places[first[0]]
            features = answer_features(cosines, positions, support, radius_m=radius_m, names=names)
            if features is None:
                continue
            rows.append(features)
            correct.append(bool(np.hypot(*(places[first[0]] - truth[query])) <= radius_m))
            queries.append(query)
        if cache is not None:
            report(Progress("Verifying answers", done, len(asked), "queries"))
    if not rows:
        raise DataError(f"{dataset.name}: not one query could be answered with a position")
    return LabelledAnswers(np.stack(rows), np.array(correct), np.array(queries, np.int64))


def _verified(
    cache: FeatureCache,
    matcher: Matcher,
    dataset: PlaceDataset,
    query: int,
    candidates: NDArray[np.int64],
    cosines: NDArray[np.float64],
) -> Reranked:
    return rerank(
        cache.get(dataset.queries.path(query), matcher),
        [cache.get(dataset.database.path(int(index)), matcher) for index in candidates],
        cosines,
        matcher,
    )


def feature_names(model: PlaceModel, *, reranked: bool = False) -> tuple[str, ...]:
    """The features that probabilities of this model's answers are computed from."""
    return LOCATED_FEATURES if reranked else default_calibrations(model.spec)[0].names


def fit(
    answers: LabelledAnswers,
    dataset: PlaceDataset,
    names: tuple[str, ...],
    *,
    radius_m: float = 25.0,
) -> tuple[Calibration, ConfidenceMeasures]:
    """Fit a calibration, and measure one of its kind on places that were not used to fit it.

    The measures are those of cross-validation over :func:`folds_with_gaps` of the ground.

    Args:
        answers: from :func:`labelled_answers`.
        dataset: what they were answers to.
        names: of the features, see :func:`feature_names`.
        radius_m: what was counted as right.

    Raises:
        DataError: the answers are all right or all wrong, or the queries lie too near to each other
            to hold any out.
    """
    assert dataset.queries.positions is not None
    held_out = np.full(len(answers.query), np.nan)
    for here, rest in folds_with_gaps(dataset.queries.positions[answers.query], radius_m):
        # Too few are left to learn from where most of the ground is within the gap.
        with contextlib.suppress(DataError):
            part = fit_calibration(
                answers.features[rest], answers.correct[rest], names=names, radius_m=radius_m
            )
            held_out[here] = part.probability(answers.features[here])
    measured = np.isfinite(held_out)
    if not measured.any():
        raise DataError(
            f"{dataset.name} {dataset.split}: its queries cannot be parted into groups "
            f"{radius_m:g} m from each other, so that none can be held out; take a larger data set"
        )
    calibration = fit_calibration(
        answers.features,
        answers.correct,
        names=names,
        radius_m=radius_m,
        provenance={"data": f"{dataset.name} {dataset.split}"},
    )
    return calibration, measure_confidence(
        held_out[measured], answers.correct[measured], groups=answers.query[measured]
    )


def folds_with_gaps(
    positions: NDArray[np.float64], gap_m: float
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Part the ground into strips to hold out, and what may be learned from meanwhile.

    Neighbours show one place: what lies near a strip is left out of what is learned from (blocked
    cross-validation with a buffer, Roberts et al., Ecography 40, 2017).

    Args:
        positions: (n, 2) metres. The strips lie across the longer side of the area.
        gap_m: what is learned from lies farther than this from all that is held out.

    Yields:
        :data:`FOLDS` times, or fewer where positions coincide, (n,) which are held out and (n,)
        which are learned from.
    """
    along = positions[:, int(np.argmax(np.ptp(positions, axis=0)))]
    limits = np.quantile(along, np.linspace(0, 1, FOLDS + 1)[1:-1])
    strip = np.searchsorted(limits, along)
    for number in np.unique(strip):
        here = strip == number
        distance, _ = KDTree(positions[here]).query(positions)
        yield here, np.asarray(distance) > gap_m
