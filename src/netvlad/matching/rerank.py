"""Re-ranking: the best candidates of a query in a new order, after comparing local features.

What was tried, and what it gains, is in ``docs/reranking.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from netvlad.errors import DataError
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.sift import ROOT_SIFT

TOLERANCE = (1 / 32, 1 / 64)
"""Standard deviations, as shares of the photo's longer side, within which displacements agree:
horizontally, where parallax moves things most, and vertically."""

EPIPOLAR_WITHIN = 1.5
"""How far from its epipolar line a match may lie, in 640ths of the photo's longer side."""

_INLIER_WITHIN = 2.0  # standard deviations
_LEAST_FOR_EPIPOLAR = 8  # seven matches fit some geometry, whatever they show
_TRIALS, _CONFIDENCE = 1000, 0.999
# Of candidates that are all as similar as each other the evidence decides.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Verified:
    """What speaks for two photos showing the same scene from nearly the same place.

    Attributes:
        evidence: the effective number of matches that agree, at least 0. By RootSIFT, one in a
            hundred pairs of street views taken more than 50 m apart has more than 0.25.
        matches: (m, 2) int64 indices (into the query's, into the candidate's features) of the
            matches that agree, best first.
    """

    evidence: float
    matches: NDArray[np.int64]

    @property
    def inliers(self) -> int:
        """How many matches agree."""
        return len(self.matches)


class Support(NamedTuple):
    """What verification says of the k candidates of an answer, best first.

    Attributes:
        evidence: (k,) float64 of each, see :class:`Verified`; 0 where it has no features.
        scores: (k,) float64, in standard deviations of the similarities.
        inliers: of the first.
    """

    evidence: NDArray[np.float64]
    scores: NDArray[np.float64]
    inliers: int


@dataclass(frozen=True, eq=False)
class Reranked:
    """Candidates in a new order.

    Attributes:
        order: (k,) int64 indices into the candidates, best first.
        verified: of each candidate, in the old order; None where it had no features to look at.
        scores: (k,) float64, in the old order: the similarity, raised by the evidence.
        support: what speaks for each, in the new order.
    """

    order: NDArray[np.int64]
    verified: tuple[Verified | None, ...]
    scores: NDArray[np.float64]
    support: Support


def verify_pair(
    query: LocalFeatures, candidate: LocalFeatures, matcher: Matcher = ROOT_SIFT
) -> Verified:
    """Compare the local features of two photos.

    The matcher pairs them and gives each match a weight w: RootSIFT by how distinct it is, see
    :meth:`~netvlad.matching.sift.RootSift.match`; LightGlue by its confidence. Then, by
    :attr:`~netvlad.matching.features.Matcher.agreement`, matches agree where they are displaced
    alike, or where one fundamental matrix explains them (MAGSAC++, Barath et al., CVPR 2020); then
    the evidence is the sum of their weights.

    *Displacement.* Each match j is a displacement (x_j, y_j) of its point, in units of the longer
    side. The evidence is the highest density of displacements,

        E = max_i Σ_j w_j exp(−½ [((x_i − x_j) / σ_x)² + ((y_i − y_j) / σ_y)²]),

    a generalised Hough transform (Ballard, 1981) over two degrees of freedom, read off by kernels
    instead of cells. So few degrees of freedom leave wrong pairs little to agree on by chance, and
    a view from farther down the street, whose displacements fan out, gets less than one from here.
    Nothing is drawn at random there, and by a fixed seed in MAGSAC++: the same photos give the same
    evidence.

    Args:
        query: its features, as ``matcher`` finds them.
        candidate: likewise.
        matcher: pairs them.

    Returns:
        The evidence, 0 where nothing matches, and the matches that agree: those within 2 σ of the
        best i, or on their epipolar lines.
    """
    pairs, weights = matcher.match(query, candidate)
    if len(pairs) == 0:
        return Verified(0.0, pairs)
    ours = query.points[pairs[:, 0]] / max(query.size)
    theirs = candidate.points[pairs[:, 1]] / max(candidate.size)
    if matcher.agreement == "epipolar":
        agreeing = np.flatnonzero(_on_epipolar_lines(ours, theirs))
        evidence = float(weights[agreeing].sum())
    else:
        evidence, agreeing = _displaced_alike(ours, theirs, weights)
    agreeing = agreeing[np.argsort(-weights[agreeing], kind="stable")]
    return Verified(evidence, pairs[agreeing])


def _on_epipolar_lines(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> NDArray[Any]:
    nothing = np.zeros(len(ours), np.bool_)
    if len(ours) < _LEAST_FOR_EPIPOLAR:
        return nothing
    try:
        _, inliers = cv2.findFundamentalMat(
            ours * 640, theirs * 640, cv2.USAC_MAGSAC, EPIPOLAR_WITHIN, _CONFIDENCE, _TRIALS
        )
    except cv2.error:  # all points on one line, or in one spot
        return nothing
    return nothing if inliers is None else inliers.ravel() > 0


def _displaced_alike(
    ours: NDArray[np.floating], theirs: NDArray[np.floating], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.int64]]:
    displacement = (theirs - ours) / np.array(TOLERANCE)
    squared = np.square(displacement[:, None] - displacement).sum(axis=2)
    density = np.exp(-0.5 * squared) @ weights
    best = int(density.argmax())
    return float(density[best]), np.flatnonzero(squared[best] <= _INLIER_WITHIN**2)


def rerank(
    query: LocalFeatures,
    candidates: Sequence[LocalFeatures | None],
    similarities: ArrayLike,
    matcher: Matcher = ROOT_SIFT,
) -> Reranked:
    """Order the candidates of a query by similarity and evidence together.

    The score is s + w σ √E: the descriptors' similarity s, the standard deviation σ of the
    candidates' similarities (which differs from one model to another), the evidence E of
    :func:`verify_pair`, and the matcher's own w (10 for RootSIFT). Evidence alone would break as
    many first places as it mends.

    Args:
        query: its local features.
        candidates: k, some twenty; None for one without features (its file is gone), which keeps
            its rank by similarity while the others change places around it.
        similarities: (k,) cosines of the descriptors, in any order.
        matcher: found the features, and pairs them.

    Returns:
        The new order; of candidates with equal scores the more similar comes first.

    Raises:
        DataError: there is not one similarity for each candidate.
    """
    similar = np.asarray(similarities, dtype=np.float64)
    if similar.shape != (len(candidates),):
        raise DataError(
            f"similarities: {len(candidates)} candidates but an array of shape {similar.shape}; "
            "give one for each"
        )
    verified = tuple(None if c is None else verify_pair(query, c, matcher) for c in candidates)
    evidence = np.array([0.0 if v is None else v.evidence for v in verified])
    spread = max(float(similar.std()), _LEAST_SPREAD) if len(similar) else 0.0
    scores = similar + matcher.weight * spread * np.sqrt(evidence)
    order = np.argsort(-similar, kind="stable")
    movable = np.array([verified[i] is not None for i in order], dtype=np.bool_)
    moving = order[movable]
    order[movable] = moving[np.argsort(-scores[moving], kind="stable")]
    first = verified[order[0]] if len(order) else None
    support = Support(
        evidence[order], scores[order] / (spread or 1.0), 0 if first is None else first.inliers
    )
    return Reranked(order, verified, scores, support)
