"""Of several cut-outs of one panorama only the nearest is an answer."""

import numpy as np
from numpy.typing import NDArray

from netvlad.types import Matches


def first_of_each(matches: Matches, panoramas: NDArray[np.int64], k: int) -> Matches:
    """The first k answers that are of different panoramas.

    Args:
        matches: (Q, m) answers, best first, m at least k.
        panoramas: a number for the panorama of each database image.
        k: how many to keep; where there are fewer, the rest is -1.
    """
    # What is missing counts as one more panorama, which stays missing.
    numbers = np.where(matches.indices >= 0, panoramas[matches.indices], -1)
    order = np.argsort(numbers, axis=1, kind="stable")
    ordered = np.take_along_axis(numbers, order, axis=1)
    first = np.ones(ordered.shape, np.bool_)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    keep = np.zeros(ordered.shape, np.bool_)
    np.put_along_axis(keep, order, first, axis=1)
    # Kept answers move to the front, in their order.
    front = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(keep, front, axis=1)
    return Matches(
        np.where(kept, np.take_along_axis(matches.indices, front, axis=1), -1),
        np.where(
            kept, np.take_along_axis(matches.squared_distances, front, axis=1), np.float32(np.inf)
        ),
    )
