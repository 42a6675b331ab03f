"""Lines of thousands of points, thinned to what a screen shows."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MOST = 400
"""About how many points of a line are drawn."""

# Together with the rounding of coordinates this stays below half a pixel.
_TOLERANCE = 0.49


def stepped(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a line of height ``y[t]`` from ``x[t - 1]`` (0 before the first) to ``x[t]``.

    The area below it is Σ (x_t − x_{t−1}) · y_t: average precision, where x is recall and y is
    precision.

    Args:
        x: (T,) ascending.
        y: (T,).

    Returns:
        (2T, 2).
    """
    before = np.concatenate([[0.0], x[:-1]])
    return np.stack([np.stack([before, x], axis=1).ravel(), np.repeat(y, 2)], axis=1)


def thinned(points: NDArray[np.float64], most: int = MOST) -> NDArray[np.float64]:
    """A line with fewer points that lies less than half a pixel from the whole one.

    The first, last, highest and lowest points are kept. A line that winds too much for ``most``
    points is drawn more coarsely.

    Args:
        points: (n, 2) in pixels.
        most: how many points to keep.

    Returns:
        (m, 2), some of the points, in order.

    Source:
        Douglas and Peucker, "Algorithms for the reduction of the number of points required to
        represent a digitized line or its caricature", Cartographica 10, 1973.
    """
    tolerance = _TOLERANCE
    kept = _kept(points, tolerance)
    while len(kept) > most:
        tolerance *= 1.1
        kept = _kept(points, tolerance)
    return points[kept]


def _kept(points: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    fixed = {0, len(points) - 1, int(points[:, 1].argmin()), int(points[:, 1].argmax())}
    kept = sorted(fixed)
    pieces = list(pairwise(kept))
    while pieces:
        first, last = pieces.pop()
        if last - first < 2:
            continue
        away = _distances(points[first + 1 : last], points[first], points[last])
        if away.max() > tolerance:
            middle = first + 1 + int(away.argmax())
            kept.append(middle)
            pieces += [(first, middle), (middle, last)]
    return np.array(sorted(kept), dtype=np.int64)


def _distances(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far each point is from the piece of a line between two others."""
    way = end - start
    share = (points - start) @ way / max(float(way @ way), 1e-12)
    nearest = start + np.clip(share, 0, 1)[:, None] * way
    distances: NDArray[np.float64] = np.linalg.norm(points - nearest, axis=1)
    return distances


def path_of(points: NDArray[np.float64]) -> str:
    """The line as SVG path data, to a hundredth of a pixel."""
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
