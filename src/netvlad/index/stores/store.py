"""What an index asks of the place where its descriptors lie: a folder, or memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netvlad.index.places import Places
from netvlad.types import Matches


class Store(Protocol):
    """N places with a descriptor each.

    Places are numbered 0 to N - 1 in the order in which they were added; removing one moves those
    behind it.
    """

    @property
    def dim(self) -> int:
        """D, the length of a descriptor."""

    @property
    def places(self) -> Places:
        """The N places."""

    @property
    def documents(self) -> Mapping[str, Any]:
        """What is kept beside them, as JSON types by name."""

    def __len__(self) -> int:
        """N."""

    def place(self, i: int) -> dict[str, Any]:
        """Place ``i`` by column; None where unknown."""

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> Matches:
        """The nearest places to each query.

        Args:
            queries: (Q, D), L2-normalised.
            k: how many.
            allowed: (N,) which places may be returned; None allows all.

        Returns:
            (Q, k) numbers of places, -1 where there are no more.
        """

    def descriptors(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M, D) float32 of the places ``indices`` (M,)."""

    def append(self, places: Places, blocks: Iterable[NDArray[np.floating[Any]]]) -> None:
        """Add places whose descriptors come in blocks (n, D), in the order of ``places``.

        Raises:
            StorageError: they cannot be written; nothing has changed.
        """

    def remove(self, choose: Callable[[Places], NDArray[np.int64]]) -> int:
        """Remove the places that ``choose`` finds among the present ones; how many those were.

        Another process may have written since this store was opened: ``choose`` sees what it wrote.

        Raises:
            StorageError: that cannot be written; nothing has changed.
        """
