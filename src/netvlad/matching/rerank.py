"""Re-ranking: the best candidates of a query in a new order, after comparing local features.

What was tried, and what it gains, is in ``docs/reranking.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netvlad.errors import DataError
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.sift import ROOT_SIFT

TOLERANCE = (1 / 32, 1 / 64)
"""Standard deviations, as shares of the photo's longer side, within which displacements agree:
horizontally, where parallax moves things most, and vertically."""

WEIGHT = 10.0
"""What the square root of the evidence counts for, in standard deviations of the candidates'
similarities. Chosen with RootSIFT, for which anything from 6 to 14 does nearly the same."""

_INLIER_WITHIN = 2.0  # standard deviations
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


@dataclass(frozen=True, eq=False)
class Reranked:
    """Candidates in a new order.

    Attributes:
        order: (k,) int64 indices into the candidates, best first.
        verified: of each candidate, in the old order; None where it had no features to look at.
        scores: (k,) float64, in the old order: the similarity, raised by the evidence.
    """

    order: NDArray[np.int64]
    verified: tuple[Verified | None, ...]
    scores: NDArray[np.float64]


def verify_pair(
    query: LocalFeatures, candidate: LocalFeatures, matcher: Matcher = ROOT_SIFT
) -> Verified:
    """Compare the local features of two photos.

    The matcher pairs them and gives each match a weight w: RootSIFT by how distinct it is, see
    :meth:`~netvlad.matching.sift.RootSift.match`; learned ones the confidence of LightGlue.
    Each match j is a displacement (x_j, y_j) of its point, in units of the longer side. The
    evidence is the highest density of displacements,

        E = max_i Σ_j w_j exp(−½ [((x_i − x_j) / σ_x)² + ((y_i − y_j) / σ_y)²]),

    a generalised Hough transform (Ballard, 1981) over two degrees of freedom, read off by kernels
    instead of cells. So few degrees of freedom leave wrong pairs little to agree on by chance, and
    a view from farther down the street, whose displacements fan out, gets less than one from here.
    Nothing is drawn at random: the same photos give the same evidence.

    Args:
        query: its features, as ``matcher`` finds them.
        candidate: likewise.
        matcher: pairs them.

    Returns:
        The evidence, 0 where nothing matches, and the matches within 2 σ of the best i.
    """
    pairs, weights = matcher.match(query, candidate)
    if len(pairs) == 0:
        return Verified(0.0, pairs)
    displacement = (
        candidate.points[pairs[:, 1]] / max(candidate.size)
        - query.points[pairs[:, 0]] / max(query.size)
    ) / np.array(TOLERANCE)
    squared = np.square(displacement[:, None] - displacement).sum(axis=2)
    density = np.exp(-0.5 * squared) @ weights
    best = int(density.argmax())
    agreeing = np.flatnonzero(squared[best] <= _INLIER_WITHIN**2)
    agreeing = agreeing[np.argsort(-weights[agreeing], kind="stable")]
    return Verified(float(density[best]), pairs[agreeing])


def rerank(
    query: LocalFeatures,
    candidates: Sequence[LocalFeatures | None],
    similarities: ArrayLike,
    matcher: Matcher = ROOT_SIFT,
) -> Reranked:
    """Order the candidates of a query by similarity and evidence together.

    The score is s + 10 σ √E: the descriptors' similarity s, the standard deviation σ of the
    candidates' similarities (which differs from one model to another), and the evidence E of
    :func:`verify_pair`. Evidence alone would break as many first places as it mends.

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
    scores = similar + WEIGHT * spread * np.sqrt(evidence)
    order = np.argsort(-similar, kind="stable")
    movable = np.array([verified[i] is not None for i in order], dtype=np.bool_)
    moving = order[movable]
    order[movable] = moving[np.argsort(-scores[moving], kind="stable")]
    return Reranked(order, verified, scores)
