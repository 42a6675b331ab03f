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
from netvlad.index.results import Verdict
from netvlad.matching.registry import DEFAULT_MATCHER, matcher_name
from netvlad.matching.rerank import Support
from netvlad.models import ModelSpec

NEIGHBOURS = 20
"""How many of the nearest places the features are made for; further ones are not looked at."""

RADIUS_M = 25.0
SHARPNESS = 3.0
"""Of the weights in ``agreement``, see :func:`~netvlad.index.probability.score_weights`."""

FEATURES = ("next_ratio", "tail_ratio", "agreement")
"""What a calibration reads unless it was fitted to something else."""

VERIFIED_FEATURES = ("log_evidence", "log_inliers", "tail_ratio", "tail_rise", "log_margin")
"""The same for answers that were verified; positions are not needed."""

LOCATED_FEATURES = (*VERIFIED_FEATURES, "agreement", "log_place_margin", "log_lead")
"""The same for verified answers of places with positions."""

ALL_FEATURES = tuple(dict.fromkeys((*FEATURES, *LOCATED_FEATURES)))

HERE, ELSEWHERE = 0.8, 0.1
"""From this probability on an answer is "here"; below that one it is "no place of this index"."""

# The same picture has distance 0; half-precision rows and rounding leave about this much.
_SMALLEST_DISTANCE = 0.01
_STEEPEST_RISE = 50.0
_LITTLE_EVIDENCE = 0.1  # nine in ten pairs of photos of different streets have less


