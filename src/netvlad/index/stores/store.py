"""What an index asks of the place where its descriptors lie: a folder, memory, or an engine."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netvlad.index.places import Places
from netvlad.index.where import Where
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.models import ModelSpec, PlaceModel
from netvlad.types import Matches, Reporter, counted

if TYPE_CHECKING:
    from netvlad.compute import Compute
    from netvlad.index.build import Change
    from netvlad.index.photo_descriptors import Cluster
    from netvlad.index.photos import Collection

Blocks = Iterable[NDArray[np.floating[Any]]]
"""Descriptors that come in blocks (n, D)."""

Features = Sequence[LocalFeatures | None]
"""Of a photo each; None where there was none to look at."""

_FRAME = re.compile(r"frame-(\d{6,})")


def frame_name(number: int) -> str:
    """What a place is called that nobody names."""
    return f"frame-{number:06d}"


def next_frame(images: Iterable[str]) -> int:
    """The first number for :func:`frame_name` after those of ``images``."""
    found = (_FRAME.fullmatch(image) for image in images)
    return max((int(match[1]) + 1 for match in found if match), default=0)


class Store(Protocol):
    """N places with a descriptor each.

    A place has a number that :meth:`search` returns and :meth:`place` takes: in a folder and in
    memory that is where it stands among :attr:`places`, so removing one moves those behind it; an
    engine of its own may keep other :attr:`numbers`.

    Attributes:
        folder: the index folder; None where it lies elsewhere.
        name: what messages call it: the folder, or an address without a password.
        dim: D, the length of a descriptor.
        storage: the bits of a descriptor's value, ``"16"`` or ``"32"``.
        documents: what is kept beside the places, as JSON types by name.
        model_fingerprint: the name of the model that described the places.
        features: the matcher whose local features are kept of the places; None where none are.
    """

    folder: Path | None = None
    features: str | None = None
    name: str
    dim: int
    storage: str
    documents: Mapping[str, Any]
    model_fingerprint: str

    @property
    def places(self) -> Places:
        """The N places, in the order in which they were added."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(N,) the number of each of :attr:`places`."""
        return np.arange(len(self))

    @property
    def next_frame(self) -> int:
        """The number in the name of the next place that nobody names."""
        return next_frame(self.places.images())

    def model_spec(self) -> ModelSpec:
        """What the model is made of, without its weights."""

    def load_model(self) -> PlaceModel:
        """The model that described the places."""

    def figures(self) -> dict[str, Any]:
        """What ``netvlad index info`` prints about it, as JSON types; may read all places."""
        return {
            **self.places.figures(),
            "model": self.model_spec().to_json(),
            "model_fingerprint": self.model_fingerprint,
            "dim": self.dim,
            "storage": self.storage,
            "search": "exact",
            "calibrated": "calibration" in self.documents,
        }

    def summary(self) -> str:
        """What it holds, in a line."""
        places = counted(len(self), "places")
        return f"{self.name}: {places}; {self.dim} dimensions in {self.storage} bits"

    def column(self, name: str) -> NDArray[np.float64]:
        """(N,) a column of numbers, NaN where unknown."""
        return self.places.column(name)

    def descriptors(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M, D) float32 of the places of numbers ``indices``."""

    def local_features(self, i: int, matcher: Matcher) -> LocalFeatures | None:
        """What this matcher would find in the photo of the place of number ``i``, if kept here."""
        return None

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

    def append(self, places: Places, blocks: Blocks, features: Features = ()) -> None:
        """Add places.

        Args:
            places: n of them.
            blocks: their descriptors, in the same order and in blocks (·, D).
            features: their local features, n where those of :attr:`features` are kept.

        Raises:
            StorageError: they cannot be written; nothing has changed.
        """

    def append_one(
        self,
        descriptor: NDArray[np.float32],
        image: str,
        values: Mapping[str, float],
        features: Features = (),
    ) -> None:
        """Add one place; ``values`` by column, others are unknown. Raises as :meth:`append`."""
        columns: dict[str, NDArray[Any] | None] = {k: np.array([v]) for k, v in values.items()}
        self.append(Places.of([image], columns), [descriptor[None]], features)

    def add(
        self,
        model: PlaceModel,
        collection: "Collection",
        compute: "Compute",
        report: Reporter,
        *,
        cluster: "Cluster | None" = None,
        matcher: Matcher | None = None,
    ) -> "Change":
        """Describe photos and add them; what cannot be used is skipped and listed.

        Args:
            model: the index's own.
            collection: the photos, and what is known about each.
            compute: how they are described.
            report: receives progress and notes.
            cluster: machines that describe those of an index folder; None is this one alone.
            matcher: the one of :attr:`features`.

        Raises:
            StorageError: another process is writing to the folder, or its disk is full; nothing
                has changed.
        """

    def save(self, folder: Path, *, storage: str = "16") -> None:
        """Write an index in memory to a folder, which must not hold an index yet.

        Raises:
            SettingsError: the index lies somewhere already.
            StorageError: the folder holds an index, or cannot be written.
        """

    def remove(self, choose: Callable[[Places], NDArray[np.int64]]) -> int:
        """Remove the places that ``choose`` finds among the present ones; how many those were.

        Another process may have written since this store was opened: ``choose`` sees what it wrote.

        Raises:
            StorageError: that cannot be written; nothing has changed.
        """
