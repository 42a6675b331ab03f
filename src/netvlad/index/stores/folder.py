"""One generation of an index on disk, as a reader sees it: it stays as it is until it is closed."""

import io
import json
import mmap
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.torch
from numpy.typing import NDArray

from netvlad.errors import StorageError
from netvlad.index.places import Places, StoredPlaces
from netvlad.index.stores.manifest import DTYPES, FileRecord, Manifest, RowFile, read_manifest
from netvlad.models import ModelSpec, PlaceModel
from netvlad.models.checkpoints import Checkpoint, model_of

# How many switches of a busy writer a reader lets pass before it gives up.
_ATTEMPTS = 50
REMEDY = "restore it from a copy of the index, or build the index anew"


@dataclass(frozen=True)
class OpenFiles:
    """The files of one generation, open: removing their names cannot hurt any more.

    Attributes:
        manifest: of the generation.
        files: by name.
        lacking: what could not be opened, and why.
    """

    manifest: Manifest
    files: Mapping[str, IO[bytes]]
    lacking: Mapping[str, str]


def open_files(folder: Path, closing: ExitStack) -> OpenFiles:
    """Open everything that the present generation consists of; ``closing`` closes it.

    Raises:
        StorageError: there is no index, its manifest cannot be read, or a writer switches faster
            than a reader can follow.
    """
    earlier: Manifest | None = None
    for _ in range(_ATTEMPTS):
        manifest = read_manifest(folder)
        files: dict[str, IO[bytes]] = {}
        lacking: dict[str, str] = {}
        with ExitStack() as attempt:
            for name in (file.name for file in manifest.all_files):
                try:
                    files[name] = attempt.enter_context((folder / name).open("rb"))
                except FileNotFoundError:
                    lacking[name] = "is missing"
                except OSError as error:
                    lacking[name] = f"cannot be read: {error.strerror or error}"
            # When a file is gone, a writer may have switched since: then there is a new manifest.
            if not lacking or manifest == earlier:
                closing.push(attempt.pop_all())
                return OpenFiles(manifest, files, lacking)
        earlier = manifest
    raise StorageError(f"{folder}: is being written too often to be read; try again later")


