"""What re-ranking saw: the matches between a query and its first places, drawn side by side."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import ImageError
from netvlad.images import read_image
from netvlad.index.matchers.matcher import Matcher
from netvlad.index.matchers.sift import ROOT_SIFT
from netvlad.index.rerank import verify_pair
from netvlad.index.rerank_drawing import draw_matches
from netvlad.index.results import Answer


def match_pictures(
    found: Sequence[Answer], *, top: int = 1, matcher: Matcher = ROOT_SIFT
) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """Draw the matches that agree, between each query and its first places.

    Args:
        found: answers to files, re-ranked.
        top: how many places of each.
        matcher: what they were re-ranked by.

    Returns:
        (H, W, 3) uint8 pictures by (number of the answer, number of the place); those without
        matches, and those whose photo cannot be read, are absent.
    """
    pictures = {}
    for number, answer in enumerate(found):
        for rank, place in enumerate(answer.places[:top]):
            if place.inliers:
                with contextlib.suppress(ImageError):
                    pictures[number, rank] = _drawn(Path(answer.query), Path(place.image), matcher)
    return pictures


def _drawn(query: Path, place: Path, matcher: Matcher) -> NDArray[np.uint8]:
    first, second = (read_image(path, resize=matcher.max_side) for path in (query, place))
    ours, theirs = matcher.extract(first), matcher.extract(second)
    return draw_matches(first, second, ours, theirs, verify_pair(ours, theirs, matcher))
