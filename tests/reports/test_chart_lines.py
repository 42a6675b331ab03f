from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from netvlad.evaluation.precision import precision_recall
from netvlad.reports.chart_lines import MOST, path_of, stepped, thinned


def sampled(line, every=0.05):
    """Points along a line, at most ``every`` pixels apart."""
    pieces = []
    for start, end in pairwise(line):
        shares = np.linspace(0, 1, 2 + int(np.hypot(*(end - start)) / every))
        pieces.append(start + (end - start) * shares[:, None])
    return np.concatenate(pieces)


def farthest(line, other):
    """The greatest distance from a point of ``line`` to ``other``, at most 0.001 too large."""
    return cKDTree(sampled(other)).query(sampled(line))[0].max()


def precision_recall_in_pixels(queries, skill):
    random = np.random.default_rng(queries)
    confidences = random.normal(size=queries)
    correct = random.random(queries) < 1 / (1 + np.exp(-skill - 2 * confidences))
    curve = precision_recall(confidences, correct)
    return stepped(curve.recall, curve.precision) * [566, -288] + [60, 324]


@pytest.mark.parametrize(("queries", "skill"), [(300, 0.0), (3000, 0.3), (3000, 2.0)])
def test_a_thinned_curve_lies_within_half_a_pixel_of_the_whole_one(queries, skill):
    line = precision_recall_in_pixels(queries, skill)
    thin = thinned(line)
    assert len(thin) <= MOST
    drawn = np.array([p.split() for p in path_of(thin)[1:].split("L")], dtype=np.float64)
    assert farthest(line, drawn) < 0.5
    assert farthest(drawn, line) < 0.5


def test_extremes_and_ends_are_kept_though_flat():
    x = np.arange(5000.0)
    y = np.full(5000, 100.0)
    y[1234], y[4321] = 99.9, 100.1
    kept = {tuple(point) for point in thinned(np.stack([x, y], axis=1))}
    assert kept == {(0, 100), (1234, 99.9), (4321, 100.1), (4999, 100)}


def test_a_line_that_winds_too_much_is_drawn_more_coarsely():
    random = np.random.default_rng(0)
    noise = np.stack([np.linspace(60, 626, 5000), random.uniform(36, 324, 5000)], axis=1)
    thin = thinned(noise)
    assert len(thin) <= MOST
    assert thin[:, 1].min() == noise[:, 1].min()
    assert thin[:, 1].max() == noise[:, 1].max()


def test_the_area_below_the_steps_is_average_precision():
    random = np.random.default_rng(1)
    curve = precision_recall(random.random(200), random.random(200) < 0.6)
    x, y = stepped(curve.recall, curve.precision).T
    assert np.trapezoid(y, x) == pytest.approx(curve.average_precision)
