"""The ``dbStruct`` of a MATLAB file, in which NetVLAD's authors specify their data sets."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from netvlad.datasets.readers.names import located, reading
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.geography import parse_utm_zone
from netvlad.types import ImageSet, PlaceDataset

# Without field names only the order tells which is which; Tokyo Time Machine has two more.
_ORDER = (
    *("whichSet", "dbImageFns", "utmDb", "qImageFns", "utmQ", "numImages", "numQueries"),
    *("posDistThr", "posDistSqThr", "nonTrivPosDistSqThr"),
)
_ORDER_WITH_TIMES = (*_ORDER[:3], "dbTimeStamp", *_ORDER[3:5], "qTimeStamp", *_ORDER[5:])
_CITY_RADIUS_M = 50_000.0


class DbStruct(NamedTuple):
    """What a ``dbStruct`` says.

    Attributes:
        which_set: the split it was made for; empty when it does not say.
        database: names as written there, positions (UTM metres), and times if there are any.
        queries: the same of the queries.
        num_images: the number of database images that it claims, or None.
        num_queries: the number of queries that it claims, or None.
        radius_m: ``posDistThr``, or None.
        train_radius_m: the root of ``nonTrivPosDistSqThr``, or None.
    """

    which_set: str
    database: ImageSet
    queries: ImageSet
    num_images: int | None
    num_queries: int | None
    radius_m: float | None
    train_radius_m: float | None


def read_struct_folder(
    record: DatasetRecord,
    root: Path,
    split: str,
    utm_zone: str | None,
    *,
    structs: Mapping[str, str],
    database_folders: tuple[str, ...],
    query_folders: tuple[str, ...],
    zone: str,
    centre: tuple[float, float],
) -> PlaceDataset:
    """Open one split that a ``dbStruct`` specifies; ``times`` are its time stamps.

    Names become relative to ``root``. A few images are looked for, to choose among the folders in
    which they may lie.

    Args:
        utm_zone: the zone of another city in this layout.
        structs: the file of each split, without ``.mat``.
        database_folders: folders that the database names may be relative to ("" is the root).
        query_folders: the same for queries.
        zone: the zone of the data set's own city.
        centre: easting and northing of that city.

    Raises:
        DataError: the struct is missing or contradicts itself, or a list is empty.
        SettingsError: ``utm_zone`` is not a zone.
    """
    name = f"{structs[split]}.mat"
    path = record.found(root / "datasets" / name, root / name)
    struct = read_dbstruct(path)
    if not len(struct.database) or not len(struct.queries):
        empty = "queries" if len(struct.database) else "database images"
        raise DataError(f"{path}: lists no {empty}")
    # Other cities are published in the same layout: the name alone does not say where they are.
    assert struct.database.positions is not None
    metres = struct.database.positions
    known = metres[np.isfinite(metres).all(axis=1)]
    away = np.linalg.norm(np.median(known, axis=0) - centre) if len(known) else np.inf
    told = zone if away <= _CITY_RADIUS_M else None
    own = parse_utm_zone(utm_zone).name if utm_zone else told
    sets, notes = [], _notes_on(struct, split)
    for images, folders in ((struct.database, database_folders), (struct.queries, query_folders)):
        # Tokyo's structs say .jpg, but the database images are distributed as .png.
        names, note = located(root, images.names, folders, suffixes=(".png",))
        sets.append(replace(images, root=root, names=names, utm_zone=own))
        notes += note
    return PlaceDataset(
        record.name,
        split,
        sets[0],
        sets[1],
        radius_m=struct.radius_m or PlaceDataset.radius_m,
        train_radius_m=struct.train_radius_m or PlaceDataset.train_radius_m,
        notes=tuple(notes),
    )


def _notes_on(struct: DbStruct, split: str) -> list[str]:
    notes = [
        f"{field} says {claim} but {len(names)} names are listed; the list counts."
        for field, claim, names in (
            ("numImages", struct.num_images, struct.database),
            ("numQueries", struct.num_queries, struct.queries),
        )
        if claim is not None and claim != len(names)
    ]
    if struct.which_set and not split.startswith(struct.which_set.lower()):
        notes.append(f"The struct says that it is the split {struct.which_set}, not {split}.")
    return notes


def read_dbstruct(path: Path) -> DbStruct:
    """Read the variable ``dbStruct`` of a ``.mat`` file (MATLAB 4 to 7.2).

    Fields are found by name, or by their order where the struct is a plain cell array. Names may
    be cells or the rows of a character array, positions 2 × N or N × 2.

    Raises:
        DataError: the file cannot be read, has no such variable, lacks a field, or has a different
            number of names than of positions.
    """
    fields = _fields(path)
    num_images, num_queries = _number(fields, "numImages"), _number(fields, "numQueries")
    squared = _number(fields, "nonTrivPosDistSqThr")
    return DbStruct(
        "".join(_texts(fields.get("whichSet", ""))[:1]),
        _images(path, fields, "dbImageFns", "utmDb", "dbTimeStamp"),
        _images(path, fields, "qImageFns", "utmQ", "qTimeStamp"),
        None if num_images is None else int(num_images),
        None if num_queries is None else int(num_queries),
        _number(fields, "posDistThr"),
        None if squared is None else float(np.sqrt(squared)),
    )


def _fields(path: Path) -> Mapping[str, Any]:
    """The fields, whose arrays have no axis of length 1."""
    with reading(path):
        # scipy reports a missing file as it reports a damaged one.
        path.open("rb").close()
    try:
        content = loadmat(path, appendmat=False, simplify_cells=True)
    except NotImplementedError as error:
        remedy = "save it again in MATLAB with the option -v7"
        raise DataError(f"{path}: is a MATLAB 7.3 file; {remedy}") from error
    except Exception as error:  # scipy lets whatever its parser meets escape
        raise DataError(f"{path}: is not a MATLAB file, or is damaged") from error
    if "dbStruct" not in content:
        found = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise DataError(f"{path}: has no variable dbStruct (it has {found})")
    struct = content["dbStruct"]
    if isinstance(struct, dict):
        return struct
    for order in (_ORDER, _ORDER_WITH_TIMES):
        if isinstance(struct, np.ndarray) and struct.dtype.hasobject and struct.size == len(order):
            return dict(zip(order, struct.ravel(), strict=True))
    fields = f"{len(_ORDER)} or {len(_ORDER_WITH_TIMES)} fields"
    raise DataError(f"{path}: dbStruct is neither one struct nor a cell array of {fields}")


def _texts(value: Any) -> list[str]:
    """Cells, or the rows of a character array, which are filled up with blanks."""
    items = np.asarray(value, object).ravel().tolist()
    return [item.rstrip() if isinstance(item, str) else "" for item in items]


def _images(path: Path, fields: Mapping[str, Any], name: str, position: str, time: str) -> ImageSet:
    """The names, positions and times of the fields that are called so."""
    for needed in (name, position):
        if needed not in fields:
            raise DataError(f"{path}: dbStruct has no field {needed} (it has {', '.join(fields)})")
    names = tuple(_texts(fields[name]))
    if not all(names):
        raise DataError(f"{path}: dbStruct.{name} holds something that is not a file name")
    count = len(names)
    metres = _numbers(path, position, fields[position])
    # 2 × N first: with two images both readings fit, and MATLAB's files are 2 × N.
    if metres.shape == (2, count):
        metres = np.ascontiguousarray(metres.T)
    elif count <= 1 and metres.size == 2 * count:
        metres = metres.reshape(count, 2)
    if metres.shape != (count, 2):
        told = f"has shape {metres.shape} but there are {count} image names; expected (2, {count})"
        raise DataError(f"{path}: dbStruct.{position} {told}")
    if time not in fields:
        return ImageSet(Path(), names, metres)
    times = _numbers(path, time, fields[time]).ravel()
    if len(times) != count:
        raise DataError(f"{path}: dbStruct.{time} has {len(times)} values for {count} images")
    return ImageSet(Path(), names, metres, times=times)


def _numbers(path: Path, name: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: dbStruct.{name} holds something that is not a number") from error


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    array = np.asarray(fields.get(name))
    if array.size != 1 or array.dtype.kind not in "iuf":
        return None
    number = float(array.item())
    return number if np.isfinite(number) and number >= 0 else None
