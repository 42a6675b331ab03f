"""How the scores of one list of places stand against each other, whatever scale a model gives them.

The last half of a list is what a query scores with places that look like it by chance: its average
and its spread are the yardstick for the first places.
"""

import numpy as np
from numpy.typing import NDArray


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
