"""Upright RootSIFT, matched by mutual nearest neighbours and the ratio of their distances."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from netvlad.matching.features import (
    Agreement,
    FeatureLayout,
    LocalFeatures,
    Pairs,
    no_pairs,
    shrunk,
)

MAX_SIDE = 320
"""Photos are shrunk until their longer side has this many pixels; smaller ones stay as they are."""

MAX_POINTS = 1000
"""Features kept of a photo: those with the strongest response."""

FORMAT = 1
"""Of the cached files. Another number, as every change of :func:`extract` needs, forgets them."""

WEIGHT = 10.0
"""Of the evidence, see :class:`~netvlad.matching.features.Matcher`; 6 to 14 do nearly the same."""

RATIO_LIMIT = 0.9
"""A match counts for less the closer its ratio of distances comes to this, and then for nothing."""

_CONTRAST_THRESHOLD = 0.01  # a quarter of OpenCV's: dim walls count too
_LEAST_SIDE = 16
_QUANTUM = 255


class RootSift:
    """The matcher that needs no weights, and that re-ranking was tuned with."""

    name = "sift"
    agreement: Agreement = "displacement"
    weight = WEIGHT
    concurrent = True
    layout = FeatureLayout(MAX_POINTS, 128, "u1")

    @property
    def format(self) -> str:
        """Of the cached files."""
        return str(FORMAT)

    @property
    def max_side(self) -> int:
        """Pixels of the longer side."""
        return MAX_SIDE

    def extract(self, pixels: NDArray[np.uint8]) -> LocalFeatures:
        """See :func:`extract`."""
        return extract(pixels)

    def match(self, query: LocalFeatures, candidate: LocalFeatures) -> Pairs:
        """Mutual nearest neighbours, of weight w = max(0, 1 − r / 0.9)².

        r is the ratio of a match's distance to that of the second nearest (Lowe, IJCV 2004,
        section 7.1). Matches without weight are left out.
        """
        if len(query) < 2 or len(candidate) < 2:  # a ratio needs a second neighbour
            return no_pairs()
        similarity = _unit(query.descriptors) @ _unit(candidate.descriptors).T
        rows = np.arange(len(query))
        nearest = similarity.argmax(axis=1)
        mutual = similarity.argmax(axis=0)[nearest] == rows
        first = similarity[rows, nearest]
        similarity[rows, nearest] = -np.inf
        second = similarity.max(axis=1)
        # Of unit vectors, the squared distance is 2 − 2 cosine.
        ratio = np.sqrt(np.maximum(1.0 - first, 0.0) / np.maximum(1.0 - second, 1e-6))
        weights = np.square(np.maximum(1.0 - ratio / RATIO_LIMIT, 0.0)).astype(np.float64)
        kept = mutual & (weights > 0)
        return np.stack([rows[kept], nearest[kept]], axis=1), weights[kept]


ROOT_SIFT = RootSift()


def extract(pixels: NDArray[np.uint8]) -> LocalFeatures:
    """Find and describe the corners and blobs of a photo that stands upright.

    SIFT (Lowe, IJCV 2004) without its orientation: photos of places are taken upright, so a
    feature that would have to be turned to match is another one. Descriptors become RootSIFT
    (Arandjelović and Zisserman, CVPR 2012): L1-normalised, then the square root of each value.

    Args:
        pixels: (H, W, 3) RGB; larger ones are shrunk to :data:`MAX_SIDE`.

    Returns:
        At most :data:`MAX_POINTS` features, strongest first; none of a blank or tiny picture.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    grey = shrunk(np.asarray(grey, dtype=np.uint8), MAX_SIDE)
    size = (int(grey.shape[0]), int(grey.shape[1]))
    if min(size) < _LEAST_SIDE:
        return _none(size)
    sift = cv2.SIFT.create(nfeatures=0, contrastThreshold=_CONTRAST_THRESHOLD)
    chosen = _upright(sift.detect(grey, None))
    if not chosen:
        return _none(size)
    found, histograms = sift.compute(grey, chosen)
    root = np.sqrt(histograms / np.maximum(histograms.sum(axis=1, keepdims=True), 1e-9))
    return LocalFeatures(
        points=np.array([point.pt for point in found], dtype=np.float32).reshape(-1, 2),
        descriptors=np.rint(root * _QUANTUM).astype(np.uint8),
        size=size,
    )


def _none(size: tuple[int, int]) -> LocalFeatures:
    return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), size)


def _upright(points: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    # SIFT repeats a point for each of its orientations; upright they are one.
    once = {(point.pt, point.size): point for point in points}
    chosen = sorted(once.values(), key=lambda point: (-point.response, *point.pt, point.size))
    chosen = chosen[:MAX_POINTS]
    for point in chosen:
        point.angle = 0.0
    return chosen


def _unit(descriptors: NDArray[np.uint8] | NDArray[np.float16]) -> NDArray[np.float32]:
    values = descriptors.astype(np.float32)
    norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1.0)
    unit: NDArray[np.float32] = values / norms.astype(np.float32)
    return unit