@dataclass(frozen=True, eq=False)
class AnswerFeatures:
    """What the lists of n answers look like; NaN where an answer cannot be judged by a feature.

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
        log_evidence: (n,) log(1 + E) of the first place, see
            :func:`~netvlad.matching.rerank.verify_pair`; NaN without verification, as what follows.
        log_inliers: (n,) log(1 + inliers) of the first place.
        log_margin: (n,) log(1 + m), m standard deviations of the similarities by which the first
            place's score lies above the next one; 0 for a single candidate.
        log_place_margin: (n,) the same above the next *different* place: where places look alike,
            as the storeys of a house do, other places have scores that are nearly as high.
        log_lead: (n,) log((E + 0.1) / (R + 0.1)), R the evidence for the different place that has
            the most.
    """

    next_ratio: NDArray[np.float64]
    tail_ratio: NDArray[np.float64]
    agreement: NDArray[np.float64]
    tail_rise: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    log_inliers: NDArray[np.float64]
    log_margin: NDArray[np.float64]
    log_place_margin: NDArray[np.float64]
    log_lead: NDArray[np.float64]

    def matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(n, f) the features called ``names``, as a calibration reads them.

        Raises:
            SettingsError: there is no feature of that name.
        """
        unknown = [name for name in names if name not in ALL_FEATURES]
        if unknown:
            raise SettingsError(
                f"unknown feature {unknown[0]!r}; there are {', '.join(ALL_FEATURES)}; fit a "
                "calibration of an earlier version again with `netvlad index calibrate`"
            )
        return np.stack([getattr(self, name) for name in names], axis=1)


def features_of_answers(
    scores: NDArray[np.floating],
    positions: NDArray[np.floating] | None = None,
    support: Sequence[Support] | None = None,
    radius_m: float = RADIUS_M,
) -> AnswerFeatures:
    """The features of many answers.

    What compares with a different place needs a position of the first place and of another. Places
    without one count in the tail only.

    Args:
        scores: (n, k) cosine similarities, the first place first; NaN or −inf where a list ends
            early. After verification they need not descend. Only :data:`NEIGHBOURS` are looked at.
        positions: (n, k, 2) metres in any frame, one for each answer; NaN where unknown.
        support: n, where the answers were verified.
        radius_m: places at most this far from the first are the same place.

    Raises:
        DataError: shapes do not fit.
        SettingsError: the radius is not a positive number.
    """
    s = np.asarray(scores, np.float64)[..., :NEIGHBOURS]
    if positions is None:
        positions = np.full((*np.shape(scores), 2), np.nan)
    metres = np.asarray(positions, np.float64)[..., :NEIGHBOURS, :]
    if s.ndim != 2 or metres.shape != (*s.shape, 2):
        raise DataError(
            f"scores {np.shape(scores)} and positions {np.shape(positions)} do not fit; "
            "give (n, k) and (n, k, 2)"
        )
    if support is not None and len(support) != len(s):
        raise DataError(f"support of {len(support)} answers; give it for each of {len(s)}")
    if not (np.isfinite(radius_m) and radius_m > 0):
        raise SettingsError(f"radius_m is {radius_m}; give a number of metres above 0")
    listed = np.isfinite(s[:, :1]).any(axis=1)
    located = np.isfinite(s) & np.isfinite(metres).all(axis=2)
    judged = located[:, :1].any(axis=1) & (located.sum(axis=1) >= 2)
    table, logs = np.full((4, len(s)), np.nan), np.full((5, len(s)), np.nan)
    different = np.zeros(s.shape, np.bool_)
    if listed.any():
        table[1, listed], table[3, listed] = _of_the_tail(s[listed])
    if judged.any():
        table[0, judged], table[2, judged], different[judged] = _of_the_ground(
            s[judged], metres[judged], located[judged], radius_m
        )
    for i, one in enumerate(support or ()):
        logs[:, i] = _of_the_support(one, different[i] if judged[i] else None)
    return AnswerFeatures(*table, *logs)


def answer_features(
    scores: NDArray[np.floating],
    positions: NDArray[np.floating] | None = None,
    support: Support | None = None,
    radius_m: float = RADIUS_M,
    *,
    names: Sequence[str] = FEATURES,
) -> NDArray[np.float64] | None:
    """The features of one answer, see :func:`features_of_answers`.

    Args:
        scores: (k,) cosine similarities, the first place first.
        positions: (k, 2) metres, as :func:`~netvlad.index.position.metres_around` gives them.
        support: where the answer was verified.
        radius_m: places at most this far from the first are the same place.
        names: which features, in which order.

    Returns:
        (f,) or None when the answer cannot be judged by these.

    Raises:
        DataError: shapes do not fit.
        SettingsError: a name is unknown.
    """
    features = features_of_answers(
        np.asarray(scores)[None],
        None if positions is None else np.asarray(positions)[None],
        None if support is None else [support],
        radius_m,
    )
    row: NDArray[np.float64] = features.matrix(names)[0]
    return None if np.isnan(row).any() else row


def first_place_probability(
    calibrations: Sequence[Calibration],
    scores: NDArray[np.floating],
    positions: NDArray[np.floating] | None = None,
    support: Support | None = None,
    radius_m: float | None = None,
) -> float | None:
    """The probability that the first place of one answer is right.

    Args:
        calibrations: the first of these counts whose features are all known. One that needs no
            verification is passed over where there are fewer than :data:`NEIGHBOURS` places: how
            the scores of a short list lie says little.
        scores: (k,) as for :func:`answer_features`; give :data:`NEIGHBOURS` places where the index
            has so many, whatever number the user wants to see.
        positions: (k, 2) metres, NaN where unknown.
        support: where the answer was verified.
        radius_m: places at most this far from the first are the same; None is the calibration's.

    Returns:
        a number in [0, 1], or None when there is too little to judge by.

    Raises:
        DataError: shapes do not fit.
        SettingsError: a calibration reads a feature that there is not.
    """
    for calibration in calibrations:
        if len(scores) < NEIGHBOURS and "log_evidence" not in calibration.names:
            continue
        same = calibration.radius_m if radius_m is None else radius_m
        features = answer_features(scores, positions, support, same, names=calibration.names)
        if features is not None:
            return float(calibration.probability(features))
    return None


def verdict_of(probability: float | None, min_probability: float = HERE) -> Verdict:
    """The one rule that turns probabilities into words.

    "Here" from ``min_probability`` on, "elsewhere" (no place of this index) below
    :data:`ELSEWHERE`, "perhaps" between them, and "cannot tell" where there is no probability.

    Example:
        >>> [verdict_of(p) for p in (0.9, 0.5, 0.05, None)]
        ['here', 'perhaps', 'elsewhere', 'cannot-tell']
    """
    if probability is None:
        return "cannot-tell"
    if probability >= min_probability:
        return "here"
    return "elsewhere" if probability < ELSEWHERE else "perhaps"


@cache
def default_calibrations(spec: ModelSpec, *, verified: bool = False) -> tuple[Calibration, ...]:
    """The calibrations that ship, for when no other was fitted, those that know most first.

    Args:
        spec: what the model is made of. For answers that were not verified NetVLAD has a
            calibration of its own, partly whitened another one; all others share one that is less
            sharp. NetVLAD's is far too sure of other models' answers: distances between their
            descriptors vary more.
        verified: whether the answers may have been verified, by RootSIFT.

    Raises:
        StorageError: the package's own file is damaged.
    """
    name = "default_calibration.json"
    content = json.loads(files("netvlad.index").joinpath(name).read_text(encoding="utf-8"))
    kinds = ["verified-located", "verified"] if verified else []
    if spec.pooling != "netvlad":
        kinds.append("other")
    else:
        kinds.append("partly-whitened" if spec.whitened_directions else "netvlad")
    return tuple(Calibration.from_json(content[kind], name) for kind in kinds)


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


def _of_the_tail(
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``tail_ratio`` and ``tail_rise``, (n,) each."""
    first, (tail_mean, tail_spread) = scores[:, 0], tail_statistics(scores)
    rise = np.clip(first - tail_mean, 0, None)
    z = rise / np.maximum(tail_spread, rise / _STEEPEST_RISE + 1e-12)
    return np.log(_distance(first) / _distance(tail_mean)), np.log1p(z)


