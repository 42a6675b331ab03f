"""Places in memory: what a robot adds to and asks many times a second."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.fitting.whitening import whiten_rows, with_whitening
from netvlad.index.build import Change
from netvlad.index.photo_descriptors import Cluster, describe_photos
from netvlad.index.photos import Collection
from netvlad.index.places import Places
from netvlad.index.stores.store import Blocks, Features, Store, next_frame
from netvlad.index.stores.writer import writing
from netvlad.index.where import Where
from netvlad.matching.extracting import features_of_all
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.models import ModelSpec, PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.whitening import Whitening
from netvlad.search import search_exact
from netvlad.types import Matches, Progress, Reporter

# What is unknown in each column; nanoseconds do not fit into a float.
_UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("latitude", "longitude", "altitude", "heading", "time"), np.nan),
    **dict.fromkeys(("size_bytes", "mtime_ns"), np.int64(-1)),
}
_FIRST_CAPACITY = 256
_BLOCK = 4096


class MemoryStore(Store):
    """Descriptors in float32 and the columns of their places, in arrays that double when full.

    Attributes:
        next_frame: it only ever grows, so that a name is never given twice.
    """

    name = "index in memory"
    storage = "32"
    next_frame = 0

    def __init__(
        self, dim: int, model: PlaceModel | None = None, matcher: Matcher | None = None
    ) -> None:
        """Make an empty store for descriptors of length ``dim``, which ``model`` describes.

        It keeps the local features that ``matcher`` finds, if there is one.
        """
        self.dim = dim
        self._matcher = matcher
        self.features = None if matcher is None else matcher.name
        self._features: list[LocalFeatures | None] = []
        self.documents: dict[str, Any] = {}
        self._model = model
        self._count = 0
        self._rows = np.empty((_FIRST_CAPACITY, dim), np.float32)
        self._columns = {n: np.full(_FIRST_CAPACITY, value) for n, value in _UNKNOWN.items()}
        self._images: list[str] = []
        self._tags: list[tuple[str, ...]] = []
        self._places: Places | None = None

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Nothing is open."""

    def load_model(self) -> PlaceModel:
        """The model that it was made for."""
        assert self._model is not None
        return self._model

    def model_spec(self) -> ModelSpec:
        """What that model is made of."""
        return self.load_model().spec

    @cached_property
    def model_fingerprint(self) -> str:  # type: ignore[override] # mypy: read-only; it is not
        """The name of that model."""
        return model_fingerprint(self.load_model())

    def add(
        self,
        model: PlaceModel,
        collection: Collection,
        compute: Compute,
        report: Reporter,
        *,
        cluster: Cluster | None = None,
        matcher: Matcher | None = None,
    ) -> Change:
        """Describe photos and add them; a cluster is of no use here."""
        described = describe_photos(model, collection.places, compute, report)
        good = np.flatnonzero(described.readable)
        places = collection.places.take(good)
        start, features = perf_counter(), []
        if matcher is not None:
            for one in features_of_all(matcher, map(Path, places.images()), compute):
                features.append(one)
                report(Progress("Finding local features", len(features), len(good), "photos"))
        extracting_s = perf_counter() - start
        self.append(places, [described.values[good]], features)
        return Change(
            added=len(good),
            skipped=described.unreadable,
            notes=collection.notes,
            seconds=described.seconds,
            extracting_s=extracting_s,
        )

    def whiten(self, whitening: Whitening) -> None:
        """Have the model, and what it has described, followed by a whitening."""
        self._model = with_whitening(self.load_model(), whitening)
        self._rows = whiten_rows(whitening, self.matrix)
        self.dim = whitening.output_dim
        self.__dict__.pop("model_fingerprint", None)

    def save(self, folder: Path, *, storage: str = "16") -> None:
        """Write all of it to a folder."""
        model, matrix = self.load_model(), self.matrix
        with writing(folder, "saving it", create=True, dim=self.dim, storage=storage) as writer:
            writer.put_model(model, model_fingerprint(model))
            starts = range(0, len(matrix), _BLOCK)
            writer.append(self.places, (matrix[start : start + _BLOCK] for start in starts))
            if self._matcher is not None:
                writer.begin_features(self._matcher)
                writer.append_features(self._features, len(matrix))
            for name, content in self.documents.items():
                writer.put_document(name, content)
            writer.commit()

    @property
    def matrix(self) -> NDArray[np.float32]:
        """(N, D): a view, valid until the next change."""
        return self._rows[: self._count]

    def column(self, name: str) -> NDArray[np.float64]:
        """(N,) a column of numbers: a view, without building the table of places."""
        return self._columns[name][: self._count]

    def tagged(self, tags: Iterable[str]) -> NDArray[np.bool_]:
        """(N,) whether each place carries one of ``tags``."""
        return self.places.tagged(list(tags))

    @property
    def places(self) -> Places:
        """The places as a table; made when it is first asked for after a change."""
        if self._places is None:
            columns = {name: values[: self._count] for name, values in self._columns.items()}
            self._places = Places.of(self._images, columns, tags=self._tags)
        return self._places

    def place(self, i: int) -> dict[str, Any]:
        """Place ``i`` by column, like :meth:`Places.row`, without building the whole table."""
        if self._places is not None:
            return self._places.row(i)
        known: dict[str, Any] = {"image": self._images[i], "tags": list(self._tags[i])}
        for name, values in self._columns.items():
            known[name] = values[i].item() if np.isfinite(values[i]) else None
        return known

    def put_document(self, name: str, content: Any) -> None:
        """Keep JSON types beside the places."""
        self.documents[name] = content

    def search(self, queries: NDArray[np.float32], k: int, where: Where | None = None) -> Matches:
        """Exact search, see :class:`~netvlad.index.stores.store.Store`."""
        allowed = None if where is None else where.mask(self)
        if len(queries) > 1:
            return search_exact(queries, self.matrix, k, database_mask=allowed)
        # One query is one product of a matrix and a vector: no blocks, no copies.
        similarity = self.matrix @ queries[0]
        if allowed is not None:
            similarity[~allowed] = -np.inf
        take = min(k, len(similarity))
        best = np.argpartition(-similarity, take - 1)[:take] if take else np.empty(0, np.int64)
        best = best[np.lexsort((best, -similarity[best]))]
        best = best[np.isfinite(similarity[best])]
        indices = np.full((1, k), -1, np.int64)
        squared = np.full((1, k), np.inf, np.float32)
        indices[0, : len(best)] = best
        squared[0, : len(best)] = np.maximum(2.0 - 2.0 * similarity[best], 0.0)
        return Matches(indices, squared)

    def descriptors(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M, D) float32 of the places ``indices``."""
        return self.matrix[indices]

    def local_features(self, i: int, matcher: Matcher) -> LocalFeatures | None:
        """Those of place ``i`` by the matcher that the store was made with."""
        same = self._matcher is not None and self._matcher.format == matcher.format
        return self._features[i] if same else None

    def append(self, places: Places, blocks: Blocks, features: Features = ()) -> None:
        """Add places with their descriptors."""
        start = self._count
        self._make_room(start + len(places))
        at = start
        for block in blocks:
            self._rows[at : at + len(block)] = block
            at += len(block)
        assert at == start + len(places)
        for name in _UNKNOWN:
            self._columns[name][start:at] = places.table.column(name).to_numpy()
        self._images += places.images()
        self.next_frame = max(self.next_frame, next_frame(places.images()))
        self._tags += [tuple(words or ()) for words in places.table.column("tags").to_pylist()]
        self._features += features if features else [None] * len(places)
        self._changed(at)

    def append_one(
        self,
        descriptor: NDArray[np.float32],
        image: str,
        values: Mapping[str, float],
        features: Features = (),
    ) -> None:
        """Add one place at camera rate; ``values`` by column, others are unknown."""
        at = self._count
        self._make_room(at + 1)
        self._rows[at] = descriptor
        for name, column in self._columns.items():
            column[at] = values.get(name, _UNKNOWN[name])
        self._images.append(image)
        self.next_frame = max(self.next_frame, next_frame([image]))
        self._tags.append(())
        self._features += features if features else [None]
        self._changed(at + 1)

    def remove(self, choose: Callable[[Places], NDArray[np.int64]]) -> int:
        """Remove the places that ``choose`` finds; how many those were."""
        indices = choose(self.places)
        kept = np.setdiff1d(np.arange(self._count), indices)
        self._rows[: len(kept)] = self._rows[kept]
        for column in self._columns.values():
            column[: len(kept)] = column[kept]
        self._images = [self._images[i] for i in kept]
        self._tags = [self._tags[i] for i in kept]
        self._features = [self._features[i] for i in kept]
        self._changed(len(kept))
        return len(indices)

    def _make_room(self, needed: int) -> None:
        capacity = len(self._rows)
        if needed <= capacity:
            return
        # Doubling copies every row once on average, whatever their number.
        larger = max(needed, 2 * capacity)
        rows = np.empty((larger, self.dim), np.float32)
        rows[: self._count] = self.matrix
        self._rows = rows
        for name, column in self._columns.items():
            grown = np.full(larger, _UNKNOWN[name])
            grown[: self._count] = column[: self._count]
            self._columns[name] = grown

    def _changed(self, count: int) -> None:
        self._count = count
        self._places = None
