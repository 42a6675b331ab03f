import cv2
import numpy as np

from netvlad.matching.drawing import draw_matches
from netvlad.matching.features import LocalFeatures
from netvlad.matching.rerank import Verified


def features(points: list[tuple[float, float]], size: tuple[int, int]) -> LocalFeatures:
    n = len(points)
    return LocalFeatures(np.array(points, np.float32), np.zeros((n, 128), np.uint8), size)


def test_lines_join_the_matching_points_at_the_size_of_the_pictures() -> None:
    query = features([(10, 10), (40, 30)], (50, 100))
    candidate = features([(20, 25), (5, 5)], (50, 50))
    verified = Verified(1.0, np.array([[1, 0]]))
    # Drawn at twice and at four times the size the features were found at.
    drawn = draw_matches(
        np.zeros((100, 200, 3), np.uint8),
        np.zeros((200, 200, 3), np.uint8),
        query,
        candidate,
        verified,
    )
    assert drawn.shape == (100, 200 + 8 + 100, 3)
    assert drawn.dtype == np.uint8
    coloured = drawn.max(axis=2) > drawn.min(axis=2)
    rows, columns = np.nonzero(coloured)
    # From (80, 60) on the left to (40, 50) on the right, whose left edge is at 208.
    assert abs(columns.min() - 80) <= 4
    assert abs(columns.max() - 248) <= 4
    assert 44 <= rows.min() <= rows.max() <= 66
    assert coloured[55, 150:180].any() or coloured[54:57, 164].any()


def test_without_matches_the_pictures_stand_unmarked() -> None:
    left = np.full((30, 40, 3), 7, np.uint8)
    nothing = features([], (30, 40))
    none = LocalFeatures(np.zeros((0, 2), np.float32), nothing.descriptors, (30, 40))
    drawn = draw_matches(left, left, none, none, Verified(0.0, np.zeros((0, 2), np.int64)))
    np.testing.assert_array_equal(drawn[:, :40], left)
    np.testing.assert_array_equal(drawn[:, 48:], cv2.resize(left, (40, 30)))
    assert (drawn[:, 40:48] == 255).all()
