"""What an index asks of the place where its descriptors lie: a folder, or memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netvlad.index.places import Places
from netvlad.index.where import Where
from netvlad.types import Matches


class Store(Protocol):
    """N places with a descriptor each.

    A place has a number that :meth:`search` returns and :meth:`place` takes: in a folder and in
    memory that is where it stands among :attr:`places`, so removing one moves those behind it; an
    engine of its own may keep other numbers.
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

    @property
    def name(self) -> str:
        """What messages call it: the folder, or an address without a password."""

    def __len__(self) -> int:
        """N."""

    def close(self) -> None:
        """Let go of files or connections."""

    def place(self, i: int) -> dict[str, Any]:
        """The place of number ``i`` by column; None where unknown."""

    def search(self, queries: NDArray[np.float32], k: int, where: Where | None = None) -> Matches:
        """The nearest places to each query.

        Args:
            queries: (Q, D), L2-normalised.
            k: how many.
            where: which places may be returned; None allows all.

        Returns:
            (Q, k) numbers of places, -1 where there are no more.
        """

    def put_document(self, name: str, content: Any) -> None:
        """Keep JSON types beside the places.

        Raises:
            StorageError: that cannot be written; nothing has changed.
        """

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
