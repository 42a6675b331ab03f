"""``netvlad index verify``, ``optimize`` and ``bench``: looking after an index folder."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np

from netvlad.cli.console import reporting, show
from netvlad.cli.index_names import index_folder
from netvlad.cli.index_tables import trial_table
from netvlad.cli.json_output import show_json
from netvlad.errors import SettingsError
from netvlad.index.optimizing import KINDS, optimize_folder
from netvlad.index.stores import FolderStore
from netvlad.index.stores import verify as verify_folder
from netvlad.reports.search_plot import write_search_plot
from netvlad.search.tuning import bench_structures
from netvlad.types import Note


def verify(
    *,
    index: str,
) -> None:
    """Read every byte of an index and compare checksums; exits with 1 when something is wrong.

    ```
    netvlad index verify --index my.index
    ```

    Parameters
    ----------
    index
        The index folder.
    """
    folder = index_folder(index, "verify")
    with reporting() as report:
        found = verify_folder(folder, report)
        for note in found.notes:
            report(Note(note))
    for problem in found.problems:
        show(problem)
    if found.problems:
        count = len(found.problems)
        word = "problem" if count == 1 else "problems"
        print(f"netvlad: {index}: {count} {word}", file=sys.stderr)
        sys.exit(1)
    show(f"{index}: all is well ({found.checked_bytes / 1e6:.1f} MB read)")


def optimize(
    *,
    index: str,
    kind: Literal["auto", "exact", "hnsw", "ivf-pq"] = "auto",
    whiten: int | None = None,
    storage: Literal["16", "32"] | None = None,
) -> None:
    """Give back the room of removed photos, and choose how the index is searched.

    ```
    netvlad index optimize --index my.index
    ```

    Small indexes are searched exactly. Above 50,000 photos HNSW and IVF-PQ are built and measured:
    the first whose 20 best answers agree with exact search in at least 99 % is kept.

    Parameters
    ----------
    index
        The index folder.
    kind
        How to search: auto, exact, hnsw or ivf-pq.
    whiten
        Reduce descriptors to so many dimensions, by a PCA whitening learned from the index.
    storage
        Bits per value of the descriptors from now on [default: as they are].
    """
    assert kind in KINDS
    folder = index_folder(index, "optimize")
    with reporting() as report:
        done = optimize_folder(folder, kind=kind, whiten=whiten, storage=storage, report=report)
    if done.trials:
        show(trial_table("Search measured against exact", done.trials))
    show(
        f"{index}: {done.kind} search, {done.dim} dimensions"
        + (f", dropped {done.dropped} rows of removed photos" if done.dropped else "")
    )


def bench(
    *,
    index: str,
    kinds: str = "exact,hnsw,ivf-pq",
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measure recall and time of each way to search an index, against exact search.

    ```
    netvlad index bench --index my.index --plot bench.svg
    ```

    Parameters
    ----------
    index
        The index folder; it is not changed.
    kinds
        Which ways, separated by commas.
    plot
        Draw recall over time to this SVG file.
    json
        Print the figures as JSON.
    """
    wanted = tuple(kind.strip() for kind in kinds.split(","))
    unknown = [kind for kind in wanted if kind not in KINDS[1:]]
    if unknown:
        raise SettingsError(f"--kinds {unknown[0]}: choose of {', '.join(KINDS[1:])}")
    folder = index_folder(index, "bench")
    with reporting() as report, FolderStore.open(folder) as store:
        alive = np.zeros(len(store.matrix), np.bool_)
        alive[store.rows] = True
        trials = bench_structures(store.matrix, kinds=wanted, alive=alive, report=report)
    if json:
        show_json([trial.to_json() for trial in trials])
    else:
        show(trial_table(f"Search in {index}: {store.manifest.count} places", trials))
    if plot is not None:
        write_search_plot(plot, trials)
        print(f"- plot written to {plot}", file=sys.stderr)
