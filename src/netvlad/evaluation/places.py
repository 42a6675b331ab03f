"""Which queries show one place, and are therefore no independent trials."""

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet

CELL_M = 25.0


def places_of(
    images: ImageSet, *, label: str | None = None, cell_m: float = CELL_M
) -> NDArray[np.int64]:
    """A number for the place of each image.

    The cut-outs of one panorama, or the frames of one corner, are right or wrong together; an
    interval that counts each for itself is too narrow.

    Places are the cells of a square grid. Chains of nearby images are not followed: along a street
    that is driven through they would make one place of all of it.

    Args:
        images: N images.
        label: the label whose words are the places (``"sequence"``, ``"place"``); None takes
            positions. Images with an empty word, or without a position, are a place each; so are
            all where there are neither.
        cell_m: side of a cell in metres.

    Returns:
        (N,) numbers, from 0 on.

    Raises:
        DataError: there is no such label.
        SettingsError: ``cell_m`` is not above 0.
    """
    if not (np.isfinite(cell_m) and cell_m > 0):
        raise SettingsError(f"cell_m is {cell_m}; give a number of metres above 0")
    if label is not None:
        if label not in images.labels:
            known = ", ".join(images.labels) or "none"
            raise DataError(f"there is no label {label} to group queries by (labels: {known})")
        words = images.labels[label]
        known_rows = np.asarray(words != "", np.bool_)
        numbers = np.unique(words, return_inverse=True)[1]
    elif images.positions is not None:
        known_rows = np.asarray(np.isfinite(images.positions).all(axis=1))
        cells = np.floor(np.where(known_rows[:, None], images.positions, 0) / cell_m)
        numbers = np.unique(cells, axis=0, return_inverse=True)[1]
    else:
        return np.arange(len(images))
    numbers = numbers.astype(np.int64).reshape(-1)
    numbers[~known_rows] = len(images) + np.flatnonzero(~known_rows)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)
