"""Approximate nearest neighbours with faiss: which rows are worth an exact look."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import faiss as _faiss
import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import ModelError, SettingsError, StorageError
from netvlad.search.rows import as_float32
from netvlad.storage import drop_pages
from netvlad.types import Progress, Reporter, silent

faiss: Any = _faiss  # its type stubs lack much of what is used here

LINKS = 24  # M of HNSW: links per row and layer, twice as many in the lowest (4 bytes each)
BUILD_BREADTH = 60  # ef_construction of HNSW
MOST_DIMENSIONS = 512  # what IVF-PQ keeps of longer descriptors: codes only choose candidates
ITERATIONS = 10  # of every k-means


def new_hnsw(sample: NDArray[np.float32], seed: int) -> Any:
    """An empty HNSW graph (Malkov and Yashunin 2018) over 8-bit codes of each dimension.

    The (S, D) sample tells the range of each dimension, the seed the layers that rows fall into.
    Against a graph over the descriptors themselves it takes a quarter of the memory, and the few
    swaps that the codes cause are undone by re-scoring.
    """
    index = faiss.IndexHNSWSQ(sample.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS)
    index.hnsw.efConstruction = BUILD_BREADTH
    index.hnsw.rng = faiss.RandomGenerator(seed)
    index.train(sample)
    return index


def new_ivf_pq(sample: NDArray[np.float32], rows: int, seed: int) -> Any:
    """Empty inverted lists of product quantisation codes (Jégou et al. 2011).

    Rows are compared by inner product, which for L2-normalised ones ranks as the distance does and
    needs no table per list. A random rotation spreads what the dimensions hold evenly over the
    codes. (OPQ instead, at 60,000 × 512 and 64 bytes: recall@20 0.9982 instead of 0.9972 among 200
    candidates, for three times the training; re-scoring 400 gains the same.)

    The (S, D) sample has at least 256 rows; the number of lists follows from how many ``rows`` will
    be added; the seed is that of rotation and k-means.
    """
    kept = min(sample.shape[1], MOST_DIMENSIONS, len(sample))
    codes = min(kept, max(16, min(64, kept // 8)))
    kept -= kept % codes
    # 4 √rows lists, as a power of two: the quantiser then costs about as much as the lists.
    lists = min(len(sample), 2 ** round(np.log2(4.0 * np.sqrt(rows))))
    inverted = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(kept), kept, lists, codes, 8, faiss.METRIC_INNER_PRODUCT
    )
    for clustering in (inverted.cp, inverted.pq.cp):
        clustering.niter, clustering.seed = ITERATIONS, seed
        # We chose the sample; faiss would warn on stderr.
        clustering.min_points_per_centroid = 1
    inverted.cp.max_points_per_centroid = max(1, len(sample) // lists + 1)
    inverted.cp.spherical = True
    index = faiss.IndexPreTransform(_rotation(sample, kept, seed), inverted)
    index.train(sample)
    return index


def _rotation(sample: NDArray[np.float32], kept: int, seed: int) -> Any:
    """A random rotation; of the principal directions alone where fewer dimensions are kept.

    The directions are those of the second moment, not of the covariance: without the mean, inner
    products would be others.
    """
    dimension = sample.shape[1]
    random = np.random.default_rng(seed)
    matrix = np.linalg.qr(random.normal(size=(kept, kept)))[0]
    if kept < dimension:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, _, directions = torch.svd_lowrank(torch.from_numpy(sample[:20_000]), q=kept)
        matrix = matrix @ directions.numpy().T
    transform = faiss.LinearTransform(dimension, kept, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, np.float32).ravel(), transform.A)
    transform.is_trained = True
    return transform


KINDS = ("hnsw", "ivf-pq")
"""A graph over 8-bit codes (fast, about D + 200 bytes per row), and inverted lists of product
quantisation codes (about 72 bytes per row)."""

DEFAULT_EFFORT = {"hnsw": (128, 64), "ivf-pq": (64, 400)}
"""Breadth and re-scored candidates by kind, before anybody measured."""

FEWEST_ROWS = {"hnsw": 100, "ivf-pq": 1000}
"""What a kind needs to learn its codes from, and to be worth asking."""

# Of rows added at once, as float32: the memory that building takes beside the structure.
BLOCK_BYTES = 8 * 2**20
TRAINING_BYTES = 256 * 2**20  # of the random sample that codes are learned from, as float32
WRITE_BYTES = 2**20  # written at once

_ABOUT = {"kind": str, "rows": int, "dimension": int, "breadth": int, "rescored": int}


@dataclass(frozen=True, eq=False)
class Structure:
    """Finds probable neighbours among the first rows of a matrix, without reading the matrix.

    Attributes:
        kind: one of :data:`KINDS`.
        rows: M, how many rows of the matrix it covers, from the first one on.
        dimension: D.
        breadth: how much of it a search visits: ef_search of HNSW (Malkov and Yashunin 2018,
            algorithm 5), nprobe of IVF-PQ (Jégou et al. 2011, section IV).
        rescored: how many candidates a search for a few neighbours should look at exactly.
        faiss_index: with M entries, numbered as the rows.
    """

    kind: str
    rows: int
    dimension: int
    breadth: int
    rescored: int
    faiss_index: Any

    def with_effort(self, breadth: int, rescored: int) -> "Structure":
        """The same structure, searched more or less thoroughly; nothing is copied.

        Raises:
            SettingsError: a number below 1.
        """
        if breadth < 1 or rescored < 1:
            raise SettingsError(f"search effort {breadth}, {rescored}: give numbers from 1 on")
        return dataclasses.replace(self, breadth=breadth, rescored=rescored)

    def candidates(
        self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """About ``count`` rows near each query, nearest first as far as the codes tell.

        With a filter the search widens by the share of rows that it excludes, and what is not
        allowed is dropped afterwards. What remains is then all that is near. (A filter inside the
        search would always return ``count`` rows, also when the query's surroundings hold none
        that is allowed and they are chance finds: on clustered data with a filter that follows the
        clusters, recall@20 fell from 0.996 to 0.965.) A query that gets less than it needs should
        be searched exactly.

        Args:
            queries: (Q, D), L2-normalised. Not finite ones get some rows.
            count: how many are wanted per query, at least 1.
            allowed: (M,) False for rows that must not be returned.

        Returns:
            (Q, count) rows, each at most once per query; -1 after the last.

        Raises:
            ModelError: queries of another dimension.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ModelError(
                f"queries of shape {queries.shape} cannot be searched among rows of "
                f"{self.dimension} dimensions: describe them by the index's own model"
            )
        share = 1.0 if allowed is None else float(np.count_nonzero(allowed)) / self.rows
        if share == 0.0 or len(queries) == 0:
            return np.full((len(queries), count), -1, dtype=np.int64)
        asked = min(int(np.ceil(count / share)), self.rows)
        finite = np.nan_to_num(queries.astype(np.float32), posinf=0.0, neginf=0.0)
        _, found = self.faiss_index.search(finite, asked, params=self._parameters(asked, share))
        if allowed is None:
            return widened(found, count)
        dropped = (found < 0) | ~allowed[found]
        # Stable: what is kept moves to the front in its order.
        order = np.argsort(dropped, axis=1, kind="stable")
        return widened(np.take_along_axis(np.where(dropped, -1, found), order, axis=1), count)

    def write(self, file: IO[bytes]) -> None:
        """Write it to an open file, a piece at a time.

        Raises:
            StorageError: the file cannot be written.
        """
        troubles: list[OSError] = []

        def write(data: bytes) -> int:
            # faiss goes on after a failed write, and an exception would not come through.
            try:
                return 0 if troubles else file.write(data)
            except OSError as error:
                troubles.append(error)
                return 0

        try:
            faiss.write_index(self.faiss_index, faiss.PyCallbackIOWriter(write, WRITE_BYTES))
        except RuntimeError as error:
            troubles.append(OSError(str(error)))
        for trouble in troubles:
            told = f"cannot be written: {trouble.strerror or trouble}"
            raise StorageError(f"{getattr(file, 'name', 'search structure')}: {told}") from trouble

    def size_bytes(self) -> int:
        """How many bytes :meth:`write` writes."""
        size = 0

        def count(data: bytes) -> int:
            nonlocal size
            size += len(data)
            return len(data)

        faiss.write_index(self.faiss_index, faiss.PyCallbackIOWriter(count, WRITE_BYTES))
        return size

    def about(self) -> dict[str, Any]:
        """What :func:`read_structure` needs beside the file, as JSON types."""
        return {name: getattr(self, name) for name in _ABOUT}

    def _parameters(self, asked: int, share: float) -> Any:
        breadth = int(np.ceil(self.breadth / share))
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=min(max(breadth, asked), self.rows))
        lists = faiss.SearchParametersIVF(nprobe=min(breadth, self.most_breadth()))
        return faiss.SearchParametersPreTransform(index_params=lists)

    def most_breadth(self) -> int:
        """The breadth at which everything is visited."""
        if self.kind == "hnsw":
            return self.rows
        return int(faiss.extract_index_ivf(self.faiss_index).nlist)


