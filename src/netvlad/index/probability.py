"""How sure an answer is: what its list of places looks like, and the probability that follows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError
from netvlad.fitting.calibration import Calibration
from netvlad.matching.registry import DEFAULT_MATCHER, matcher_name

NEIGHBOURS = 20
"""How many of the nearest places the features are made for; further ones are not looked at."""

RADIUS_M = 25.0
SHARPNESS = 3.0
"""Of the weights in ``agreement``, see :func:`~netvlad.index.probability.score_weights`."""

FEATURES = ("next_ratio", "tail_ratio", "agreement")
"""What a calibration reads unless it was fitted to something else."""

RERANKED_FEATURES = (*FEATURES, "root_evidence")
"""The same for answers that were re-ranked."""

ALL_FEATURES = (*FEATURES, "tail_rise", "root_evidence")

# The same picture has distance 0; half-precision rows and rounding leave about this much.
_SMALLEST_DISTANCE = 0.01
_STEEPEST_RISE = 50.0


@dataclass(frozen=True, eq=False)
class AnswerFeatures:
    """What the lists of n answers look like; all NaN where an answer cannot be judged.

    Scores are turned into distances of unit vectors, d = √(2 − 2·score), and distances are compared
    with others of the same list, so that nothing depends on where a model's scores lie.

    Attributes:
        next_ratio: (n,) log of the first place's distance over that of the next *different* place
            (Lowe's ratio test, IJCV 2004, section 7.1, between places instead of features).
        tail_ratio: (n,) log of the first place's distance over one at the average score of the
            list's last half.
        agreement: (n,) share of the list, weighted by score, that is the first place: the idea of
            spatial uncertainty estimation (Zaffar et al., CVPR 2024).
        tail_rise: (n,) log(1 + z), z standard deviations of the last half's scores between their
            average and the first score, at most 50.
        root_evidence: (n,) √E of the first place, see :func:`~netvlad.matching.rerank.verify_pair`;
            None without re-ranking.
    """

    next_ratio: NDArray[np.float64]
    tail_ratio: NDArray[np.float64]
    agreement: NDArray[np.float64]
    tail_rise: NDArray[np.float64]
    root_evidence: NDArray[np.float64] | None = None

    def matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(n, f) the features called ``names``, as a calibration reads them.

        Raises:
            SettingsError: there is no feature of that name, or it needs re-ranked answers.
        """
        columns = []
        for name in names:
            if name not in ALL_FEATURES:
                raise SettingsError(
                    f"unknown feature {name!r}; there are {', '.join(ALL_FEATURES)}"
                )
            column = getattr(self, name)
            if column is None:
                raise SettingsError(
                    f"feature {name!r} needs evidence: re-rank the answers, or use a calibration "
                    "that was fitted without"
                )
            columns.append(column)
        return np.stack(columns, axis=1)


def features_of_answers(
    scores: NDArray[np.floating],
    positions: NDArray[np.floating],
    evidence: NDArray[np.float64] | None = None,
    radius_m: float = RADIUS_M,
) -> AnswerFeatures:
    """The features of many answers.

    An answer can be judged when the first place and at least one other have a position. Places
    without one count in the tail only.

    Args:
        scores: (n, k) cosine similarities, the first place first; NaN or −inf where a list ends
            early. After re-ranking they need not descend. Only :data:`NEIGHBOURS` are looked at.
        positions: (n, k, 2) metres in any frame, one for each answer; NaN where unknown.
        evidence: (n,) of the first place, when the answers were re-ranked.
        radius_m: places at most this far from the first are the same place.

    Raises:
        DataError: shapes do not fit.
        SettingsError: the radius is not a positive number.
    """
    s = np.asarray(scores, np.float64)[..., :NEIGHBOURS]
    metres = np.asarray(positions, np.float64)[..., :NEIGHBOURS, :]
    if s.ndim != 2 or metres.shape != (*s.shape, 2):
        raise DataError(
            f"scores {np.shape(scores)} and positions {np.shape(positions)} do not fit; "
            "give (n, k) and (n, k, 2)"
        )
    if evidence is not None and np.shape(evidence) != s.shape[:1]:
        raise DataError(
            f"evidence {np.shape(evidence)}; give one number for each of {len(s)} answers"
        )
    if not (np.isfinite(radius_m) and radius_m > 0):
        raise SettingsError(f"radius_m is {radius_m}; give a number of metres above 0")
    located = np.isfinite(s) & np.isfinite(metres).all(axis=2)
    judged = located[:, :1].any(axis=1) & (located.sum(axis=1) >= 2)
    table = np.full((4, len(s)), np.nan)
    if judged.any():
        table[:, judged] = _of_judged(s[judged], metres[judged], located[judged], radius_m)
    counted = None
    if evidence is not None:
        counted = np.where(judged, np.sqrt(np.asarray(evidence, np.float64)), np.nan)
    return AnswerFeatures(table[0], table[1], table[2], table[3], counted)


def answer_features(
    scores: NDArray[np.floating],
    positions: NDArray[np.floating],
    evidence: float | None = None,
    radius_m: float = RADIUS_M,
    *,
    names: Sequence[str] = FEATURES,
) -> NDArray[np.float64] | None:
    """The features of one answer, see :func:`features_of_answers`.

    Args:
        scores: (k,) cosine similarities, the first place first.
        positions: (k, 2) metres, as :func:`~netvlad.index.position.metres_around` gives them.
        evidence: of the first place, when the answer was re-ranked.
        radius_m: places at most this far from the first are the same place.
        names: which features, in which order.

    Returns:
        (f,) or None when the answer cannot be judged for want of positions.

    Raises:
        DataError: shapes do not fit.
        SettingsError: a name is unknown, or it needs evidence and there are none.
    """
    counted = None if evidence is None else np.array([evidence])
    features = features_of_answers(
        np.asarray(scores)[None], np.asarray(positions)[None], counted, radius_m
    )
    row: NDArray[np.float64] = features.matrix(names)[0]
    return None if np.isnan(row).any() else row


def first_place_probability(
    calibration: Calibration,
    scores: NDArray[np.floating],
    positions: NDArray[np.floating],
    evidence: float | None = None,
    radius_m: float | None = None,
) -> float | None:
    """The probability that the first place of one answer is right.

    Args:
        calibration: says which features to look at, and how.
        scores: (k,) as for :func:`answer_features`; give :data:`NEIGHBOURS` places where the index
            has so many, whatever number the user wants to see.
        positions: (k, 2) metres, NaN where unknown.
        evidence: of the first place; looked at only by a calibration that was fitted with it.
        radius_m: places at most this far from the first are the same; None is the calibration's.

    Returns:
        a number in [0, 1], or None when there are too few positions to judge by.

    Raises:
        DataError: shapes do not fit.
        SettingsError: the calibration needs evidence and there are none.
    """
    same = calibration.radius_m if radius_m is None else radius_m
    features = answer_features(scores, positions, evidence, same, names=calibration.names)
    return None if features is None else float(calibration.probability(features))


@cache
def default_calibration(pooling: str = "netvlad", *, reranked: bool = False) -> Calibration:
    """The calibration that ships, for when no other was fitted.

    Args:
        pooling: the model's aggregator. NetVLAD, whitened or not, has a calibration of its own;
            all others share one that is less sharp. NetVLAD's is far too sure of other models'
            answers: distances between their descriptors vary more.
        reranked: whether the answers were re-ranked, by RootSIFT. Then the evidence counts too, for
            NetVLAD; other models' answers are judged as if they were not.

    Raises:
        StorageError: the package's own file is damaged.
    """
    name = "default_calibration.json"
    content = json.loads(files("netvlad.index").joinpath(name).read_text(encoding="utf-8"))
    kind = "netvlad" if pooling == "netvlad" else "other"
    if reranked and f"{kind}-reranked" in content:
        kind = f"{kind}-reranked"
    return Calibration.from_json(content[kind], name)


def document_name(*, reranked: bool | str) -> str:
    """What the calibration of an index is kept under.

    Args:
        reranked: whether it is for answers that were re-ranked, or by which matcher: the evidence
            of one says nothing about another's.

    Raises:
        SettingsError: there is no matcher of that name.
    """
    matcher = matcher_name(reranked)
    if matcher is None:
        return "calibration"
    return "calibration-reranked" + ("" if matcher == DEFAULT_MATCHER else f"-{matcher}")


def _of_judged(
    scores: NDArray[np.float64],
    metres: NDArray[np.float64],
    located: NDArray[np.bool_],
    radius_m: float,
) -> tuple[NDArray[np.float64], ...]:
    """The first four features, (n,) each; ``located`` (n, k) says which places have a position."""
    offsets = metres - metres[:, :1]
    near = np.hypot(offsets[..., 0], offsets[..., 1]) <= radius_m
    different = located & ~near
    first, (tail_mean, tail_spread) = scores[:, 0], tail_statistics(scores)
    present = np.isfinite(scores)
    next_score = np.where(
        different.any(axis=1),
        np.where(different, scores, -np.inf).max(axis=1),
        # No different place in the list: the next one scores at most as much as the last.
        np.where(present, scores, np.inf).min(axis=1),
    )
    weights = np.where(located, score_weights(scores, SHARPNESS), 0.0)
    rise = np.clip(first - tail_mean, 0, None)
    z = rise / np.maximum(tail_spread, rise / _STEEPEST_RISE + 1e-12)
    return (
        np.log(_distance(first) / _distance(next_score)),
        np.log(_distance(first) / _distance(tail_mean)),
        (weights * near).sum(axis=1) / weights.sum(axis=1),
        np.log1p(z),
    )


def _distance(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.sqrt(
        np.maximum(2 - 2 * scores, _SMALLEST_DISTANCE * _SMALLEST_DISTANCE)
    )
    return distances


def tail_statistics(
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The average and the standard deviation of the last half of each list.

    Args:
        scores: (n, k), at least one of each list finite; the others do not count.

    Returns:
        (n,) and (n,): of the lowest ⌈c / 2⌉ of a list's c scores.
    """
    present = np.isfinite(scores)
    counts = present.sum(axis=1, keepdims=True)
    descending = -np.sort(np.where(present, -scores, np.inf), axis=1)
    rank = np.arange(scores.shape[1])
    tail = (rank >= counts // 2) & (rank < counts)
    size = tail.sum(axis=1)
    mean = np.where(tail, descending, 0.0).sum(axis=1) / size
    offsets = np.where(tail, descending, mean[:, None]) - mean[:, None]
    return mean, np.sqrt(np.square(offsets).sum(axis=1) / size)


def score_weights(scores: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """A softmax whose temperature is the height of the best score above the tail, over sharpness.

    A place that scores like the tail weighs exp(−sharpness) as much as the best one. Lists of equal
    scores get equal weights.

    Args:
        scores: (n, k), at least one of each list finite; the others get no weight.
        sharpness: 0 or more.

    Returns:
        (n, k) weights, 1 for the best score of each list. They are not normalised.
    """
    present = np.isfinite(scores)
    usable = np.where(present, scores, -np.inf)
    best = usable.max(axis=1, keepdims=True)
    height = best - tail_statistics(scores)[0][:, None]
    below = np.where(present, best - np.where(present, scores, best), np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Where nothing rises above the tail, all scores are equal and 0 / 0 means 0.
        relative = np.where(below == 0, 0.0, below / height)
    weights: NDArray[np.float64] = np.exp(-sharpness * relative)
    return weights
