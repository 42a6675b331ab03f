"""A folder as a store: a snapshot of it to read, a transaction for every change."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.index.build import Change, add_to_folder, extract_features
from netvlad.index.photo_descriptors import Cluster
from netvlad.index.photos import Collection
from netvlad.index.places import Places
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.store import Blocks, Features, Store
from netvlad.index.stores.writer import writing
from netvlad.index.where import Where
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.models import ModelSpec, PlaceModel
from netvlad.search.approximate import read_structure
from netvlad.search.searcher import Searcher
from netvlad.types import Matches, Reporter, counted


class OpenedFolder(Store):
    """The present generation of an index folder, searched with the structure it has.

    Attributes:
        snapshot: the generation that is read; another process may have written a newer one.
    """

    folder: Path

    def __init__(self, folder: Path) -> None:
        """Open the folder's present generation.

        Raises:
            StorageError: there is no index, or it is damaged.
        """
        self.folder, self.name = folder, str(folder)
        self._show(FolderStore.open(folder))

    def refresh(self) -> None:
        """Go over to the newest generation, and let go of the files of the one before.

        Raises:
            StorageError: it cannot be read; the one before is kept.
        """
        newest = FolderStore.open(self.folder)
        self.snapshot.close()
        self._show(newest)

    def _show(self, snapshot: FolderStore) -> None:
        manifest = snapshot.manifest
        self.snapshot = snapshot
        self.dim, self.storage, self.documents = manifest.dim, manifest.storage, manifest.documents
        self.model_fingerprint = manifest.model_fingerprint
        kept = manifest.features
        self.features = None if kept is None else kept.matcher
        self._searcher: Searcher | None = None

    @property
    def places(self) -> Places:
        """The places."""
        return self.snapshot.places

    def close(self) -> None:
        """Let go of the files."""
        self._searcher = None
        self.snapshot.close()

    def __len__(self) -> int:
        return self.snapshot.manifest.count

    def put_document(self, name: str, content: Any) -> None:
        """Keep JSON types beside the places, in a generation of their own."""
        with writing(self.folder, f"keeping a {name}") as writer:
            writer.put_document(name, content)
            writer.commit()
        self.refresh()

    def summary(self) -> str:
        """What it holds, in a line."""
        manifest, located = self.snapshot.manifest, int(self.places.has_position.sum())
        return (
            f"{self.folder}: {counted(manifest.count, 'places')}, {located} with a position; "
            f"{manifest.dim} dimensions in {manifest.storage} bits; {self._features_line()}"
            f"{size_bytes(self.folder) / 1e6:.1f} MB"
        )

    def _features_line(self) -> str:
        kept = self.snapshot.manifest.features
        if kept is None:
            return "no local features; "
        megabytes = f"{kept.file.size_bytes / 1e6:.1f} MB"
        if kept.file.rows < self.snapshot.manifest.matrix_rows:
            return f"local features by {kept.matcher}, unfinished ({megabytes}); "
        return f"local features by {kept.matcher} ({megabytes}); "

    def figures(self) -> dict[str, Any]:
        """What is in it, as JSON types."""
        manifest = self.snapshot.manifest
        return {
            **super().figures(),
            "search": "exact" if manifest.structure is None else manifest.structure["kind"],
            "features": self.features,
            "features_bytes": sum(file.size_bytes for file in manifest.row_files[1:]),
            "removed_rows": manifest.matrix_rows - manifest.count,
            "generation": manifest.generation,
            "created": manifest.created,
            "updated": manifest.updated,
            "size_bytes": size_bytes(self.folder),
        }

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
        """Describe photos and add them, see :func:`~netvlad.index.build.add_to_folder`."""
        change = add_to_folder(
            self.folder,
            model,
            collection,
            compute=compute,
            cluster=cluster,
            matcher=matcher,
            report=report,
        )
        self.refresh()
        return change

    def save(self, folder: Path, *, storage: str = "16") -> None:
        """Refused: it is on disk."""
        raise SettingsError(f"{self.folder}: is on disk already; copy the folder")

    def model_spec(self) -> ModelSpec:
        """What the model is made of, without its weights."""
        return self.snapshot.model_spec()

    def load_model(self) -> PlaceModel:
        """The model that described the places."""
        return self.snapshot.load_model()

    def place(self, i: int) -> dict[str, Any]:
        """Place ``i`` by column."""
        return self.snapshot.place(i)

    @property
    def searcher(self) -> Searcher:
        """Searches the matrix; made when it is first needed."""
        if self._searcher is None:
            path, about = self.snapshot.structure_path(), self.snapshot.manifest.structure
            structure = None
            if path is not None and about is not None:
                structure = read_structure(path, about)
            self._searcher = Searcher(self.snapshot.matrix, self.snapshot.rows, structure)
        return self._searcher

    def search(self, queries: NDArray[np.float32], k: int, where: Where | None = None) -> Matches:
        """The nearest places, see :class:`~netvlad.index.stores.store.Store`."""
        allowed = None if where is None else where.mask(self.places)
        rows = self.snapshot.rows
        limits = None
        if allowed is not None:
            limits = np.zeros(len(self.snapshot.matrix), np.bool_)
            limits[rows[allowed]] = True
        found = self.searcher.search(queries, k, allowed=limits)
        there = found.indices >= 0
        # Rows ascend with the places, so a row's place is where it stands among them.
        places = np.where(there, np.searchsorted(rows, np.where(there, found.indices, 0)), -1)
        return Matches(places, found.squared_distances)

    def descriptors(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M, D) float32 of the places ``indices``."""
        return np.asarray(self.snapshot.matrix[self.snapshot.rows[indices]], np.float32)

    def local_features(self, i: int, matcher: Matcher) -> LocalFeatures | None:
        """Those of place ``i`` that were found by this matcher as it is now."""
        kept, row = self.snapshot.manifest.features, int(self.snapshot.rows[i])
        if kept is None or kept.format != matcher.format or row >= kept.file.rows:
            return None
        # A copy: features outlive the store.
        return kept.layout.unpack(np.array(self.snapshot.features[row]))

    def append(self, places: Places, blocks: Blocks, features: Features = ()) -> None:
        """Add places in a generation of their own."""
        with writing(self.folder, "adding places") as writer:
            first, kept = len(writer.matrix), writer.features
            writer.append(places, blocks)
            if kept is not None and kept.file.rows == first and len(features) == len(places):
                writer.append_features(features, len(features))
            writer.commit()
        self.refresh()

    def keep_features(self, matcher: Matcher | None, compute: Compute, report: Reporter) -> float:
        """Find the local features of all places, or drop those there are; the seconds it took."""
        with writing(self.folder, "finding local features") as writer:
            seconds = 0.0
            if matcher is None:
                writer.drop_features()
                writer.commit()
            else:
                seconds = extract_features(writer, matcher, compute, report)
        self.refresh()
        return seconds

    def remove(self, choose: Callable[[Places], NDArray[np.int64]]) -> int:
        """Remove what ``choose`` finds in the newest generation, in a generation of its own."""
        with writing(self.folder, "removing places") as writer:
            assert writer.base is not None
            indices = choose(writer.base.places)
            if len(indices):
                writer.remove(indices)
                writer.commit()
        self.refresh()
        return len(indices)


def size_bytes(folder: Path) -> int:
    """What a folder takes on disk, of files that are there at the moment."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
