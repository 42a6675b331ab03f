"""Test sets of Patch-NetVLAD (Hausler et al. 2021): positions in .npz, names in two lists."""

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.names import located, numbered_lines, relative_names
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.geography import parse_utm_zone
from netvlad.types import ImageSet, PlaceDataset

_FOLDERS = ("", "dataset_gt_files", "dataset_imagenames")


def read_patch_netvlad(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open ``<split>.npz`` and its lists, such as ``pitts30k_test``, ``tokyo247`` or ``nordland``.

    Lists may leave out the last part of the split's name: those of ``pitts30k_test`` are called
    ``pitts30k_imageNames_index.txt``. The radius is the file's ``posDistThr``. Nordland's metres
    are made up: frame k lies at (k, k), so that its radius of 10 reaches 7 frames, and not the 10
    that papers speak of; the data set ``nordland`` has those. The format does not tell the zone of
    the positions; ``utm_zone`` does.

    Raises:
        DataError: a file is missing, damaged, or has another number of images than the other.
        SettingsError: ``utm_zone`` is not a zone.
    """
    truth = record.found(*(root / folder / f"{split}.npz" for folder in _FOLDERS))
    zone = parse_utm_zone(utm_zone).name if utm_zone else None
    query_positions, database_positions, radius_m = _read_truth(truth)
    sets = []
    notes: list[str] = []
    for kind, positions in (("index", database_positions), ("query", query_positions)):
        short = split.rpartition("_")[0] or split
        files = [f"{stem}_imageNames_{kind}.txt" for stem in (split, short)]
        path = record.found(*(root / folder / file for file in files for folder in _FOLDERS))
        listed = relative_names(path, [line for _, line in numbered_lines(path)])
        if len(listed) != len(positions):
            told = f"lists {len(listed)} images but {truth.name} has {len(positions)} positions"
            raise DataError(f"{path}: {told}; they do not belong together")
        first = f"{PurePosixPath(listed[0]).parts[0]}/"
        names, note = located(root, listed, ("", "images"), without=(first,))
        notes += note
        sets.append(ImageSet(root, names, positions, utm_zone=zone))
    train_radius_m = min(radius_m, PlaceDataset.train_radius_m)
    return PlaceDataset(
        record.name, split, sets[0], sets[1], radius_m, train_radius_m, notes=tuple(notes)
    )


def _read_truth(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Positions (Q, 2) of the queries and (N, 2) of the database, and the radius in metres."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("utmQ", "utmDb", "posDistThr")}
    except KeyError as error:
        raise DataError(f"{path}: has no array {str(error).split()[0]}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is not an .npz file of numbers, or is damaged") from error
    for name in ("utmQ", "utmDb"):
        array = arrays[name]
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
            told = f"{name} has shape {array.shape} of {array.dtype}"
            raise DataError(f"{path}: {told}; expected (N, 2) metres")
        if not len(array):
            raise DataError(f"{path}: {name} is empty")
    radius = arrays["posDistThr"]
    if radius.size != 1 or radius.dtype.kind not in "iuf" or not 0 < radius.item() < np.inf:
        raise DataError(f"{path}: posDistThr is not a number of metres above 0")
    queries, database = (arrays[name].astype(np.float64) for name in ("utmQ", "utmDb"))
    return queries, database, float(radius.item())
