"""The manifest of an index on disk: what its present generation consists of.

An index is a folder::

    my.index/
        manifest.json             names every file of the present generation, with its checksum
        model-000001/             the model, a checkpoint folder of ours
        places-000007.parquet     one row for each place
        rows-000007.npy           (N,) int64: the matrix row of each place, ascending
        descriptors-000001.f16    (R, D) little-endian rows without a header; or .f32
        features-000002.u8        (≤ R, B) local features, a row for each of the first rows; may be
                                  absent
        structure-000005.faiss    a search structure over the first rows; may be absent
        features/                 a cache that belongs to others; no part of a generation
        .lock                     held by the one writer

A file's number is the generation that wrote it. Files of a generation never change, but for those
of rows, which grow behind their last one: older generations see fewer of them. Replacing
``manifest.json`` is the switch from one generation to the next; what the new one does not name is
removed afterwards.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from netvlad.errors import StorageError
from netvlad.matching.features import FeatureLayout
from netvlad.storage import written_beside

CHUNK_ROWS = 65_536
CHUNK_BYTES = 1 << 29
"""The most rows, and bytes of more than one, under one checksum."""

_BLOCK_BYTES = 1 << 23


@dataclass(frozen=True)
class Chunk:
    """So many rows, and the checksum of their bytes.

    Attributes:
        rows: how many follow the chunk before.
        sha256: in hexadecimal digits.
    """

    rows: int
    sha256: str


@dataclass(frozen=True)
class RowFile:
    """A file of rows of one length, which grows behind its last row.

    Attributes:
        name: relative to the index's folder.
        row_bytes: the length of a row.
        chunks: the checksums of its rows, in their order.
    """

    name: str
    row_bytes: int
    chunks: tuple[Chunk, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows count."""
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def size_bytes(self) -> int:
        """How many bytes those are."""
        return self.rows * self.row_bytes


def chunk_limit(row_bytes: int) -> int:
    """The most rows of that length under one checksum."""
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes))


class ChunkedDigest:
    """The checksums of rows that are written one block after another.

    Attributes:
        rows: how many were added so far.
    """

    def __init__(self, row_bytes: int) -> None:
        self.rows = 0
        self._row_bytes, self._limit = row_bytes, chunk_limit(row_bytes)
        self._done: list[Chunk] = []
        self._open = hashlib.sha256()
        self._open_rows = 0

    def add(self, rows: memoryview) -> None:
        """Take in whole rows, as bytes."""
        while len(rows):
            room = (self._limit - self._open_rows) * self._row_bytes
            part, rows = rows[:room], rows[room:]
            self._open.update(part)
            self._open_rows += len(part) // self._row_bytes
            self.rows += len(part) // self._row_bytes
            if self._open_rows == self._limit:
                self._close()

    def chunks(self) -> tuple[Chunk, ...]:
        """The checksums of all rows that were added."""
        if self._open_rows:
            self._close()
        return tuple(self._done)

    def _close(self) -> None:
        self._done.append(Chunk(self._open_rows, self._open.hexdigest()))
        self._open = hashlib.sha256()
        self._open_rows = 0


def merged(chunks: tuple[Chunk, ...], file: IO[bytes], row_bytes: int) -> tuple[Chunk, ...]:
    """Join the last chunks where many small appends would leave many small chunks.

    Two chunks become one as long as the last is no smaller than the one before it, as in a binary
    counter: their number grows with the logarithm of the appends, and a row is read again only so
    often. A chunk that no longer has its checksum keeps it, so that the damage is not sealed.

    Args:
        chunks: of the rows in ``file``, in their order.
        file: of the rows, open for reading.
        row_bytes: the length of a row.
    """
    while len(chunks) > 1:
        *others, first, second = chunks
        rows = first.rows + second.rows
        if second.rows < first.rows or rows > chunk_limit(row_bytes):
            break
        file.seek(sum(chunk.rows for chunk in others) * row_bytes)
        both = hashlib.sha256()
        for chunk in (first, second):
            alone = hashlib.sha256()
            for block in blocks_of(file, chunk.rows * row_bytes):
                alone.update(block)
                both.update(block)
            if alone.hexdigest() != chunk.sha256:
                return chunks
        chunks = (*others, Chunk(rows, both.hexdigest()))
    return chunks


