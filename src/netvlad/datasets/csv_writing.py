"""Writing a split in the csv layout, as :mod:`netvlad.datasets.readers.csv_table` reads it."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.storage import written_beside
from netvlad.types import ImageSet, PlaceDataset


def write_csv_split(path: Path, dataset: PlaceDataset) -> None:
    """Write a split as a table.

    Eastings and northings are written to the millimetre, with their zone where it is known;
    headings, times and labels where the split has any.

    Args:
        path: the table; an existing one is replaced.
        dataset: the split. Names are written as they are, so they must be absolute, or relative to
            the table's folder.

    Raises:
        DataError: a name cannot stand in a table.
        StorageError: the table cannot be written.
    """
    sets = (("database", dataset.database), ("query", dataset.queries))
    headings = any(images.headings is not None for _, images in sets)
    times = any(images.times is not None for _, images in sets)
    labels = list(dict.fromkeys(name for _, images in sets for name in images.labels))
    header = ["image", "role", "easting", "northing", "zone"]
    header += ["heading"] * headings + ["time"] * times + labels
    with (
        written_beside(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for role, images in sets:
            for i, name in enumerate(images.names):
                _check_name(path, name)
                row = [name, role, *_position(images, i), images.utm_zone or ""]
                row += [_number(images.headings, i, 3)] * headings
                row += [_number(images.times, i, 6)] * times
                row += [
                    str(images.labels[word][i]) if word in images.labels else "" for word in labels
                ]
                table.writerow(row)


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="replace").decode()
        raise DataError(f"{path}: the name {shown} is not UTF-8; rename the image") from error
    # Readers take the first for folders, and strip the second.
    if "\\" in name or name != name.strip():
        raise DataError(
            f"{path}: the name {name!r} has a backslash or blanks at its ends, which a table "
            "cannot hold; rename the image"
        )


def _position(images: ImageSet, i: int) -> tuple[str, str]:
    if images.positions is None or not all(map(math.isfinite, images.positions[i])):
        return "", ""
    east, north = images.positions[i]
    return f"{east:.3f}", f"{north:.3f}"


def _number(values: NDArray[np.float64] | None, i: int, digits: int) -> str:
    if values is None:
        return ""
    value = float(values[i])
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if math.isfinite(value) else ""
