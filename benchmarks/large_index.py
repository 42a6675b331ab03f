"""A place index of a million photos: ``python -m benchmarks.large_index``.

Made-up descriptors with the structure of photos of one city: a smooth random function of position
and heading (random Fourier features of lengths between 10 m and 2 km), plus noise of its own for
each photo. Queries are taken 3 m beside a photo, with other noise. The index is written as
``netvlad index build`` writes it, then searched exactly, with HNSW and with IVF-PQ, each kind in a
process of its own, so that its memory is nobody else's.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.geography import to_wgs84
from netvlad.index.places import Places
from netvlad.index.stores import FolderStore, writing
from netvlad.index.stores.opened import OpenedFolder
from netvlad.models import ModelSpec, build_model
from netvlad.models.fingerprints import model_fingerprint
from netvlad.search import search_exact
from netvlad.search.tuning import choose_structure
from netvlad.storage import require_space, write_json

CITY_M = 10_000.0
LENGTHS_M = (10.0, 2000.0)
NOISE = 0.5  # of a photo's own, where the smooth part has length 1
BLOCK = 20_000
K = 20
KINDS = ("exact", "hnsw", "ivf-pq")


class City:
    """Descriptors of photos of one city, the same for the same seed."""

    def __init__(self, dim: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        lengths = np.exp(random.uniform(*np.log(LENGTHS_M), dim))
        self.waves = random.normal(size=(2, dim)) / lengths
        self.turns = random.integers(0, 3, dim)
        self.phases = random.uniform(0, 2 * np.pi, dim)

    def places(self, count: int, seed: int) -> NDArray[np.float64]:
        """(count, 3) easting, northing in metres and heading in radians."""
        random = np.random.default_rng(seed)
        ground = random.uniform(0, CITY_M, (count, 2))
        return np.column_stack([ground, random.uniform(0, 2 * np.pi, count)])

    def describe(self, places: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
        """(N, dim) unit rows."""
        smooth = np.cos(
            places[:, :2] @ self.waves + places[:, 2:] * self.turns + self.phases
        ).astype(np.float32)
        smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)
        own = np.random.default_rng(seed).standard_normal(smooth.shape, dtype=np.float32)
        rows = smooth + own * (NOISE / np.sqrt(smooth.shape[1]))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def build(folder: Path, count: int, dim: int) -> dict[str, float]:
    """Write the index; seconds of writing alone, and of making up the descriptors."""

    city = City(dim)
    places = city.places(count, 1)
    latitude, longitude = to_wgs84(places[:, :2] + [300_000.0, 5_780_000.0], "31N")
    table = Places.of(
        [f"/photos/{i // 1000:04d}/{i:07d}.jpg" for i in range(count)],
        {
            "latitude": latitude,
            "longitude": longitude,
            "heading": np.degrees(places[:, 2]),
            "time": 1.7e9 + np.arange(count, dtype=np.float64),
        },
    )
    made_up = 0.0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal made_up
        for start in range(0, count, BLOCK):
            began = time.perf_counter()
            rows = city.describe(places[start : start + BLOCK], 2 + start)
            made_up += time.perf_counter() - began
            yield rows

    # Any model will do: nothing is described by it here.
    model = build_model(ModelSpec(arch="alexnet", pooling="max"), weights=None)
    started = time.perf_counter()
    with writing(folder, "benchmark", create=True, dim=dim, storage="16") as writer:
        writer.put_model(model, model_fingerprint(model))
        writer.append(table, blocks())
        writer.commit()
    whole = time.perf_counter() - started
    return {"write_seconds": whole - made_up, "make_up_seconds": made_up}


def optimise(folder: Path, kind: str) -> dict[str, Any]:
    """Build one kind of structure, with the effort that reaches a recall of 0.99 at 20."""

    started = time.perf_counter()
    with writing(folder, "benchmark") as writer:
        if kind == "exact":
            writer.drop_structure()
            writer.commit()
            return {"build_seconds": 0.0}
        choice = choose_structure(writer.matrix, kinds=(kind,), report=told)
        if choice.structure is None:
            writer.drop_structure()
            writer.commit()
            return {"refused": choice.reason}
        writer.put_structure(choice.structure.write, choice.structure.about())
        writer.commit()
    tried = [trial.to_json() for trial in choice.trials]
    return {"build_seconds": time.perf_counter() - started, "trials": tried}


def told(message: Any) -> None:
    """Notes to stderr; the benchmark's own progress is enough."""
    if hasattr(message, "text"):
        print(f"  {message.text}", file=sys.stderr)


def truth(folder: Path, count: int, dim: int, queries: int) -> dict[str, Any]:
    """Exact answers to the queries, kept beside the index."""

    city = City(dim)
    chosen = np.random.default_rng(7).choice(count, queries, replace=False)
    places = city.places(count, 1)[chosen]
    places[:, :2] += np.random.default_rng(8).normal(0, 3 / np.sqrt(2), (queries, 2))
    rows = city.describe(places, 9)
    started = time.perf_counter()
    with FolderStore.open(folder) as store:
        found = search_exact(rows, store.matrix, K)
    seconds = time.perf_counter() - started
    np.savez(folder.parent / "truth.npz", rows=rows, chosen=chosen, indices=found.indices)
    return {"seconds": seconds, "first_is_the_place": float((found.indices[:, 0] == chosen).mean())}