def _of_the_ground(
    scores: NDArray[np.float64],
    metres: NDArray[np.float64],
    located: NDArray[np.bool_],
    radius_m: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """``next_ratio`` and ``agreement``, and which places (n, k) are different ones; ``located``
    (n, k) says which have a position."""
    offsets = metres - metres[:, :1]
    near = np.hypot(offsets[..., 0], offsets[..., 1]) <= radius_m
    different = located & ~near
    present = np.isfinite(scores)
    next_score = np.where(
        different.any(axis=1),
        np.where(different, scores, -np.inf).max(axis=1),
        # No different place in the list: the next one scores at most as much as the last.
        np.where(present, scores, np.inf).min(axis=1),
    )
    weights = np.where(located, score_weights(scores, SHARPNESS), 0.0)
    return (
        np.log(_distance(scores[:, 0]) / _distance(next_score)),
        (weights * near).sum(axis=1) / weights.sum(axis=1),
        different,
    )


def _of_the_support(support: Support, different: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """``log_evidence`` and what follows it, of one answer; ``different`` (k,) are other places."""
    evidence, scores = support.evidence[:NEIGHBOURS], support.scores[:NEIGHBOURS]
    margin = scores[0] - scores[1:].max() if len(scores) > 1 else 0.0
    place_margin = lead = np.nan
    if different is not None:
        others = different[: len(scores)]
        # No different place in the list: the next one scores at most as much as the last.
        place_margin = scores[0] - (scores[others].max() if others.any() else scores.min())
        rival = evidence[others].max(initial=0.0)
        lead = np.log((evidence[0] + _LITTLE_EVIDENCE) / (rival + _LITTLE_EVIDENCE))
    values = (evidence[0], support.inliers, max(margin, 0), np.maximum(place_margin, 0))
    return np.append(np.log1p(np.array(values, np.float64)), lead)


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
