"""Test sets of Patch-NetVLAD (Hausler et al. 2021): positions in .npz, names in two lists."""

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.named_images import located, relative_names
from netvlad.datasets.readers.text_lists import read_lines
from netvlad.errors import DataError
from netvlad.geography import parse_utm_zone
from netvlad.types import ImageSet, PlaceDataset

LAYOUT = (
    "<split>.npz (here or in dataset_gt_files/) with utmQ, utmDb and posDistThr; "
    "<split>_imageNames_{index,query}.txt (here or in dataset_imagenames/); images as named there"
)

_TRUTH_FOLDERS = ("", "dataset_gt_files")
_NAME_FOLDERS = ("", "dataset_imagenames")


def read_patch_netvlad(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``<split>.npz`` and its lists, such as ``pitts30k_test``, ``tokyo247`` or ``nordland``.

    Lists may leave out the last part of the split's name: those of ``pitts30k_test`` are called
    ``pitts30k_imageNames_index.txt``. The radius is the file's ``posDistThr``. Nordland's metres
    are made up: frame k lies at (k, k), so that its radius of 10 reaches 7 frames, and not the 10
    that papers speak of; the data set ``nordland`` has those.

    Args:
        root: the folder that holds the files and the images.
        split: the name of the .npz file without its suffix.
        utm_zone: the zone of the positions, which the format does not tell.

    Raises:
        DataError: a file is missing, damaged, or has another number of images than the other.
        SettingsError: ``utm_zone`` is not a zone.
    """
    truth = _found(root, _TRUTH_FOLDERS, (f"{split}.npz",))
    zone = parse_utm_zone(utm_zone).name if utm_zone else None
    query_positions, database_positions, radius_m = _read_truth(truth)
    sets = []
    notes: list[str] = []
    for kind, positions in (("index", database_positions), ("query", query_positions)):
        short = split.rpartition("_")[0] or split
        path = _found(
            root,
            _NAME_FOLDERS,
            tuple(f"{stem}_imageNames_{kind}.txt" for stem in dict.fromkeys((split, short))),
        )
        listed = relative_names(path, read_lines(path))
        if len(listed) != len(positions):
            raise DataError(
                f"{path}: lists {len(listed)} images but {truth.name} has {len(positions)} "
                "positions; they do not belong together"
            )
        first = f"{PurePosixPath(listed[0]).parts[0]}/"
        names, note = located(root, listed, ("", "images"), without=(first,))
        notes += note
        sets.append(ImageSet(root, names, positions, utm_zone=zone))
    return PlaceDataset(
        name="patch-netvlad",
        split=split,
        database=sets[0],
        queries=sets[1],
        radius_m=radius_m,
        train_radius_m=min(radius_m, PlaceDataset.train_radius_m),
        notes=tuple(notes),
    )


def _found(root: Path, folders: tuple[str, ...], names: tuple[str, ...]) -> Path:
    places = [root / folder / name for name in names for folder in folders]
    for place in places:
        if place.exists():
            return place
    raise DataError(f"{places[0]}: no such file; expected {LAYOUT}")


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
            raise DataError(
                f"{path}: {name} has shape {array.shape} of {array.dtype}; expected (N, 2) metres"
            )
        if not len(array):
            raise DataError(f"{path}: {name} is empty")
    radius = arrays["posDistThr"]
    if radius.size != 1 or radius.dtype.kind not in "iuf" or not 0 < radius.item() < np.inf:
        raise DataError(f"{path}: posDistThr is not a number of metres above 0")
    return (
        arrays["utmQ"].astype(np.float64),
        arrays["utmDb"].astype(np.float64),
        float(radius.item()),
    )