def build_structure(
    kind: str,
    matrix: NDArray[np.floating],
    *,
    rows: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    report: Reporter = silent,
) -> Structure:
    """Build a structure over the first rows of a matrix, in memory that depends on it alone.

    Args:
        kind: one of :data:`KINDS`.
        matrix: (N, D) L2-normalised float16 or float32, usually memory-mapped. Rows that are not
            finite count as zeros, and are for the searcher to leave out.
        rows: how many to cover; None is all.
        seed: of the random choices. IVF-PQ depends on it alone, HNSW also on the order in which
            threads come by: it is reproducible with one thread.
        threads: None takes what OpenMP takes.
        report: gets the progress, a block of rows at a time.

    Raises:
        SettingsError: an unknown kind, or fewer rows than it needs to learn from.
    """
    count = len(matrix) if rows is None else rows
    if kind not in KINDS:
        raise SettingsError(f"search structure {kind!r}: choose one of {', '.join(KINDS)}")
    if not FEWEST_ROWS[kind] <= count <= len(matrix):
        told = f"search structure {kind!r} over {count} of {len(matrix)} rows"
        needed = f"it needs at least {FEWEST_ROWS[kind]}"
        raise SettingsError(f"{told}: {needed}; search exactly below that")
    dimension = matrix.shape[1]
    with _threads(threads):
        stage = "Learning the codes of the search structure"
        report(Progress(stage, 0, 1, unit="samples"))
        sample = _sample(matrix, count, seed)
        built = new_hnsw(sample, seed) if kind == "hnsw" else new_ivf_pq(sample, count, seed)
        del sample
        report(Progress(stage, 1, 1, unit="samples"))
        block = max(1, BLOCK_BYTES // (4 * dimension))
        for start in range(0, count, block):
            stop = min(start + block, count)
            built.add(_finite_rows(matrix, slice(start, stop)))
            report(Progress("Building the search structure", stop, count, unit="places"))
    breadth, rescored = DEFAULT_EFFORT[kind]
    return Structure(kind, count, dimension, breadth, rescored, built)


def read_structure(path: Path, about: Mapping[str, Any]) -> Structure:
    """Open what :meth:`Structure.write` wrote; its codes and lists are mapped, not read.

    ``about`` is what :meth:`Structure.about` said.

    Raises:
        StorageError: the file is missing, damaged, or another one than ``about`` describes.
    """
    remedy = "rebuild it (netvlad index optimize)"
    if not path.is_file():
        raise StorageError(f"{path}: the search structure is missing; {remedy}")
    try:
        # Maps whatever lies in the file as it lies in memory: codes, graph, inverted lists.
        read = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        told = f"is damaged or not a search structure ({reason[0]})"
        raise StorageError(f"{path}: {told}; {remedy}") from error
    try:
        known = {name: convert(about[name]) for name, convert in _ABOUT.items()}
        structure = Structure(**known, faiss_index=read)
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: its description lacks {error}; {remedy}") from error
    kinds = {"hnsw": faiss.IndexHNSW, "ivf-pq": faiss.IndexPreTransform}
    same = isinstance(read, kinds.get(structure.kind, ()))
    if not same or (read.ntotal, read.d) != (structure.rows, structure.dimension):
        raise StorageError(
            f"{path}: holds {read.ntotal} rows of {read.d} dimensions, not the {structure.kind} "
            f"of {structure.rows} rows of {structure.dimension} that is expected; {remedy}"
        )
    return structure


def _sample(matrix: NDArray[np.floating], count: int, seed: int) -> NDArray[np.float32]:
    size = min(count, max(1, TRAINING_BYTES // (4 * matrix.shape[1])))
    chosen = np.random.default_rng(seed).choice(count, size, replace=False)
    # In the order of the file.
    return _finite_rows(matrix, np.sort(chosen))


def _finite_rows(
    matrix: NDArray[np.floating], at: slice | NDArray[np.integer]
) -> NDArray[np.float32]:
    rows = as_float32(matrix[at])
    drop_pages(matrix)
    rows[~np.isfinite(rows).all(axis=1)] = 0.0
    return rows


def widened(found: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(Q, count): with -1 after what there is."""
    missing = max(0, count - found.shape[1])
    return np.pad(found[:, :count], ((0, 0), (0, missing)), constant_values=-1)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let faiss use so many threads; the number is the whole process's, so it is put back."""
    before = faiss.omp_get_max_threads()
    if count is not None:
        faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
