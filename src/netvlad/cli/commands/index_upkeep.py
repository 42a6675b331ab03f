"""``netvlad index verify`` and ``optimize``: looking after an index folder."""

import sys
from pathlib import Path
from typing import Literal

from netvlad.cli.console import reporting, show
from netvlad.cli.index_tables import trial_table
from netvlad.errors import SettingsError
from netvlad.index.address import engine_of, shown
from netvlad.index.optimisation import KINDS, optimize_folder
from netvlad.index.stores import verify as verify_folder
from netvlad.types import Note, counted


def index_folder(index: str, command: str) -> Path:
    """The folder of an index, for a command that is for folders alone.

    Raises:
        SettingsError: ``index`` is an address in Milvus.
    """
    if engine_of(index):
        raise SettingsError(
            f"{shown(index)}: `netvlad index {command}` is for index folders; Milvus "
            "looks after its own data"
        )
    return Path(index)


def verify(
    *,
    index: str,
) -> None:
    """Read every byte of an index and compare checksums; exits with 1 when something is wrong.

    ```
    netvlad index verify --index my.index
    ```

    Args:
        index: The index folder.
    """
    folder = index_folder(index, "verify")
    with reporting() as report:
        found = verify_folder(folder, report)
        for note in found.notes:
            report(Note(note))
    for problem in found.problems:
        show(problem)
    if found.problems:
        print(f"netvlad: {index}: {counted(len(found.problems), 'problems')}", file=sys.stderr)
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

    Args:
        index: The index folder.
        kind: How to search: auto, exact, hnsw or ivf-pq.
        whiten: Reduce descriptors to so many dimensions, by a PCA whitening learned from the index.
        storage: Bits per value of the descriptors from now on [default: as they are].
    """
    assert kind in KINDS
    folder = index_folder(index, "optimize")
    with reporting() as report:
        done = optimize_folder(folder, kind=kind, whiten=whiten, storage=storage, report=report)
    if done.trials:
        show(trial_table("Search measured against exact", done.trials))
    show(
        f"{index}: {done.kind} search, {done.dim} dimensions"
        + (f", dropped {counted(done.dropped, 'rows')} of removed photos" if done.dropped else "")
    )
