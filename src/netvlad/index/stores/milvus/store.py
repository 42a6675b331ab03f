"""Places in Milvus: many machines ask and extend one index, and none of them keeps a copy."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.errors import SettingsError, StorageError
from netvlad.index.build import Change
from netvlad.index.photo_descriptors import Cluster
from netvlad.index.photos import Collection
from netvlad.index.places import Places
from netvlad.index.stores.manifest import json_types
from netvlad.index.stores.milvus.client import MilvusAddress, connect
from netvlad.index.stores.milvus.collections import (
    create_collections,
    load_model,
    open_collections,
    refuse_other_content,
    write_document,
)
from netvlad.index.stores.milvus.rows import (
    KNOWN,
    expression,
    place_numbers,
    to_place,
    to_places,
    to_vector,
)
from netvlad.index.stores.milvus.table import Row
from netvlad.index.stores.store import Blocks, Features, Store
from netvlad.index.where import Where
from netvlad.matching.features import Matcher
from netvlad.models import ModelSpec, PlaceModel
from netvlad.types import Matches, Reporter

MOST_ANSWERS = 16_384
"""What a Milvus server returns of one search at most."""

# A server's index is approximate: candidates beyond k raise its effort (HNSW looks at as many as
# it is asked for), and their order is made anew from the stored descriptors.
_CANDIDATES_PER_ANSWER = 5
_FEWEST_CANDIDATES = 100


class MilvusStore(Store):
    """An index in a collection of Milvus, see :class:`~netvlad.index.stores.store.Store`.

    The collection holds a row for each place with its descriptor, and ``<collection>_files`` the
    model and the documents: nothing else is needed to answer.

    What a folder promises and this does not: a change is no generation that appears at once. Rows
    are written in batches, each of them whole with its descriptor, so readers see a long addition
    grow; one that is killed leaves the places written so far, and repeating it completes it (a
    photo's number follows from its path, so it is never there twice). A removal that is killed has
    removed a part. There is no lock: of two that write the same photo the later wins. There are no
    checksums of descriptors, the server answers for them.

    What others write is found at once by :meth:`search`. How many places there are, their table and
    the documents are as they were when first asked for, until :meth:`refresh`. Every method raises
    StorageError when the server fails, or a place is not there any more.

    Attributes:
        address: where it lies.
    """

    def __init__(self, address: MilvusAddress, client: Any) -> None:
        """Look at the index of ``address``; see :meth:`open` and :meth:`create`.

        Raises:
            StorageError: there is no index, it is damaged, or the server fails.
        """
        self.address, self.name = address, str(address)
        self._client = client
        self._count: int | None = None
        self._all: tuple[Places, NDArray[np.int64]] | None = None
        self._found: dict[int, Row] = {}
        self.refresh()

    @classmethod
    def open(cls, address: MilvusAddress) -> "MilvusStore":
        """Open an index.

        Raises:
            SettingsError: pymilvus is not installed.
            StorageError: nothing answers, or there is no index, or it is damaged.
        """
        return cls(address, connect(address))

    @classmethod
    def create(
        cls, address: MilvusAddress, model: PlaceModel, *, storage: str = "16"
    ) -> "MilvusStore":
        """Make an index without places.

        Args:
            address: where; the collection must not be there.
            model: describes the places to come.
            storage: bits per value of the descriptors; Milvus Lite always keeps 32.

        Raises:
            SettingsError: pymilvus is not installed.
            StorageError: nothing answers, or the collection holds an index or something else.
        """
        client = connect(address, create=True)
        create_collections(client, address, model, half=storage == "16" and not address.embedded)
        return cls(address, client)

    @classmethod
    def check_free(cls, address: MilvusAddress) -> None:
        """Check before long work that :meth:`create` would succeed.

        Raises:
            SettingsError: pymilvus is not installed.
            StorageError: nothing answers, or the collection holds an index or something else.
        """
        refuse_other_content(connect(address, create=True), address)

    def refresh(self) -> None:
        """Look again at what others may have written: how many places, which documents.

        Raises:
            StorageError: there is no index any more, or the server fails.
        """
        self._opened = open_collections(self._client, self.address)
        self._table = self._opened.table
        self.dim, self.storage = self._table.dim, "16" if self._table.half else "32"
        self.documents = self._opened.documents
        self.model_fingerprint = self._opened.model_fingerprint
        self._forget()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def put_document(self, name: str, content: Any) -> None:
        """Keep JSON types beside the places; too long ones are refused as StorageError."""
        kept = json_types(name, content)
        write_document(self._opened, name, kept)
        self.documents[name] = kept

    def figures(self) -> dict[str, Any]:
        """What is in it, as JSON types; reads all places."""
        return {**super().figures(), "search": "milvus", "created": self._opened.created}

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
        """Describe photos and add them; what precedes an error stays."""
        from netvlad.index.stores.milvus.building import add_to_milvus  # noqa: PLC0415 - it imports this

        return add_to_milvus(self, model, collection, compute=compute, report=report)

    def save(self, folder: Path, *, storage: str = "16") -> None:
        """Refused: it is kept in Milvus."""
        raise SettingsError(f"{self.name}: is kept in Milvus; build a folder from the photos")

    def model_spec(self) -> ModelSpec:
        """What the model is made of, without its weights."""
        return self._opened.spec

    def load_model(self) -> PlaceModel:
        """The model that described the places, in evaluation mode.

        Raises:
            StorageError: it is damaged, or the server fails.
            CheckpointError: this version of the package cannot build it.
        """
        return load_model(self._opened, self.address)

    def __len__(self) -> int:
        # Counted once: an answer should cost one request, not two.
        if self._count is None:
            self._count = self._table.count()
        return self._count

    @property
    def places(self) -> Places:
        """All places, in the order in which they were added."""
        return self._listing()[0]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(N,) the number of each of :attr:`places`: what :meth:`search` returns."""
        return self._listing()[1]

    def place(self, i: int) -> dict[str, Any]:
        """The place of number ``i`` by column; costs nothing after the search that found it."""
        row = self._found.get(i)
        if row is None:
            row = self._required([i], KNOWN)[0]
        return to_place(row)

    def descriptors(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M, D) float32 of the places of numbers ``indices``."""
        rows = self._required(indices.tolist(), ("number", "descriptor"))
        stacked = [to_vector(row["descriptor"]) for row in rows]
        return np.stack(stacked) if stacked else np.empty((0, self.dim), np.float32)

    def search(self, queries: NDArray[np.float32], k: int, where: Where | None = None) -> Matches:
        """The nearest places, see :class:`~netvlad.index.stores.store.Store`.

        Conditions are met by the server. Distances are computed here from the stored descriptors,
        whatever its search structure makes of them.

        Raises:
            SettingsError: ``k`` is above :data:`MOST_ANSWERS`.
            StorageError: the server fails.
        """
        if k > MOST_ANSWERS:
            raise SettingsError(f"k is {k}; Milvus returns at most {MOST_ANSWERS} places")
        limit = k
        if not self.address.embedded:
            limit = min(MOST_ANSWERS, max(_CANDIDATES_PER_ANSWER * k, _FEWEST_CANDIDATES))
        indices = np.full((len(queries), k), -1, np.int64)
        squared = np.full((len(queries), k), np.inf, np.float32)
        found: dict[int, Row] = {}
        hits = self._table.hits(np.asarray(queries, np.float32), limit, expression(where))
        for at, candidates in enumerate(hits):
            best = _ranked(queries[at], candidates)[:k]
            for rank, (distance, number, row) in enumerate(best):
                indices[at, rank], squared[at, rank] = number, distance
                found[number] = row
        self._found = found
        return Matches(indices, squared)

    def stored(self, places: Places) -> list[Row | None]:
        """What is there of the same photos, with its ``number``; None for those that are not."""
        numbers = place_numbers(places).tolist()
        found = self._table.rows(numbers, KNOWN)
        return [
            {**to_place(found[number]), "number": number} if number in found else None
            for number in numbers
        ]

    def append(self, places: Places, blocks: Blocks, features: Features = ()) -> None:
        """Add places, or replace those of the same photos. What precedes an error stays."""
        numbers = place_numbers(places)
        added = time.time_ns() // 1_000 + np.arange(len(places))
        # A photo that is named twice is one place.
        once = np.zeros(len(places), np.bool_)
        once[np.unique(numbers, return_index=True)[1]] = True
        at = 0
        try:
            for block in blocks:
                self._table.check(block, at)
                rows = at + np.flatnonzero(once[at : at + len(block)])
                self._table.write(places.take(rows), numbers[rows], added[rows], block[rows - at])
                at += len(block)
        finally:
            self._forget()
        if at != len(places):
            raise StorageError(f"{self.address}: was given {at:,} of {len(places):,} descriptors")

    def update(self, numbers: NDArray[np.int64], places: Places) -> None:
        """Replace what is known about the places of ``numbers`` (M,), but not their descriptors."""
        for start in range(0, len(numbers), self._table.batch_rows):
            some = np.arange(start, min(start + self._table.batch_rows, len(numbers)))
            chosen = numbers[some]
            rows = self._required(chosen.tolist(), ("number", "added", "descriptor"))
            added = np.array([row["added"] for row in rows], np.int64)
            descriptors = np.stack([to_vector(row["descriptor"]) for row in rows])
            self._table.write(places.take(some), chosen, added, descriptors)
        self._forget()

    def remove(self, choose: Callable[[Places], NDArray[np.int64]]) -> int:
        """Remove the places that ``choose`` finds among all; one that fails may remove a part."""
        self._forget()
        doomed = self.numbers[choose(self.places)].tolist()
        self._table.delete(doomed)
        self._forget()
        return len(doomed)

    def _forget(self) -> None:
        self._count = self._all = None
        self._found = {}

    def _required(self, numbers: list[int], fields: tuple[str, ...]) -> list[Row]:
        found = self._table.rows(numbers, fields)
        for number in numbers:
            if number not in found:
                raise StorageError(f"{self.address}: place {number} was removed; ask again")
        return [found[number] for number in numbers]

    def _listing(self) -> tuple[Places, NDArray[np.int64]]:
        if self._all is None:
            tables = [to_places([]).table]
            keys = [np.empty((0, 2), np.int64)]
            for rows in self._table.pages(KNOWN):
                tables.append(to_places(rows).table)
                keys.append(np.array([(row["added"], row["number"]) for row in rows], np.int64))
            added, numbers = np.concatenate(keys).T
            order = np.lexsort((numbers, added))
            everything = Places(pa.concat_tables(tables).combine_chunks()).take(order)
            self._all = everything, numbers[order]
            self._count = len(everything)
        return self._all


def _ranked(query: NDArray[np.float32], hits: list[Row]) -> list[tuple[float, int, Row]]:
    """Squared distance, number and row of what was found, nearest first."""
    if not hits:
        return []
    vectors = np.stack([to_vector(row.pop("descriptor")) for row in hits])
    squared = ((vectors - query) ** 2).sum(axis=1).tolist()
    ranked = zip(squared, (int(row["number"]) for row in hits), hits, strict=True)
    return sorted(ranked, key=lambda hit: hit[:2])