def ask(folder: Path) -> dict[str, Any]:
    """Single queries, in a process that has done nothing else."""

    kept = np.load(folder.parent / "truth.npz")
    rows, exact = kept["rows"], kept["indices"]
    # What Python, torch and faiss take before any index is there.
    before = resident_mb()
    started = time.perf_counter()
    opened = OpenedFolder(folder)
    open_ms = 1000 * (time.perf_counter() - started)
    started = time.perf_counter()
    opened.search(rows[:1], K)
    first_ms = 1000 * (time.perf_counter() - started)
    times, found = [], []
    for row in rows:
        started = time.perf_counter()
        found.append(opened.search(row[None], K).indices[0])
        times.append(1000 * (time.perf_counter() - started))
    answers = np.stack(found)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(answers, exact, strict=True)]
    started = time.perf_counter()
    names = [opened.place(int(i))["image"] for i in answers[0]]
    return {
        "open_ms": open_ms,
        "first_ms": first_ms,
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "recall_at_1": float((answers[:, 0] == exact[:, 0]).mean()),
        "recall_at_20": float(np.sum(shared) / exact.size),
        "places_ms": 1000 * (time.perf_counter() - started),
        "places": len(names),
        "resident_mb": resident_mb() - before,
        "anonymous_mb": anonymous_mb(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def resident_mb() -> float:
    """What lies in memory, mapped pages of files included."""
    return status_mb("VmRSS")


def anonymous_mb() -> float:
    """What cannot be given back by dropping pages of files."""
    return status_mb("RssAnon")


def status_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def in_child(role: str, folder: Path, typed: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Run one role of this module in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_index", "--role", role]
    command += ["--folder", str(folder), "--rows", str(typed.rows), "--dim", str(typed.dim)]
    command += ["--queries", str(typed.queries), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(folder: Path, typed: argparse.Namespace) -> dict[str, Any]:
    print("building ...", file=sys.stderr)
    report: dict[str, Any] = {"rows": typed.rows, "dim": typed.dim}
    report["build"] = in_child("build", folder, typed)
    print("exact answers ...", file=sys.stderr)
    report["truth"] = in_child("truth", folder, typed)
    report["kinds"] = {}
    for kind in typed.kinds.split(","):
        print(f"{kind} ...", file=sys.stderr)
        built = in_child("optimise", folder, typed, "--kind", kind)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        asked = in_child("ask", folder, typed)
        report["kinds"][kind] = {**built, "size_mb": size / 1e6, **asked}
        print(json.dumps(report["kinds"][kind]), file=sys.stderr)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    typed = _parser().parse_args(arguments)
    if typed.role:
        folder = Path(typed.folder)
        roles = {
            "build": lambda: build(folder, typed.rows, typed.dim),
            "truth": lambda: truth(folder, typed.rows, typed.dim, typed.queries),
            "optimise": lambda: optimise(folder, typed.kind),
            "ask": lambda: ask(folder),
        }
        print(json.dumps(roles[typed.role]()))
        return 0
    parent = Path(typed.folder or tempfile.gettempdir())
    require_space(parent, 5 * typed.rows * typed.dim, "the benchmark of a large index")
    work = Path(tempfile.mkdtemp(prefix="large-index-", dir=parent))
    try:
        report = measured(work / "large.index", typed)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print_table(report)
    if typed.json:
        write_json(typed.json, report)
    return 0


def print_table(report: dict[str, Any]) -> None:
    print(
        f"{report['rows']:,} × {report['dim']}, written in {report['build']['write_seconds']:.1f} s"
    )
    heads = ("search", "build s", "MB on disk", "open ms", "first ms", "p50 ms", "p99 ms")
    heads += ("R@1", "R@20", "RSS MB", "own MB")
    print(" | ".join(heads))
    for kind, row in report["kinds"].items():
        if "refused" in row:
            print(f"{kind} | {row['refused']}")
        cells = [f"{row.get('build_seconds', float('nan')):.0f}", f"{row['size_mb']:.0f}"]
        cells += [f"{row[name]:.1f}" for name in ("open_ms", "first_ms", "p50_ms", "p99_ms")]
        cells += [f"{row[name]:.4f}" for name in ("recall_at_1", "recall_at_20")]
        cells += [f"{row[name]:.0f}" for name in ("resident_mb", "anonymous_mb")]
        print(" | ".join([kind, *cells]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_index",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--folder", help="where to put the index for the time being")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--role", choices=("build", "truth", "optimise", "ask"), help="internal")
    parser.add_argument("--kind", choices=KINDS, default="exact", help="internal")
    return parser


if __name__ == "__main__":
    sys.exit(main())
