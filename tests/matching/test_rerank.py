from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from netvlad.datasets import open_dataset
from netvlad.errors import DataError
from netvlad.geography import radius_neighbours
from netvlad.images import read_image
from netvlad.matching.features import LocalFeatures
from netvlad.matching.rerank import TOLERANCE, rerank, verify_pair
from netvlad.matching.sift import RATIO_LIMIT, WEIGHT, extract

NOTHING = extract(np.zeros((100, 100, 3), dtype=np.uint8))


def blocks(seed: int) -> NDArray[np.uint8]:
    """240×320 pixels of random rectangles over each other, a little out of focus."""
    random = np.random.default_rng(seed)
    picture = np.full((240, 320), 128, dtype=np.uint8)
    for _ in range(600):
        top, left = random.integers(-10, 240), random.integers(-10, 320)
        tall, wide = random.integers(6, 50, 2)
        picture[max(top, 0) : top + tall, max(left, 0) : left + wide] = random.integers(0, 256)
    return np.repeat(cv2.GaussianBlur(picture, (0, 0), 1.0)[:, :, None], 3, axis=2)


def warped(pixels: NDArray[np.uint8], homography: NDArray[np.float64]) -> NDArray[np.uint8]:
    return cv2.warpPerspective(pixels, homography, (320, 240), borderMode=cv2.BORDER_REFLECT)


HOMOGRAPHY = np.array([[1.01, 0.005, 25.0], [-0.005, 0.99, 6.0], [2e-5, -1e-5, 1.0]])


def obvious_evidence(query: LocalFeatures, candidate: LocalFeatures) -> float:
    """The formula of the docstring, match by match, with exact descriptors."""
    q, c = (f.descriptors.astype(np.float64) for f in (query, candidate))
    q, c = (d / np.linalg.norm(d, axis=1, keepdims=True) for d in (q, c))
    distances = np.linalg.norm(q[:, None] - c[None], axis=2)
    found = []
    for i in range(len(q)):
        j = int(distances[i].argmin())
        if int(distances[:, j].argmin()) != i:
            continue
        best, second = np.sort(distances[i])[:2]
        weight = max(0.0, 1 - best / second / RATIO_LIMIT) ** 2
        x, y = candidate.points[j] / max(candidate.size) - query.points[i] / max(query.size)
        found.append((x, y, weight))
    return max(
        sum(
            w * np.exp(-(((x - a) / TOLERANCE[0]) ** 2 + ((y - b) / TOLERANCE[1]) ** 2) / 2)
            for x, y, w in found
        )
        for a, b, _ in found
    )


def test_evidence_is_the_documented_formula() -> None:
    first, second = extract(blocks(0)), extract(warped(blocks(0), HOMOGRAPHY))
    expected = obvious_evidence(first, second)
    assert expected > 10
    assert verify_pair(first, second).evidence == pytest.approx(expected, rel=1e-3)


def test_inliers_of_a_warped_picture_lie_where_the_homography_puts_them() -> None:
    first, second = extract(blocks(1)), extract(warped(blocks(1), HOMOGRAPHY))
    found = verify_pair(first, second)
    assert found.inliers == len(found.matches) > 60
    points = first.points[found.matches[:, 0]].astype(np.float64)
    truth = cv2.perspectiveTransform(points[None], HOMOGRAPHY)[0]
    errors = np.linalg.norm(second.points[found.matches[:, 1]] - truth, axis=1)
    assert (errors < 2.0).mean() > 0.95


def test_unrelated_pictures_agree_on_little() -> None:
    features = [extract(blocks(seed)) for seed in range(8)]
    same = verify_pair(features[0], extract(warped(blocks(0), HOMOGRAPHY))).evidence
    pairs = [verify_pair(a, b) for a in features for b in features if a is not b]
    assert max(pair.evidence for pair in pairs) < 1.0
    assert same > 10.0
    assert max(pair.inliers for pair in pairs) < 15


def test_the_same_photos_give_the_same_answer() -> None:
    first, second = extract(blocks(2)), extract(warped(blocks(2), HOMOGRAPHY))
    once, again = verify_pair(first, second), verify_pair(first, second)
    assert once.evidence == again.evidence
    np.testing.assert_array_equal(once.matches, again.matches)


def test_pictures_without_features_are_no_evidence() -> None:
    for pair in ((NOTHING, NOTHING), (extract(blocks(0)), NOTHING), (NOTHING, extract(blocks(0)))):
        found = verify_pair(*pair)
        assert (found.evidence, found.inliers, found.matches.shape) == (0.0, 0, (0, 2))


def test_a_strong_match_rises_and_weak_ones_keep_their_order() -> None:
    query = extract(blocks(0))
    right = extract(warped(blocks(0), HOMOGRAPHY))
    similarities = np.array([0.80, 0.9, 0.50, 0.85, 0.60])
    result = rerank(query, [right, NOTHING, NOTHING, NOTHING, NOTHING], similarities)
    assert result.order.tolist() == [0, 1, 3, 4, 2]
    evidence = verify_pair(query, right).evidence
    expected = similarities.copy()
    expected[0] += WEIGHT * similarities.std() * np.sqrt(evidence)
    np.testing.assert_allclose(result.scores, expected)
    assert [v is not None and v.evidence > 0 for v in result.verified] == [True] + [False] * 4


def test_candidates_without_features_keep_their_rank() -> None:
    query = extract(blocks(0))
    right = extract(warped(blocks(0), HOMOGRAPHY))
    result = rerank(query, [NOTHING, None, NOTHING, right], [0.9, 0.8, 0.7, 0.6])
    assert result.order.tolist() == [3, 1, 0, 2]
    assert result.verified[1] is None


@pytest.mark.parametrize("similarities", [[], [0.5], [0.5, 0.5, 0.5]])
def test_few_or_equal_candidates(similarities: list[float]) -> None:
    query = extract(blocks(0))
    result = rerank(query, [NOTHING] * len(similarities), similarities)
    assert result.order.tolist() == list(range(len(similarities)))


def test_of_equally_similar_candidates_the_evidence_decides() -> None:
    right = extract(warped(blocks(0), HOMOGRAPHY))
    assert rerank(extract(blocks(0)), [NOTHING, right], [0.5, 0.5]).order.tolist() == [1, 0]


def test_similarities_must_match_the_candidates() -> None:
    with pytest.raises(DataError, match="2 candidates"):
        rerank(NOTHING, [None, None], [0.5])


def test_real_streets_are_told_apart(shared: Path) -> None:
    """Ranked by thumbnails, which are poor descriptors, the first places get better, not worse."""
    split = open_dataset("pitts30k", shared / "data" / "cambridge", "val")
    database = split.database.subset(range(72))
    assert database.positions is not None
    assert split.queries.positions is not None
    near = radius_neighbours(split.queries.positions, database.positions, split.radius_m)
    asked = np.flatnonzero(near.counts() > 0)[:12]
    pictures = [read_image(database.path(i)) for i in range(len(database))]
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    features = [extract(picture) for picture in pictures]
    before, after = 0, 0
    for i in asked:
        pixels = read_image(split.queries.path(int(i)))
        similarities = thumbnails @ thumbnail(pixels)
        nearest = np.argsort(-similarities, kind="stable")[:20]
        result = rerank(extract(pixels), [features[n] for n in nearest], similarities[nearest])
        before += int(nearest[0] in near.row(int(i)))
        after += int(nearest[result.order[0]] in near.row(int(i)))
    assert after > before


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    small = cv2.resize(pixels, (16, 12), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    return small / np.linalg.norm(small)
