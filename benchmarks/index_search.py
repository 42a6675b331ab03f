"""Each way to search an index against exact search: ``python -m benchmarks.index_search INDEX``.

Recall and time per query of exact search, HNSW and IVF-PQ, each at a range of efforts, on stored
rows that ask for their nearest others.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netvlad.errors import NetvladError, SettingsError
from netvlad.index.stores import FolderStore
from netvlad.search.approximate import FEWEST_ROWS, KINDS, build_structure
from netvlad.search.searcher import Searcher
from netvlad.search.tuning import Questions, Trial, checked_rows, efforts, measure
from netvlad.types import Note, Reporter, silent


def bench_structures(
    matrix: NDArray[np.floating],
    rows: int | None = None,
    kinds: Sequence[str] = ("exact", *KINDS),
    *,
    alive: NDArray[np.bool_] | None = None,
    at: int = 20,
    sample_queries: int = 200,
    seed: int = 0,
    threads: int | None = None,
    report: Reporter = silent,
) -> list[Trial]:
    """Measure every kind at a range of efforts: a trial each, in the order of ``kinds``.

    Args:
        matrix: (R, D) L2-normalised float16 or float32.
        rows: how many rows of it, from the first on; None is all.
        kinds: ``"exact"`` or kinds of structures; one that needs more rows is left out with a note.
        alive: (R,) False for removed rows.
        at: how many neighbours are asked for.
        sample_queries: how many stored rows ask, each left out of its own answer.
        seed: of the sample and the structures.
        threads: for building.
        report: gets the progress.

    Raises:
        SettingsError: an unknown kind, a number out of its range, or no live row to ask.
    """
    wanted = [kind for kind in kinds if kind != "exact"]
    count = checked_rows(matrix, rows, wanted, at, sample_queries)
    exact = Searcher(matrix[:count], None if alive is None else alive[:count])
    if not exact.alive.any():
        raise SettingsError("there is no place to ask for; add some before measuring the search")
    questions = Questions.sample(exact, count, sample_queries, at, seed)
    trials: list[Trial] = []
    for kind in kinds:
        if kind == "exact":
            trials.append(measure(exact, questions, answered=False))
            continue
        if count < FEWEST_ROWS[kind]:
            report(Note(f"{kind} is left out: it needs at least {FEWEST_ROWS[kind]:,} places"))
            continue
        start = time.perf_counter()
        structure = build_structure(
            kind, matrix, rows=count, seed=seed, threads=threads, report=report
        )
        cost = {
            "build_s": time.perf_counter() - start,
            "megabytes": structure.size_bytes() / 1e6,
        }
        for effort in efforts(structure, at):
            tried = Searcher(exact.matrix, exact.alive, structure.with_effort(*effort))
            trials.append(dataclasses.replace(measure(tried, questions), **cost))
    return trials


def plot_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Draw recall over the time of a query, a line for each kind; the suffix says as what."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for kind in dict.fromkeys(trial.kind for trial in trials):
        own = [trial for trial in trials if trial.kind == kind]
        axes.plot([t.p50_ms for t in own], [t.recall for t in own], marker="o", label=kind)
    axes.set(xscale="log", xlabel="milliseconds per query", ylabel=f"recall@{trials[0].at}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path, help="an index folder; it is not changed")
    parser.add_argument("--kind", action="append", choices=("exact", *KINDS), help="repeat it")
    parser.add_argument("--plot", type=Path, help="draw recall over time to this file")
    typed = parser.parse_args(arguments)
    try:
        with FolderStore.open(typed.index) as store:
            alive = np.zeros(len(store.matrix), np.bool_)
            alive[store.rows] = True
            kinds = typed.kind or ("exact", *KINDS)
            trials = bench_structures(
                store.matrix,
                kinds=kinds,
                alive=alive,
                report=lambda event: print(event, file=sys.stderr),
            )
    except NetvladError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    print(json.dumps([trial.to_json() for trial in trials], indent=2))
    if typed.plot is not None:
        plot_trials(typed.plot, trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
