"""The one who writes to an index folder: new files beside the old, then a switch."""

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import SettingsError, StorageError
from netvlad.index.places import Places
from netvlad.index.stores.changes import (
    append_rows,
    descriptor_rows,
    flush_folder,
    sweep,
    write_file,
    write_model,
)
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.manifest import (
    DTYPES,
    FeatureFile,
    FileRecord,
    Manifest,
    RowFile,
    has_manifest,
    json_types,
    part_name,
    read_manifest,
    write_manifest,
)
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.models import PlaceModel
from netvlad.storage import locked, require_space, written_beside
from netvlad.types import Progress, Reporter, silent

Blocks = Iterable[NDArray[np.floating[Any]]]
UNWRITTEN = FileRecord("", 0, "")
"""Stands for a table whose file is written with the commit."""


class IndexWriter:
    """A change of an index that is prepared here and takes place with :meth:`commit`.

    After a commit the writer goes on from the new generation, and may commit again.

    Attributes:
        base: the generation that is changed; None while a new index has none. It is closed when
            another takes its place, and at the end.
    """

    base: FolderStore | None
    _origin: Manifest
    _draft: Manifest
    _places: Places | None
    _rows: NDArray[np.int64] | None

    def __init__(
        self, folder: Path, purpose: str, draft: Manifest, base: FolderStore | None
    ) -> None:
        """Prepare a change of ``base``; :func:`~netvlad.index.stores.writer.writing` does it."""
        self._folder, self._purpose = folder, purpose
        self._begin(draft, base)

    @property
    def places(self) -> Places:
        """The N places as the change leaves them."""
        if self._places is None:
            self._places = Places.of([]) if self.base is None else self.base.places
        return self._places

    @property
    def rows(self) -> NDArray[np.int64]:
        """(N,) the matrix row of each, ascending."""
        if self._rows is None:
            self._rows = np.empty(0, np.int64) if self.base is None else self.base.rows
        return self._rows

    @property
    def dim(self) -> int:
        """D, as the change leaves it."""
        return self._draft.dim

    @property
    def matrix(self) -> NDArray[Any]:
        """(R, D) the descriptors as the change leaves them, memory-mapped, read-only.

        Not to be touched any more when the change was given up.
        """
        shape, dtype = (self._draft.matrix_rows, self.dim), DTYPES[self._draft.storage]
        if shape[0] == 0:
            return np.empty(shape, dtype)
        return np.memmap(self._folder / self._draft.matrix, dtype, mode="r", shape=shape)

    def put_model(self, model: PlaceModel, fingerprint: str) -> None:
        """Keep the model that describes the places; it takes the place of an earlier one.

        Raises:
            StorageError: it cannot be written.
        """
        needed = sum(tensor.nbytes for tensor in model.state_dict().values())
        require_space(self._folder, needed, self._purpose)
        name = part_name("model", self._draft.generation + 1)
        files = write_model(self._folder, name, model)
        self._draft = replace(
            self._draft, model=name, model_fingerprint=fingerprint, model_files=files
        )

    def append(self, places: Places, blocks: Blocks) -> None:
        """Add places behind the present ones.

        Args:
            places: n of them.
            blocks: their descriptors in the same order, (·, D) each and n in all.

        Raises:
            StorageError: they cannot be written, or are too few, too many, of another length or not
                finite; the change is as it was before.
        """
        joined = self.places.joined(places)
        present = self._draft.descriptors
        self._require_space(len(places) * present.row_bytes, joined)
        first = present.rows
        path = self._folder / present.name
        rows = descriptor_rows(path, self._draft, blocks)
        chunks = append_rows(path, present, rows, len(places))
        self._draft = replace(self._draft, chunks=chunks)
        if len(places):
            self._set(joined, np.append(self.rows, np.arange(first, first + len(places))))

    def remove(self, indices: NDArray[np.int64]) -> None:
        """Remove places by their numbers among the present ones; their descriptors stay unused.

        Raises:
            StorageError: there is no place of such a number.
        """
        indices = np.asarray(indices, np.int64)
        if np.any((indices < 0) | (indices >= len(self.places))):
            wrong = indices[(indices < 0) | (indices >= len(self.places))][0]
            raise StorageError(
                f"{self._folder}: has no place {wrong} to remove, only 0 to {len(self.places) - 1}"
            )
        if len(indices):
            kept = np.setdiff1d(np.arange(len(self.places)), indices)
            self._set(self.places.take(kept), self.rows[kept])

    def update_places(self, places: Places) -> None:
        """Say something else about the present places.

        Raises:
            StorageError: it is another number of places.
        """
        if len(places) != len(self.places):
            raise StorageError(
                f"{self._folder}: has {len(self.places):,} places, not {len(places):,}; "
                "give a row for each"
            )
        self._set(places, self.rows)

    def rewrite(self, blocks: Blocks, dim: int, storage: str) -> None:
        """Write a fresh matrix of the present places; the search structure is dropped.

        Args:
            blocks: the descriptors of the present places in their order, (·, ``dim``) each; they
                may be views of the present matrix.
            dim: the new D.
            storage: the new precision, ``"16"`` or ``"32"``.

        Raises:
            StorageError: as for :meth:`append`.
        """
        name = part_name("descriptors", self._draft.generation + 1, checked_storage(storage))
        draft = replace(
            self._draft,
            matrix=name,
            dim=dim,
            storage=storage,
            chunks=(),
            structure=None,
            structure_file=None,
        )
        count = len(self.places)
        self._require_space(count * draft.descriptors.row_bytes, self.places)
        with written_beside(self._folder / name) as temporary:
            rows = descriptor_rows(temporary, draft, blocks)
            chunks = append_rows(temporary, draft.descriptors, rows, count)
        self._draft = replace(draft, chunks=chunks)
        self._rewrite_features()
        self._set(self.places, np.arange(count))

    def put_structure(self, write: Callable[[IO[bytes]], object], about: Mapping[str, Any]) -> None:
        """Keep a search structure; it stays when places are added or removed.

        Args:
            write: writes it to the file it is given.
            about: what a reader has to know, as JSON types; ``about["rows"]`` says how many of the
                first matrix rows it covers.

        Raises:
            StorageError: it cannot be written, or ``about`` does not fit.
        """
        record = json_types(f"{self._folder}: the search structure's record", about)
        covered = record.get("rows")
        if not isinstance(covered, int) or not 0 <= covered <= self._draft.matrix_rows:
            raise StorageError(
                f"{self._folder}: a search structure of {covered} rows does not fit a matrix of "
                f"{self._draft.matrix_rows:,}"
            )
        file = write_file(self._folder, part_name("structure", self._draft.generation + 1), write)
        self._draft = replace(self._draft, structure=record, structure_file=file)

    @property
    def features(self) -> FeatureFile | None:
        """Local features as the change leaves them."""
        return self._draft.features

    def begin_features(self, matcher: Matcher) -> FeatureFile:
        """Keep local features of this kind from now on, and none of those there were."""
        name = part_name("features", self._draft.generation + 1)
        file = RowFile(name, matcher.layout.row_bytes)
        kept = FeatureFile(matcher.name, matcher.format, matcher.layout, file)
        self._draft = replace(self._draft, features=kept)
        self.append_features((), 0)  # a file without rows is a file, too
        return kept

    def drop_features(self) -> None:
        """Keep no local features."""
        self._draft = replace(self._draft, features=None)

    def append_features(self, features: Iterable[LocalFeatures | None], count: int) -> None:
        """Add the local features of the next ``count`` rows; None for a photo that has none.

        Raises:
            StorageError: they cannot be written; the change is as it was before.
        """
        kept = self._draft.features
        assert kept is not None
        require_space(self._folder, count * kept.file.row_bytes, self._purpose)
        rows = (kept.layout.pack(one)[None] for one in features)
        self._put_feature_rows(kept.file.name, kept.file, rows, count)

    def _rewrite_features(self) -> None:
        """Features of the present places alone, as their descriptors have been rewritten."""
        kept = self._draft.features
        if kept is None or kept.file.rows == 0:
            return
        assert self.base is not None
        old, rows = self.base.features, self.rows[self.rows < kept.file.rows]
        require_space(self._folder, len(rows) * kept.file.row_bytes, self._purpose)
        name = part_name("features", self._draft.generation + 1)
        with written_beside(self._folder / name) as temporary:
            file = RowFile(name, kept.file.row_bytes)
            blocks = (old[row : row + 1] for row in rows)
            self._put_feature_rows(temporary.name, file, blocks, len(rows))

    def _put_feature_rows(
        self, written: str, file: RowFile, rows: Iterable[NDArray[np.uint8]], count: int
    ) -> None:
        assert self._draft.features is not None
        chunks = append_rows(self._folder / written, file, rows, count)
        kept = replace(self._draft.features, file=replace(file, chunks=chunks))
        self._draft = replace(self._draft, features=kept)

    def drop_structure(self) -> None:
        """Go without a search structure."""
        self._draft = replace(self._draft, structure=None, structure_file=None)

    def put_document(self, name: str, content: Any) -> None:
        """Keep a small record under ``name``, as JSON types; None removes it.

        Raises:
            StorageError: JSON cannot hold it.
        """
        documents = {k: v for k, v in self._draft.documents.items() if k != name}
        if content is not None:
            documents[name] = json_types(f"{self._folder}: document {name!r}", content)
        self._draft = replace(self._draft, documents=documents)

    def commit(self, report: Reporter = silent) -> int:
        """Make the change: the index switches to a new generation, whole on the disk.

        Returns:
            The new generation; the present one when nothing has changed.

        Raises:
            StorageError: it cannot be written; the index stays at its present generation. Only a
                disk that fails after the switch leaves it at the new one.
        """
        if self.base is not None and self._draft == self.base.manifest:
            return self.base.manifest.generation
        if not self._draft.model:
            raise StorageError(
                f"{self._folder}: an index needs the model that describes its places"
            )
        if self.base is None and not self._draft.chunks:
            # A matrix without rows is a file, too.
            self.append(Places.of([]), ())
        draft = self._with_tables(report)
        # Names must be on the disk before a manifest tells of them; and until that manifest is
        # there for good, a power cut could bring the old one back, which needs the old files.
        flush_folder(self._folder)
        write_manifest(self._folder, draft)
        flush_folder(self._folder)
        sweep(self._folder, draft)
        self._close_base()
        self._begin(draft, FolderStore.open(self._folder))
        report(Progress("Writing the index", 3, 3, "files"))
        return draft.generation

    def discard(self) -> None:
        """Forget what was not committed, and remove what it, or a killed writer, has left."""
        base = self.base
        self._begin(self._origin, base)
        try:
            # Read anew: a commit may have been interrupted on either side of its switch.
            present = [read_manifest(self._folder)] if has_manifest(self._folder) else []
        except StorageError:
            return
        sweep(self._folder, *present, *([] if base is None else [base.manifest]))

    def close(self) -> None:
        """Discard what was not committed and let go of the base."""
        self.discard()
        self._close_base()

    def _begin(self, draft: Manifest, base: FolderStore | None) -> None:
        self.base = base
        self._origin = self._draft = draft
        self._places = self._rows = None

    def _close_base(self) -> None:
        if self.base is not None:
            self.base.close()

    def _set(self, places: Places, rows: NDArray[np.int64]) -> None:
        """Take over what the places shall be; their files are written with the commit."""
        if places is not self.places:
            self._draft = replace(self._draft, places=UNWRITTEN)
        if not np.array_equal(rows, self.rows):
            self._draft = replace(self._draft, rows=UNWRITTEN)
        self._draft = replace(self._draft, count=len(places))
        self._places, self._rows = places, rows

    def _with_tables(self, report: Reporter) -> Manifest:
        """The manifest to be, after the tables that changed have been written."""
        number = self._draft.generation + 1
        places, rows = self._draft.places, self._draft.rows
        report(Progress("Writing the index", 0, 3, "files"))
        if places is UNWRITTEN:
            places = write_file(self._folder, part_name("places", number), self.places.write)
        report(Progress("Writing the index", 1, 3, "files"))
        if rows is UNWRITTEN:
            # Not np.save to the file: it does not notice when a full disk takes only a part.
            array = io.BytesIO()
            np.save(array, self.rows)
            raw = array.getvalue()
            rows = write_file(self._folder, part_name("rows", number), lambda file: file.write(raw))
        report(Progress("Writing the index", 2, 3, "files"))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return replace(
            self._draft,
            generation=number,
            created=self._draft.created or now,
            updated=now,
            netvlad=version("netvlad"),
            places=places,
            rows=rows,
        )

    def _require_space(self, descriptors_bytes: int, places: Places) -> None:
        # Parquet takes less than the table in memory does; rows take 8 bytes each.
        needed = descriptors_bytes + places.table.nbytes + 8 * len(places)
        require_space(self._folder, needed, self._purpose)


