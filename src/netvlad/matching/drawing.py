"""A picture of two photos side by side, with the matches that agree."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from netvlad.images import read_image
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.rerank import Verified, verify_pair

_GAP = 8
_GREEN = (60, 200, 90)
_MOST_LINES = 100


def matches_of_files(query: Path, place: Path, matcher: Matcher) -> NDArray[np.uint8]:
    """Compare two photos, and draw the matches that agree: see :func:`draw_matches`.

    Raises:
        ImageError: one of the files cannot be read.
    """
    first, second = (read_image(path, resize=matcher.max_side) for path in (query, place))
    ours, theirs = matcher.extract(first), matcher.extract(second)
    return draw_matches(first, second, ours, theirs, verify_pair(ours, theirs, matcher))


def draw_matches(
    query_pixels: NDArray[np.uint8],
    candidate_pixels: NDArray[np.uint8],
    query: LocalFeatures,
    candidate: LocalFeatures,
    verified: Verified,
) -> NDArray[np.uint8]:
    """Draw the query on the left and the candidate on the right, both as high as the query.

    Args:
        query_pixels: (H, W, 3) RGB, of any size; the features' points are scaled to it.
        candidate_pixels: (H', W', 3) RGB.
        query: the features that were compared.
        candidate: likewise.
        verified: what :func:`netvlad.matching.rerank.verify_pair` found; its best hundred
            matches are drawn.

    Returns:
        (H, W + 8 + W'·H/H', 3) RGB.
    """
    height, width = query_pixels.shape[:2]
    other_width = max(1, round(candidate_pixels.shape[1] * height / candidate_pixels.shape[0]))
    picture = np.full((height, width + _GAP + other_width, 3), 255, dtype=np.uint8)
    picture[:, :width] = query_pixels
    picture[:, width + _GAP :] = cv2.resize(
        candidate_pixels, (other_width, height), interpolation=cv2.INTER_AREA
    )
    shown = verified.matches[:_MOST_LINES]
    left = _scaled(query, shown[:, 0], (height, width))
    right = _scaled(candidate, shown[:, 1], (height, other_width))
    right[:, 0] += width + _GAP
    thick = max(1, height // 480)
    for start, end in zip(np.rint(left).astype(int), np.rint(right).astype(int), strict=True):
        ends = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(picture, *ends, _GREEN, thick, cv2.LINE_AA)
        for end_point in ends:
            cv2.circle(picture, end_point, 2 * thick, _GREEN, thick, cv2.LINE_AA)
    return picture


def _scaled(
    features: LocalFeatures, indices: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.float64]:
    factors = np.array([size[1] / features.size[1], size[0] / features.size[0]])
    scaled: NDArray[np.float64] = features.points[indices].astype(np.float64) * factors
    return scaled
