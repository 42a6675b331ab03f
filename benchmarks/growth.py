"""How costs grow with clusters, database images and dimensions: ``python -m benchmarks.growth``.

Everything here is made up (nothing is read from disk but what the run wrote itself), so it needs no
data; ``build/bench-growth.json`` holds the curves.
"""

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.children import ROOT
from benchmarks.layer import features, layers, time_layer
from benchmarks.mining_data import made_descriptors, made_positions, write_hdf5
from benchmarks.original.evaluation import search
from benchmarks.original.mining import OriginalMiner, negative_lists
from benchmarks.original.refresh import DATASET
from benchmarks.setting import SEED
from benchmarks.timing import median_seconds, seconds_of
from netvlad.search import search_exact
from netvlad.storage import write_json
from netvlad.training.mining import mine, mining_task
from netvlad.training.recipes import Recipe
from netvlad.types import ImageSet, PlaceDataset

Point = dict[str, float]


@dataclass(frozen=True)
class Range:
    """What is varied, and what stays.

    Attributes:
        clusters: K of the layer.
        layer_images: its batch; at 256 clusters the original keeps 30 MB of residuals per cluster
            for a batch of 24, hence a smaller one.
        layer_repeats: timed passes each.
        databases: numbers of database images to mine and search among.
        dimensions: lengths of descriptors to mine and search with.
        fixed_database: while dimensions vary.
        fixed_dimension: while the database varies: 64 clusters of 512 channels.
        block: queries mined at once by us.
        mined: queries that the original's mining is timed on.
        searched: queries of a search.
    """

    clusters: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    layer_images: int = 6
    layer_repeats: int = 7
    databases: tuple[int, ...] = (1000, 2000, 5000, 10000)
    dimensions: tuple[int, ...] = (512, 2048, 8192, 32768)
    fixed_database: int = 2000
    fixed_dimension: int = 32768
    block: int = 1000
    mined: int = 10
    searched: int = 500


FULL = Range()
QUICK = Range((2, 4), 1, 1, (60, 120), (16, 32), 60, 32, 20, 2, 10)


def layer_by_clusters(chosen: Range) -> list[Point]:
    """Seconds of the layer's passes for each K."""
    maps = features(chosen.layer_images)
    found = []
    for clusters in chosen.clusters:
        point: Point = {"clusters": clusters}
        for side, layer in layers(clusters).items():
            for name, backward in (("forward", False), ("forward_backward", True)):
                point[f"{side}_{name}_seconds"] = time_layer(
                    layer, maps, backward=backward, repeats=chosen.layer_repeats
                )
            gc.collect()
        found.append(_told(point))
    return found


def mining_by_database(chosen: Range, work: Path) -> list[Point]:
    """Seconds per query for each number of database images."""
    return [
        _told({"database": n, **_mining(chosen, n, chosen.fixed_dimension, work)})
        for n in chosen.databases
    ]


def mining_by_dimension(chosen: Range, work: Path) -> list[Point]:
    """Seconds per query for each length of descriptor."""
    return [
        _told({"dimension": dim, **_mining(chosen, chosen.fixed_database, dim, work)})
        for dim in chosen.dimensions
    ]


def search_by_database(chosen: Range) -> list[Point]:
    """Seconds per query of an exact search for each number of database images."""
    return [
        _told({"database": n, **_search(chosen, n, chosen.fixed_dimension)})
        for n in chosen.databases
    ]


def search_by_dimension(chosen: Range) -> list[Point]:
    """Seconds per query of an exact search for each length of descriptor."""
    return [
        _told({"dimension": dim, **_search(chosen, chosen.fixed_database, dim)})
        for dim in chosen.dimensions
    ]


def _mining(chosen: Range, database: int, dimension: int, work: Path) -> Point:
    train = _street(database, chosen.block)
    positions = train.database.joined(train.queries).positions
    assert positions is not None
    values = made_descriptors(positions, dimension)
    task = mining_task(train, Recipe())
    queries = np.arange(chosen.block)

    def block() -> object:
        random = np.random.default_rng(1)
        return mine(task, queries, values[database:], values[:database], {}, random)

    ours = median_seconds(block, repeats=3)
    path = work / "growth.hdf5"
    write_hdf5(path, values)
    with h5py.File(path, "r") as file:
        miner = OriginalMiner(
            file[DATASET],
            database,
            task.potential_positives,
            negative_lists(task.not_negatives, database),
        )
        random = np.random.default_rng(1)
        first = partial(miner.mine, kept=None, random=random)
        for query in queries[: chosen.mined].tolist():
            first(query)
        seconds = [seconds_of(partial(first, query)) for query in queries[: chosen.mined].tolist()]
    path.unlink()
    return {
        "ours_seconds": ours / chosen.block,
        "original_seconds": float(np.median(seconds)),
    }


def _search(chosen: Range, database: int, dimension: int) -> Point:
    random = np.random.default_rng(SEED)
    rows = random.standard_normal((database, dimension), dtype=np.float32)
    queries = random.standard_normal((chosen.searched, dimension), dtype=np.float32)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: search_exact(queries, rows, 20),
        "original": lambda: search(queries, rows),
    }
    return {
        f"{side}_seconds": median_seconds(work, repeats=3) / chosen.searched
        for side, work in sides.items()
    }


def _street(database: int, queries: int) -> PlaceDataset:
    """A made-up train split without files; every query has a positive."""
    where = made_positions(database)
    random = np.random.default_rng(SEED)
    near: NDArray[np.float64] = where[random.choice(database, queries)] + 1.0
    return PlaceDataset(
        "made up",
        "train",
        ImageSet(Path(), ("",) * database, where),
        ImageSet(Path(), ("",) * queries, near),
    )


def _told(point: Point) -> Point:
    print(", ".join(f"{key} {value:.4g}" for key, value in point.items()), file=sys.stderr)
    return point


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all curves and write them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="torch's and faiss's; numpy's: OMP_NUM_THREADS"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-growth.json")
    parser.add_argument("--quick", action="store_true", help="tiny: does it run at all?")
    typed = parser.parse_args(arguments)
    chosen = QUICK if typed.quick else FULL
    torch.set_num_threads(typed.threads)
    faiss.omp_set_num_threads(typed.threads)
    typed.output.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "threads": typed.threads,
        "load_before": round(os.getloadavg()[0], 2),
        "range": vars(chosen),
        "layer_by_clusters": layer_by_clusters(chosen),
    }
    with tempfile.TemporaryDirectory(prefix="bench-", dir=typed.output.parent) as folder:
        found["mining_by_database"] = mining_by_database(chosen, Path(folder))
        found["mining_by_dimension"] = mining_by_dimension(chosen, Path(folder))
    found["search_by_database"] = search_by_database(chosen)
    found["search_by_dimension"] = search_by_dimension(chosen)
    write_json(typed.output, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