def checked_storage(storage: str) -> str:
    """``storage``, if it is a precision that descriptors can be stored in.

    Raises:
        SettingsError: it is none.
    """
    if storage not in DTYPES:
        raise SettingsError(f"storage is {storage!r}; give one of {', '.join(DTYPES)}")
    return storage


__all__ = ["IndexWriter", "writing"]


@contextlib.contextmanager
def writing(
    folder: Path,
    purpose: str,
    *,
    create: bool = False,
    dim: int | None = None,
    storage: str = "16",
) -> Iterator[IndexWriter]:
    """Hold the index in ``folder`` for a change; what is not committed by the end never happened.

    Args:
        folder: the index; made if need be with ``create``.
        purpose: what is done, for messages (``"adding places"``).
        create: begin an index where there is none.
        dim: D, the length of a descriptor; needed with ``create``, ignored without.
        storage: the precision that descriptors are stored in, ``"16"`` or ``"32"`` bits; ignored
            without ``create``.

    Raises:
        StorageError: another process is writing; there is no index, or with ``create`` there is
            one; the index is damaged or cannot be written.
    """
    if create:
        _refuse_index(folder)
    else:
        # Before the lock, which would make the folder.
        read_manifest(folder)
    with locked(folder, "writing"):
        if create:
            # Another process may have made one since.
            _refuse_index(folder)
            writer = IndexWriter(folder, purpose, _begun(folder, dim, storage), None)
        else:
            base = FolderStore.open(folder)
            writer = IndexWriter(folder, purpose, base.manifest, base)
        try:
            writer.discard()
            yield writer
        finally:
            writer.close()


def _begun(folder: Path, dim: int | None, storage: str) -> Manifest:
    """What an index starts from, before its first commit."""
    if dim is None or dim < 1:
        raise SettingsError(f"{folder}: an index cannot begin with dim {dim}; give 1 or more")
    return Manifest(
        generation=0,
        created="",
        updated="",
        netvlad="",
        dim=dim,
        storage=checked_storage(storage),
        count=0,
        matrix=part_name("descriptors", 1, storage),
        chunks=(),
        places=UNWRITTEN,
        rows=UNWRITTEN,
        model="",
        model_fingerprint="",
        model_files=(),
        structure=None,
        structure_file=None,
        documents={},
    )


def _refuse_index(folder: Path) -> None:
    if has_manifest(folder):
        raise StorageError(
            f"{folder}: already holds an index; use `netvlad index add` to extend it, or choose "
            "another folder"
        )
