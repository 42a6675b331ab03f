"""Exact search against faiss, on descriptors that lie on disk: ``python -m benchmarks.search``.

Made-up descriptors in clusters are written to a temporary folder: database rows around centres,
queries that are database rows with a little noise, all normalised. Then each search runs in a
process of its own, so that its peak memory (``ru_maxrss``) is nobody else's:

- ours: ``search_exact`` on the mapped files;
- faiss: for each block of as many rows as ours holds, a fresh ``IndexFlatIP`` and a merge with the
  best so far, because an index of the whole database would have to fit into memory;
- matrix products alone, of the shapes that ours computes: what no exact search can beat.

``--pittsburgh`` evaluates the shape of Pitts250k-test with NetVLAD's 32,768 dimensions, in half
precision, ours only: search, ground truth by radius and recalls, as ``netvlad.evaluate`` does it
with descriptors from disk. The files are removed at the end, also after Ctrl-C.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.storage import drop_pages, require_space, write_json

K = 20
CENTRES = 10_000
SPREAD, NOISE = 0.7, 0.3  # of a row around its centre, of a query around its row; centres have 1
GENERATED_BYTES = 64 * 2**20
PRODUCT_SECONDS = 10.0
PITTSBURGH = {"rows": 83_952, "dim": 32_768, "queries": 8_280, "dtype": "float16"}


@dataclass(frozen=True)
class Shape:
    """What is searched in what."""

    rows: int
    dim: int
    queries: int
    dtype: str

    @property
    def gflop(self) -> float:
        return 2 * self.rows * self.dim * self.queries / 1e9

    @property
    def bytes(self) -> int:
        return (self.rows + self.queries) * self.dim * np.dtype(self.dtype).itemsize


def main(arguments: Sequence[str] | None = None) -> int:
    typed = _parser().parse_args(arguments)
    sizes = PITTSBURGH if typed.pittsburgh else {}
    shape = Shape(**{**vars_of(typed, "rows", "dim", "queries", "dtype"), **sizes})
    if typed.role:
        print(json.dumps(ROLES[typed.role](Path(typed.folder), shape, typed.threads)))
        return 0
    # A plain kill then leaves no files either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parent = Path(typed.folder or tempfile.gettempdir())
    require_space(parent, int(1.02 * shape.bytes) + 10**8, "the benchmark of the search")
    try:
        with tempfile.TemporaryDirectory(prefix="search-", dir=parent) as folder:
            report = measured(Path(folder), shape, typed, faiss=not typed.pittsburgh)
    except KeyboardInterrupt:
        return 130
    print_report(report)
    if typed.json:
        write_json(typed.json, report)
    return 0


def vars_of(typed: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(typed, name) for name in names}


def measured(folder: Path, shape: Shape, typed: argparse.Namespace, *, faiss: bool) -> Any:
    """All figures, as plain JSON."""
    in_child("generate", folder, shape, typed.threads)
    products = in_child("products", folder, shape, typed.threads)
    report = {
        "shape": asdict(shape),
        "k": K,
        "threads": typed.threads,
        "cold": typed.cold,
        "products_gflops": products["gflops"],
        "results": {},
    }
    for name in ("ours", "faiss") if faiss else ("evaluate",):
        if typed.cold:
            evict(folder)
        load = os.getloadavg()[0]
        found = in_child(name, folder, shape, typed.threads)
        rate = shape.gflop / found["seconds"]
        more = {"gflops": rate, "share": rate / products["gflops"], "load_before": load}
        report["results"][name] = {**found, **more}
    if faiss:
        ours, theirs = (np.load(folder / f"{name}.npy") for name in ("ours", "faiss"))
        report["same"] = {
            "first": float((ours[:, 0] == theirs[:, 0]).mean()),
            "all": float((ours == theirs).mean()),
        }
    return report


def in_child(role: str, folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """Run one role of this module in a process of its own.

    This process stays small (it never imports torch): a child's ``ru_maxrss`` begins with what its
    parent had in memory when it started the child.
    """
    command = [sys.executable, "-m", "benchmarks.search", "--role", role, "--folder", str(folder)]
    for name, value in {**asdict(shape), "threads": threads}.items():
        command += [f"--{name}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    print(f"{role} ...", file=sys.stderr)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def generate(folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """Write ``database.npy`` and ``queries.npy``, in blocks."""
    random = np.random.default_rng(0)
    count = max(1, min(CENTRES, shape.rows // 100))
    centres = random.standard_normal((count, shape.dim), dtype=np.float32)
    step = max(1, GENERATED_BYTES // (4 * shape.dim))
    database = new_file(folder / "database.npy", shape.rows, shape)
    for start in range(0, shape.rows, step):
        block = database[start : start + step]
        near = centres[random.integers(0, count, len(block))]
        block[:] = normalised(near + SPREAD * noise(random, near.shape))
        drop_pages(database)
    queries = new_file(folder / "queries.npy", shape.queries, shape)
    chosen = random.integers(0, shape.rows, shape.queries)
    for start in range(0, shape.queries, step):
        near = database[chosen[start : start + step]].astype(np.float32)
        # Rows are short now: the noise as well.
        queries[start : start + step] = normalised(
            near + NOISE / np.sqrt(shape.dim) * noise(random, near.shape)
        )
    for array, path in ((database, "database.npy"), (queries, "queries.npy")):
        array.flush()
        # Written out now, not while somebody is measured.
        with (folder / path).open("rb") as file:
            os.fsync(file.fileno())
    return {}


def new_file(path: Path, rows: int, shape: Shape) -> np.memmap[Any, np.dtype[Any]]:
    return np.lib.format.open_memmap(path, "w+", np.dtype(shape.dtype), (rows, shape.dim))


def noise(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return random.standard_normal(shape, dtype=np.float32)


def normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def evict(folder: Path) -> None:
    """Make the system forget the files, so that they are read from the disk again."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def mapped(folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    return (
        np.load(folder / "queries.npy", mmap_mode="r"),
        np.load(folder / "database.npy", mmap_mode="r"),
    )