def blocks_of(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """The next ``size_bytes`` bytes of a file in blocks, or as many as there are."""
    while size_bytes > 0:
        block = file.read(min(size_bytes, _BLOCK_BYTES))
        if not block:
            return
        size_bytes -= len(block)
        yield block


FORMAT = 2
MANIFEST = "manifest.json"
DTYPES: Mapping[str, str] = {"16": "<f2", "32": "<f4"}
"""How descriptors are stored, by the name of their precision."""

MODEL_FILES = ("checkpoint.json", "model.safetensors", "training.safetensors")
_NAMES = {
    "places": re.compile(r"places-\d{6,}\.parquet"),
    "rows": re.compile(r"rows-\d{6,}\.npy"),
    "descriptors": re.compile(r"descriptors-\d{6,}\.f(16|32)"),
    "features": re.compile(r"features-\d{6,}\.u8"),
    "structure": re.compile(r"structure-\d{6,}\.faiss"),
    "model": re.compile(r"model-\d{6,}"),
}
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[^.]+\.tmp")


@dataclass(frozen=True)
class FileRecord:
    """A file that never changes.

    Attributes:
        name: relative to the index's folder.
        size_bytes: how long it is.
        sha256: of its content, in hexadecimal digits.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class FeatureFile:
    """Local features, a row for each of the first rows of descriptors.

    Attributes:
        matcher: which found them.
        format: its :attr:`~netvlad.matching.features.Matcher.format` when it did.
        layout: of a row.
        file: the rows.
    """

    matcher: str
    format: str
    layout: FeatureLayout
    file: RowFile


@dataclass(frozen=True)
class Manifest:
    """What a generation consists of.

    Attributes:
        format: of the layout, see :data:`FORMAT`.
        generation: counted from 1.
        created: when the first generation was written, an ISO 8601 time in UTC.
        updated: when this one was.
        netvlad: the version of this package that wrote it.
        dim: D, the length of a descriptor.
        storage: the precision of the stored descriptors in bits, a key of :data:`DTYPES`.
        count: N, the number of places.
        matrix: the file of descriptors.
        chunks: the checksums of its rows, in their order.
        places: the table of places.
        rows: the matrix row of each place.
        model: the folder of the model that described the places.
        model_fingerprint: the name of that model.
        model_files: what lies in its folder.
        structure: what its maker noted about the search structure; None where there is none.
        structure_file: the search structure itself.
        documents: small records by name, as JSON types.
        features: local features of the photos; None where none are kept.
    """

    generation: int
    created: str
    updated: str
    netvlad: str
    dim: int
    storage: str
    count: int
    matrix: str
    chunks: tuple[Chunk, ...]
    places: FileRecord
    rows: FileRecord
    model: str
    model_fingerprint: str
    model_files: tuple[FileRecord, ...]
    structure: Mapping[str, Any] | None
    structure_file: FileRecord | None
    documents: Mapping[str, Any]
    features: FeatureFile | None = None
    format: int = FORMAT

    @property
    def matrix_rows(self) -> int:
        """R, the rows of the matrix, those of removed places included."""
        return self.descriptors.rows

    @property
    def descriptors(self) -> RowFile:
        """The matrix."""
        return RowFile(self.matrix, self.dim * int(self.storage) // 8, self.chunks)

    @property
    def row_files(self) -> tuple[RowFile, ...]:
        """The files that grow."""
        return (self.descriptors, *(() if self.features is None else (self.features.file,)))

    @property
    def all_files(self) -> tuple[RowFile | FileRecord, ...]:
        """Those that grow, and every other."""
        return (*self.row_files, *self.files)

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Every file but those of rows."""
        structure = () if self.structure_file is None else (self.structure_file,)
        return (self.places, self.rows, *structure, *self.model_files)

    @property
    def names(self) -> frozenset[str]:
        """What this generation needs of the index's folder, the manifest included."""
        inside = {file.name for file in self.files if "/" not in file.name}
        growing = {file.name for file in self.row_files}
        return frozenset(inside | growing | {MANIFEST, self.model})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Switch the index in ``folder`` to the generation that ``manifest`` describes.

    Raises:
        StorageError: it cannot be written; the index stays at its present generation.
    """
    content = asdict(manifest)
    with written_beside(folder / MANIFEST) as temporary:
        temporary.write_bytes(_rendered(content))


def has_manifest(folder: Path) -> bool:
    """Whether ``folder`` holds an index, be it damaged."""
    return (folder / MANIFEST).exists()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the index in ``folder``.

    Raises:
        StorageError: there is no index, a newer version wrote it, or the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        reason = "is not a place index (it has no manifest.json)"
        raise StorageError(
            f"{folder}: {reason if folder.is_dir() else 'does not exist'}; "
            "make one with `netvlad index build`"
        ) from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parsed_manifest(raw, path)


def parsed_manifest(raw: bytes, path: Path) -> Manifest:
    """The manifest that the bytes of a file say; ``path`` names it in messages.

    Raises:
        StorageError: a newer version wrote it, or it is damaged.
    """
    damaged = StorageError(
        f"{path}: is damaged; restore it from a copy of the index, or build the index anew"
    )
    try:
        content = json.loads(raw)
        version = content["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if isinstance(version, int) and version > FORMAT:
        raise StorageError(
            f"{path}: was written in format {version}, this version reads {FORMAT}; "
            "install a newer netvlad"
        )
    content.pop("sha256", None)
    try:
        # Every byte counts, the white space too: the file must be what would be written today.
        if _rendered(content) == raw:
            return _manifest(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged from error
    raise damaged


def json_types(what: str, content: Any) -> Any:
    """``content`` as JSON gives it back.

    Raises:
        StorageError: JSON cannot hold it; ``what`` says what it is.
    """
    try:
        return json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{what} cannot be kept as JSON ({error}); give plain numbers, texts, lists and objects"
        ) from error


def part_name(part: str, generation: int, storage: str = "") -> str:
    """The name of a generation's file; ``part`` is a key of the patterns above."""
    suffixes = {"places": ".parquet", "rows": ".npy", "structure": ".faiss", "model": ""}
    suffixes |= {"features": ".u8", "descriptors": f".f{storage}"}
    return f"{part}-{generation:06d}{suffixes[part]}"


def is_ours(name: str) -> bool:
    """Whether a name in an index's folder is one that a writer gives, half-written or not."""
    half = _TEMPORARY.fullmatch(name)
    whole = name if half is None else half["name"]
    if half is not None and whole == MANIFEST:
        return True
    return any(pattern.fullmatch(whole) for pattern in _NAMES.values())


def _rendered(content: dict[str, Any]) -> bytes:
    """The file that says ``content``, with the checksum of the same text without one."""
    digest = hashlib.sha256(_json(content)).hexdigest()
    return _json({**content, "sha256": digest}) + b"\n"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode()


def _manifest(content: Mapping[str, Any]) -> Manifest:
    """The manifest of a file's content, every name in it checked to stay inside the folder."""
    structure = content["structure_file"]
    model = _checked("model", content["model"])
    manifest = Manifest(
        **{
            **content,
            "matrix": _checked("descriptors", content["matrix"]),
            "chunks": tuple(Chunk(**chunk) for chunk in content["chunks"]),
            "places": _record("places", content["places"]),
            "rows": _record("rows", content["rows"]),
            "model": model,
            "model_files": tuple(FileRecord(**file) for file in content["model_files"]),
            "structure_file": None if structure is None else _record("structure", structure),
            "features": _features(content.get("features")),
            "format": FORMAT,  # of what is written from now on
        }
    )
    if [file.name for file in manifest.model_files] != [f"{model}/{name}" for name in MODEL_FILES]:
        raise ValueError("the model's files")
    if manifest.storage not in DTYPES or manifest.dim < 1 or manifest.generation < 1:
        raise ValueError("the descriptors' format")
    chunks = [chunk.rows for file in manifest.row_files for chunk in file.chunks]
    if min([manifest.count, *chunks]) < 0 or manifest.row_files[-1].rows > manifest.matrix_rows:
        raise ValueError("the counts")
    return manifest


def _features(content: Mapping[str, Any] | None) -> FeatureFile | None:
    if content is None:
        return None
    layout, file = FeatureLayout(**content["layout"]), content["file"]
    name = _checked("features", file["name"])
    rows = RowFile(name, layout.row_bytes, tuple(Chunk(**chunk) for chunk in file["chunks"]))
    return FeatureFile(content["matcher"], content["format"], layout, rows)


def _record(part: str, content: Mapping[str, Any]) -> FileRecord:
    record = FileRecord(**content)
    _checked(part, record.name)
    return record


def _checked(part: str, name: str) -> str:
    if not _NAMES[part].fullmatch(name):
        raise ValueError(name)
    return name