class FolderStore:
    """A snapshot of one generation of an index. Threads may share it.

    Attributes:
        folder: where the index lies.
        manifest: what the generation consists of.
    """

    def __init__(self, folder: Path, opened: OpenFiles, closing: ExitStack) -> None:
        """Take over open files; :meth:`open` is the way to get one.

        Raises:
            StorageError: a file is not of the size that the manifest says.
        """
        self.folder = folder
        self.manifest = opened.manifest
        self._files = opened.files
        self._closing = closing
        for file in self.manifest.all_files:
            size = _size(self._files[file.name])
            # Rows may be more: a writer is at work behind the last one, or was.
            growing = isinstance(file, RowFile)
            if size < file.size_bytes or (size > file.size_bytes and not growing):
                raise StorageError(
                    f"{folder / file.name}: is damaged: {size:,} bytes instead of "
                    f"{file.size_bytes:,}; {REMEDY}"
                )

    @classmethod
    def open(cls, folder: Path) -> "FolderStore":
        """Open the present generation of the index in ``folder``; places are read when asked for.

        Raises:
            StorageError: there is no index, a newer version wrote it, or a file is missing, damaged
                or cannot be read.
        """
        with ExitStack() as closing:
            opened = open_files(folder, closing)
            for name, reason in opened.lacking.items():
                raise StorageError(f"{folder / name}: {reason}; {REMEDY}")
            store = cls(folder, opened, closing)
            store._closing = closing.pop_all()
        return store

    @cached_property
    def places(self) -> Places:
        """The N places.

        Raises:
            StorageError: their table is damaged.
        """
        record = self.manifest.places
        places = Places.read(io.BytesIO(self._content(record)), str(self.folder / record.name))
        if len(places) != self.manifest.count:
            raise self._damaged(record, f"{len(places):,} places, not {self.manifest.count:,}")
        return places

    def place(self, i: int) -> dict[str, Any]:
        """Place ``i`` by column; reads a part of the table where it was not read as a whole.

        Raises:
            StorageError: the table is damaged.
        """
        if "places" in self.__dict__:
            return self.places.row(i)
        return self._stored.row(i)

    @cached_property
    def _stored(self) -> StoredPlaces:
        record = self.manifest.places
        mapped = mmap.mmap(self._files[record.name].fileno(), 0, access=mmap.ACCESS_READ)
        return StoredPlaces(memoryview(mapped), str(self.folder / record.name))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(N,) the matrix row of each place, ascending; read-only.

        Raises:
            StorageError: the file is damaged.
        """
        record = self.manifest.rows
        try:
            rows = np.load(io.BytesIO(self._content(record)), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise self._damaged(record, "not an array") from error
        reason = self._misfit(rows)
        if reason is not None:
            raise self._damaged(record, reason)
        rows.flags.writeable = False
        return np.asarray(rows)

    @cached_property
    def matrix(self) -> NDArray[Any]:
        """(R, D) float16 or float32 descriptors, memory-mapped, those of removed places included.

        Once taken, it stays valid when the store is closed.
        """
        shape = (self.manifest.matrix_rows, self.manifest.dim)
        dtype = np.dtype(DTYPES[self.manifest.storage])
        if shape[0] == 0:
            return np.empty(shape, dtype)
        return np.memmap(self._files[self.manifest.matrix], dtype, mode="r", shape=shape)

    @cached_property
    def features(self) -> NDArray[np.uint8]:
        """(F, B) local features of the first F rows of :attr:`matrix`, memory-mapped."""
        kept = self.manifest.features
        if kept is None or kept.file.rows == 0:
            return np.empty((0, 0), np.uint8)
        shape = (kept.file.rows, kept.file.row_bytes)
        return np.memmap(self._files[kept.file.name], np.uint8, mode="r", shape=shape)

    def structure_path(self) -> Path | None:
        """A file name under which the search structure can be opened or mapped; None without one.

        On Linux it is one that outlives the file's removal by a writer, as long as this store is
        open.
        """
        record = self.manifest.structure_file
        if record is None:
            return None
        kept = Path(f"/proc/self/fd/{self._files[record.name].fileno()}")
        return kept if kept.exists() else self.folder / record.name

    def load_model(self) -> PlaceModel:
        """The model that described the places, in evaluation mode.

        Raises:
            StorageError: a file of it is damaged.
            CheckpointError: this version of the package cannot build it.
        """
        source = self.folder / self.manifest.model
        try:
            weights = safetensors.torch.load(self._model_file("model.safetensors"))
        except (ValueError, safetensors.SafetensorError) as error:
            raise StorageError(f"{source}: is not a model ({error}); {REMEDY}") from error
        return model_of(Checkpoint(self.model_spec(), weights), source)

    def model_spec(self) -> ModelSpec:
        """What the model is made of, without its weights.

        Raises:
            StorageError: the file is damaged.
        """
        try:
            return ModelSpec.from_json(json.loads(self._model_file("checkpoint.json"))["model"])
        except (ValueError, KeyError, TypeError) as error:
            source = self.folder / self.manifest.model
            raise StorageError(f"{source}: is not a model ({error}); {REMEDY}") from error

    def close(self) -> None:
        """Let go of the files. What was taken from the store before stays valid."""
        for mapped in ("matrix", "features", "_stored"):
            self.__dict__.pop(mapped, None)
        self._closing.close()

    def __enter__(self) -> "FolderStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _misfit(self, rows: NDArray[Any]) -> str | None:
        if rows.dtype != np.int64 or rows.shape != (self.manifest.count,):
            expected = f"{self.manifest.count:,} whole numbers"
            return f"{rows.dtype} of shape {rows.shape} instead of {expected}"
        if np.any(np.diff(rows, prepend=-1, append=self.manifest.matrix_rows) <= 0):
            return f"not ascending rows of a matrix of {self.manifest.matrix_rows:,}"
        return None

    def _damaged(self, record: FileRecord, reason: str) -> StorageError:
        return StorageError(f"{self.folder / record.name}: is damaged: {reason}; {REMEDY}")

    def _model_file(self, name: str) -> bytes:
        for record in self.manifest.model_files:
            if Path(record.name).name == name:
                content = self._content(record)
                if sha256(content).hexdigest() != record.sha256:
                    raise self._damaged(record, "its checksum does not match")
                return content
        raise StorageError(f"{self.folder / self.manifest.model}: lacks {name}; {REMEDY}")

    def _content(self, record: FileRecord) -> bytes:
        # Through a mapping, because threads and forked processes share a file's position.
        with mmap.mmap(self._files[record.name].fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return mapped[:]


def _size(file: IO[bytes]) -> int:
    return file.seek(0, io.SEEK_END)