def search_ours(folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """``search_exact`` as anybody would call it."""
    # Imported here, and in the other roles: what one side imports is not in the other's memory.
    import_module("torch").set_num_threads(threads)
    search_exact = import_module("netvlad.search").search_exact
    queries, database = mapped(folder)
    started = time.perf_counter()
    matches = search_exact(queries, database, K)
    return finished(folder / "ours.npy", started, matches.indices)


def search_faiss(folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """A fresh index per block, and the best of what there was and what it finds."""
    faiss = import_module("faiss")
    faiss.omp_set_num_threads(threads)
    queries, database = mapped(folder)
    started = time.perf_counter()
    queries = np.array(queries, dtype=np.float32)
    best: NDArray[Any] = np.full((len(queries), K), -np.inf, dtype=np.float32)
    where: NDArray[Any] = np.full((len(queries), K), -1, dtype=np.int64)
    step = block_rows(shape)
    for start in range(0, shape.rows, step):
        index = faiss.IndexFlatIP(shape.dim)
        index.add(np.ascontiguousarray(database[start : start + step], dtype=np.float32))
        drop_pages(database)
        found, at = index.search(queries, K)
        best, where = np.hstack([best, found]), np.hstack([where, at + start])
        order = np.argsort(-best, axis=1, kind="stable")[:, :K]
        best = np.take_along_axis(best, order, axis=1)
        where = np.take_along_axis(where, order, axis=1)
    return finished(folder / "faiss.npy", started, where)


def block_rows(shape: Shape) -> int:
    """As many database rows as ``search_exact`` holds at once (DATABASE_BYTES, as float32)."""
    return 64 * 2**20 // (4 * shape.dim)


def products(folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """Matrix products alone, of the tiles that ``search_exact`` computes, for some seconds."""
    torch = import_module("torch")
    torch.set_num_threads(threads)
    tile = import_module("netvlad.search.exact").CPU_TILE
    height, width = min(tile[0], block_rows(shape)), min(tile[1], shape.queries)
    database = torch.randn(max(1, block_rows(shape) // height), height, shape.dim)
    queries = torch.randn(width, shape.dim)
    out = torch.empty(height, width)
    torch.mm(database[0], queries.T, out=out)
    done, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < PRODUCT_SECONDS:
        torch.mm(database[done % len(database)], queries.T, out=out)
        done += 1
    return {"gflops": 2e-9 * done * height * width * shape.dim / seconds}


def evaluate_ours(folder: Path, shape: Shape, threads: int) -> dict[str, Any]:
    """``netvlad.evaluate`` with descriptors from disk; photos lie 5 m apart along streets."""
    import_module("torch").set_num_threads(threads)
    netvlad = import_module("netvlad")
    queries, database = mapped(folder)
    ground = np.random.default_rng(3).uniform(0, 3000, (shape.rows // 24 + 1, 2))
    places = np.repeat(ground, 24, axis=0)[: shape.rows]
    asked = places[np.random.default_rng(4).integers(0, shape.rows, shape.queries)] + 5.0
    dataset = netvlad.PlaceDataset(
        "shape of pitts250k",
        "test",
        netvlad.ImageSet(Path(), tuple(f"{i}.jpg" for i in range(shape.rows)), places),
        netvlad.ImageSet(Path(), tuple(f"q{i}.jpg" for i in range(shape.queries)), asked),
    )
    started = time.perf_counter()
    found = netvlad.evaluate((database, queries), dataset)
    return finished(folder / "evaluate.npy", started, found.matches.indices)


def finished(path: Path, started: float, indices: NDArray[np.int64]) -> dict[str, Any]:
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(path, indices)
    # Linux counts kibibytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "peak_mb": peak * unit / 1e6}


ROLES = {
    "generate": generate,
    "ours": search_ours,
    "faiss": search_faiss,
    "evaluate": evaluate_ours,
    "products": products,
}


def print_report(report: dict[str, Any]) -> None:
    shape = report["shape"]
    print(
        f"{shape['queries']:,} queries in {shape['rows']:,} × {shape['dim']:,} {shape['dtype']}, "
        f"k = {report['k']}, {report['threads']} threads, "
        f"files {'read from the disk' if report['cold'] else 'in the system’s cache if they fit'}"
    )
    print(f"matrix products alone: {report['products_gflops']:.0f} GFLOP/s")
    print(f"{'':8}{'seconds':>10}{'peak MB':>10}{'GFLOP/s':>10}{'share':>8}{'load before':>13}")
    for name, row in report["results"].items():
        print(
            f"{name:8}{row['seconds']:10.1f}{row['peak_mb']:10.0f}{row['gflops']:10.1f}"
            f"{row['share']:8.2f}{row['load_before']:13.2f}"
        )
    if "same" in report:
        same = report["same"]
        print(f"equal neighbours: first {same['first']:.6f}, all {same['all']:.6f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the database")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--pittsburgh", action="store_true", help="the shape of Pitts250k-test")
    parser.add_argument("--cold", action="store_true", help="read the files from the disk")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
