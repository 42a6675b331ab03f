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
from netvlad.cli.photo_flags import WorkFlags
from netvlad.descriptors import describe
from netvlad.errors import DataError, ModelError
from netvlad.index.pairs import (
    common_folder,
    names_below,
    pair_lists,
    write_hloc_descriptors,
    write_pairs,
)
from netvlad.index.place_index import PlaceIndex
from netvlad.index.stores.opened import OpenedFolder
from netvlad.types import ImageSet, Note, Reporter

_BLOCK = 4096
DEFAULT = WorkFlags()


def pairs(
    *,
    index: Path,
    output: Path,
    queries: list[Path] | None = None,
    k: Annotated[int, Parameter(name=["-k", "--top"])] = 20,
    format: Literal["colmap", "hloc"] = "colmap",
    root: Path | None = None,
    descriptors: Path | None = None,
    machine: WorkFlags = DEFAULT,
) -> None:
    """Write the pairs of images that structure from motion or localisation should match.

        netvlad pairs --index my.index --output pairs.txt -k 20
        colmap matches_importer --match_list_path pairs.txt --database_path database.db

    Without --queries every image of the index is paired with its nearest others. A pairs file has
    two names on a line, relative to the image folder.

    Parameters
    ----------
    index
        The index folder.
    output
        The pairs file to write.
    queries
        Photos and folders of photos, or another index of the same model.
    k
        Places a query.
    format
        colmap: a pair once, in whatever order; hloc: query first, every query with all its places.
    root
        The image folder that names are relative to [default: the deepest that holds all images].
    descriptors
        Also write hloc's HDF5 file of global descriptors, of the index and the queries.
    """
    with reporting() as report:
        opened = PlaceIndex.open(index, device=machine.work().device)
        store = opened.store
        assert isinstance(store, OpenedFolder)
        database = opened.places.images()
        if queries is None:
            asked, rows = database, _rows(store)
        else:
            asked, rows = _queries(opened, queries, machine, report)
        base = root or common_folder([*database, *asked])
        names, asked_names = names_below(database, base), names_below(asked, base)
        # One more than wanted: an image finds itself.
        matches = store.search(rows, k + 1)
        found = pair_lists(asked_names, names, matches, k, unordered=format == "colmap")
        write_pairs(output, found)
        if descriptors is not None:
            own = set(names)
            others = [i for i, name in enumerate(asked_names) if name not in own]
            write_hloc_descriptors(
                descriptors,
                [*names, *(asked_names[i] for i in others)],
                _blocks(store, rows[others]),
            )
        report(Note(f"names are relative to {base}"))
    show(f"{output}: {len(found)} pairs of {len(asked)} queries and {len(database)} images")


def _rows(store: OpenedFolder) -> NDArray[np.float32]:
    return store.descriptors(np.arange(len(store)))


def _queries(
    opened: PlaceIndex, queries: list[Path], machine: WorkFlags, report: Reporter
) -> tuple[list[str], NDArray[np.float32]]:
    """The queries' absolute paths and descriptors; those that cannot be used are left out."""
    if len(queries) == 1 and (queries[0] / "manifest.json").is_file():
        other = OpenedFolder(queries[0])
        theirs = other.snapshot.manifest.model_fingerprint
        assert isinstance(opened.store, OpenedFolder)
        ours = opened.store.snapshot.manifest.model_fingerprint
        if theirs != ours:
            raise ModelError(
                f"{queries[0]}: was described by another model ({theirs}) than {opened.folder} "
                f"({ours}); build it with `--model {opened.folder}`"
            )
        return other.places.images(), _rows(other)
    work = machine.work()
    paths = [str(Path(name).absolute()) for name in as_typed(queries)]
    described = describe(
        opened.model,
        ImageSet(Path(), tuple(paths)),
        batch_size=work.batch_size,
        threads=work.threads,
        precision=work.precision,
        stage="Describing queries",
        report=report,
    )
    good = np.flatnonzero(described.readable)
    if not len(good):
        raise DataError(f"none of {len(paths)} queries can be used")
    if len(good) < len(paths):
        print(f"- {len(paths) - len(good)} queries are left out", file=sys.stderr)
    return [paths[i] for i in good], np.asarray(described.values[good], np.float32)


def _blocks(store: OpenedFolder, others: NDArray[np.float32]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(store), _BLOCK):
        yield store.descriptors(np.arange(start, min(start + _BLOCK, len(store))))
    yield others
