"""Test sets given as ``.npy`` lists: names of the database and of the queries, and ground truth.

The lists that gsv-cities (Ali-bey et al. 2022) publishes, and whoever evaluates as it does.
"""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from netvlad.datasets.readers.listed_truth import neighbours_from_rows
from netvlad.datasets.readers.names import located, relative_names
from netvlad.datasets.readers.npy_lists import read_index_rows, read_names
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.types import ImageSet, PlaceDataset


def read_npy_truth(
    record: DatasetRecord,
    root: Path,
    split: str,
    utm_zone: str | None,
    *,
    folder: str,
    prefix: str,
    images: tuple[str, ...] = (),
    truth: str = "gt",
    chosen: str = "",
) -> PlaceDataset:
    """Open one split that ``<prefix>{dbImages,qImages,gt}.npy`` specify.

    What is correct is told by the list alone. A few images are looked for, to find their folder.

    Args:
        folder: the lists lie in the root, in this folder or in ``datasets/<folder>``; images may
            lie in it, too.
        prefix: what the lists' names begin with; ``{}`` stands for the split.
        images: other folders in which images may lie.
        truth: what the name of the list of correct database indices ends with.
        chosen: the same of the list of the queries that count; empty when all do.
    """
    start = prefix.format(split)
    folders = ("", folder, f"datasets/{folder}")
    found = record.found(*(root / place / f"{start}dbImages.npy" for place in folders)).parent

    def path(kind: str) -> Path:
        return record.found(found / f"{start}{kind}.npy")

    paths = [path(kind) for kind in ("dbImages", "qImages", truth)]
    database_names, query_names = (relative_names(p, read_names(p)) for p in paths[:2])
    if chosen:
        query_names = _chosen(path(chosen), query_names)
    rows = read_index_rows(paths[2])
    if len(rows) != len(query_names):
        told = f"has rows for {len(rows)} queries but {len(query_names)} are listed"
        raise DataError(f"{paths[2]}: {told}; the lists do not belong together")
    database, notes = located(root, database_names, ("", *images, folder))
    queries, more = located(root, query_names, ("", *images, folder))
    positives = neighbours_from_rows(rows, len(database), paths[2])
    sets = ImageSet(root, database), ImageSet(root, queries)
    return PlaceDataset(record.name, split, *sets, positives=positives, notes=notes + more)


def _chosen(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    indices = np.concatenate([np.zeros(0, np.int64), *read_index_rows(path)])
    if len(indices) and not 0 <= indices.min() <= indices.max() < len(names):
        raise DataError(f"{path}: chooses among more than the {len(names)} queries that are listed")
    return tuple(names[i] for i in indices)


def read_msls_lists(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open the validation set of MSLS as gsv-cities lists it; see :func:`read_npy_truth`.

    Of 747 listed queries the 740 count that have a correct database image. Both cities are one
    database here; the label ``city`` tells them apart.
    """
    where = {"folder": "msls_val", "prefix": "msls_val_", "truth": "pIdx", "chosen": "qIdx"}
    dataset = read_npy_truth(record, root, split, utm_zone, images=("msls",), **where)

    def labelled(images: ImageSet) -> ImageSet:
        # …/train_val/<city>/<role>/images/<key>.jpg
        cities = [PurePosixPath(name).parts[-4:][0] for name in images.names]
        return replace(images, labels={"city": np.array(cities, dtype=str)})

    return replace(dataset, database=labelled(dataset.database), queries=labelled(dataset.queries))
