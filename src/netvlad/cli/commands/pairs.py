"""``netvlad pairs``: which images to match, for COLMAP and hloc."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from netvlad.cli.commands.locate import as_typed
from netvlad.cli.console import reporting, show
from netvlad.cli.flags import ComputeFlags
from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.errors import DataError, ModelError
from netvlad.index.address import engine_of, open_store
from netvlad.index.pairs import (
    common_folder,
    match_in_colmap,
    names_below,
    pair_lists,
    write_hloc_descriptors,
    write_pairs,
)
from netvlad.index.place_index import PlaceIndex
from netvlad.index.stores.manifest import has_manifest
from netvlad.index.stores.store import Store
from netvlad.types import ImageSet, Matches, Note, Reporter, counted

_BLOCK = 4096


def pairs(
    *,
    index: str,
    output: Path,
    queries: list[str] | None = None,
    k: Annotated[int, Parameter(name=["-k", "--top"])] = 20,
    format: Literal["colmap", "colmap-db", "hloc"] = "colmap",
    root: Path | None = None,
    hloc_descriptors: Path | None = None,
    compute: ComputeFlags = Compute(),
) -> None:
    """Write the pairs of images that structure from motion or localisation should match.

    ```
    netvlad pairs --index my.index --output pairs.txt -k 20
    colmap matches_importer --match_list_path pairs.txt \\
        --database_path database.db
    ```

    Without --queries every image of the index is paired with its nearest others. A pairs file has
    two names on a line, relative to the image folder.

    Args:
        index: The index folder, or milvus://HOST:19530/COLLECTION.
        output: The pairs file to write; with --format colmap-db, COLMAP's database.
        queries: Photos and folders of photos, or another index of the same model.
        k: Places a query.
        format: colmap: a pair once, in whatever order; hloc: query first, every query with all its
            places; colmap-db: let COLMAP match the pairs in its database, whatever blanks names
            have; a missing database is made, with SIFT features of the images.
        root: The image folder that names are relative to [default: the deepest that holds all
            images].
        hloc_descriptors: Also write hloc's HDF5 file of global descriptors, of the index and the
            queries.
    """
    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        store = opened.store
        database = opened.places.images()
        if queries is None:
            asked, rows = database, store.descriptors(store.numbers)
        else:
            asked, rows = _queries(opened, queries, report)
        base = root or common_folder([*database, *asked])
        names, asked_names = names_below(database, base), names_below(asked, base)
        # One more than wanted: an image finds itself.
        matches = _among_places(store, store.search(rows, k + 1))
        found = pair_lists(asked_names, names, matches, k, unordered=format != "hloc")
        if format == "colmap-db":
            report(Note(f"COLMAP matches {counted(len(found), 'pairs')}"))
            match_in_colmap(output, base, found)
        else:
            write_pairs(output, found)
        if hloc_descriptors is not None:
            own = set(names)
            others = [i for i, name in enumerate(asked_names) if name not in own]
            write_hloc_descriptors(
                hloc_descriptors,
                [*names, *(asked_names[i] for i in others)],
                _blocks(store, rows[others]),
            )
        report(Note(f"names are relative to {base}"))
    show(
        f"{output}: {counted(len(found), 'pairs')} of {counted(len(asked), 'queries')} and "
        f"{counted(len(database), 'images')}"
    )


def _among_places(store: Store, matches: Matches) -> Matches:
    """Matches by where a place stands among all, instead of its number."""
    order = np.argsort(store.numbers)
    at = np.searchsorted(store.numbers, matches.indices, sorter=order)
    # A place that another machine has added meanwhile has no name here.
    at = order[np.minimum(at, len(order) - 1)]
    there = store.numbers[at] == matches.indices
    return Matches(np.where(there, at, -1), matches.squared_distances)


def _queries(
    opened: PlaceIndex, queries: list[str], report: Reporter
) -> tuple[list[str], NDArray[np.float32]]:
    """The queries' absolute paths and descriptors; those that cannot be used are left out."""
    if len(queries) == 1 and (engine_of(queries[0]) or has_manifest(Path(queries[0]))):
        other, own = open_store(queries[0]), opened.store
        if other.model_fingerprint != own.model_fingerprint:
            raise ModelError(
                f"{other.name}: was described by another model ({other.model_fingerprint}) than "
                f"{own.name} ({own.model_fingerprint}); build it with `--model {own.name}`"
            )
        return other.places.images(), other.descriptors(other.numbers)
    paths = [str(Path(name).absolute()) for name in as_typed([Path(query) for query in queries])]
    described = describe(
        opened.model,
        ImageSet(Path(), tuple(paths)),
        compute=opened.compute,
        stage="Describing queries",
        report=report,
    )
    good = np.flatnonzero(described.readable)
    if not len(good):
        raise DataError(f"none of {len(paths)} queries can be used")
    if len(good) < len(paths):
        print(f"- left out: {counted(len(paths) - len(good), 'queries')}", file=sys.stderr)
    return [paths[i] for i in good], np.asarray(described.values[good], np.float32)


def _blocks(store: Store, others: NDArray[np.float32]) -> Iterator[NDArray[Any]]:
    numbers = store.numbers
    for start in range(0, len(numbers), _BLOCK):
        yield store.descriptors(numbers[start : start + _BLOCK])
    yield others
