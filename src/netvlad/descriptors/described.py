"""What describing an image set gives, and how many bits its values are kept in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError
from netvlad.images import Unreadable

_STORAGE: dict[str, np.dtype[Any]] = {"32": np.dtype(np.float32), "16": np.dtype(np.float16)}


def storage_dtype(storage: str) -> np.dtype[Any]:
    """The type of values that are kept in ``"32"`` or ``"16"`` bits.

    Raises:
        SettingsError: ``storage`` is neither.
    """
    if storage not in _STORAGE:
        raise SettingsError(f"storage is {storage!r}; choose 32 or 16")
    return _STORAGE[storage]


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of an image set.

    Attributes:
        values: (N, D) float32 or float16, L2-normalised; zero where the image could not be used.
            Memory-mapped and read-only when they lie in a file.
        readable: (N,) whether row i describes its image.
        unreadable: what was wrong with each of the others.
        seconds: wall time spent.
        computed: how many of them were computed in that time; the others lay in a file, or were
            made elsewhere.
    """

    values: NDArray[np.floating[Any]]
    readable: NDArray[np.bool_]
    unreadable: tuple[Unreadable, ...] = ()
    seconds: float = 0.0
    computed: int = 0

    @classmethod
    def of(
        cls,
        values: NDArray[np.floating[Any]],
        unreadable: list[Unreadable],
        *,
        seconds: float,
        computed: int,
    ) -> "Descriptors":
        """Rows (N, D), all of them readable but those of ``unreadable``."""
        readable = np.ones(len(values), dtype=np.bool_)
        readable[[image.index for image in unreadable]] = False
        return cls(values, readable, tuple(unreadable), seconds, computed)
