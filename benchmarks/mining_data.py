"""Descriptors to mine among, made around places: as a numpy file for us, as HDF5 for the original.

Mining costs the same whatever the numbers are, as long as queries find ten violating negatives.
"""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.original.refresh import DATASET, create_file
from benchmarks.setting import SEED

PLACE_M = 25.0  # images of one cell of this size look alike
# Shares of a descriptor: what all images have in common, what a place has, what is an image's own.
_COMMON, _PLACE, _OWN = 0.6, 0.5, 0.6
_ROWS_AT_ONCE = 256


def made_descriptors(positions: NDArray[np.float64], dim: int) -> NDArray[np.float32]:
    """Unit vectors (N, dim), nearer to each other where positions (N, 2) are in one cell."""
    places = np.floor(positions / PLACE_M).astype(np.int64)
    # Seeds have to be natural numbers.
    places -= places.min(axis=0)
    common = _direction(dim, 0)
    values = np.empty((len(positions), dim), dtype=np.float32)
    for row, place in enumerate(places.tolist()):
        values[row] = (
            _COMMON * common + _PLACE * _direction(dim, 1, *place) + _OWN * _direction(dim, 2, row)
        )
        values[row] /= np.linalg.norm(values[row])
    return values


def made_positions(count: int) -> NDArray[np.float64]:
    """(count, 2) metres: a street with an image each 3 m, folded into rows 1 km long."""
    along = 3.0 * np.arange(count)
    return np.stack([along % 1000, 100 * (along // 1000)], axis=1)


def write_numpy(path: Path, values: NDArray[np.float32]) -> None:
    """For our side."""
    np.save(path, values)


def write_hdf5(path: Path, values: NDArray[np.float32]) -> None:
    """For the original's side, as its refresh would leave it."""
    create_file(path, *values.shape)
    with h5py.File(path, "r+") as file:
        for start in range(0, len(values), _ROWS_AT_ONCE):
            file[DATASET][start : start + _ROWS_AT_ONCE] = values[start : start + _ROWS_AT_ONCE]


def _direction(dim: int, *address: int) -> NDArray[np.float32]:
    random = np.random.default_rng([SEED, *address])
    direction = random.standard_normal(dim, dtype=np.float32)
    return direction / np.linalg.norm(direction)
