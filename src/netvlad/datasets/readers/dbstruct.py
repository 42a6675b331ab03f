"""The ``dbStruct`` of a MATLAB file, in which NetVLAD's authors specify their data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from netvlad.errors import DataError

# Without field names only the order tells which is which; Tokyo Time Machine has two more.
_ORDER = (
    "whichSet",
    "dbImageFns",
    "utmDb",
    "qImageFns",
    "utmQ",
    "numImages",
    "numQueries",
    "posDistThr",
    "posDistSqThr",
    "nonTrivPosDistSqThr",
)
_ORDER_WITH_TIMES = (*_ORDER[:3], "dbTimeStamp", *_ORDER[3:5], "qTimeStamp", *_ORDER[5:])


@dataclass(frozen=True, eq=False)
class DbStruct:
    """What a ``dbStruct`` says.

    Attributes:
        which_set: the split it was made for; empty when it does not say.
        database_names: N names as written in the struct.
        database_positions: (N, 2) float64 UTM metres.
        database_times: (N,) float64 time stamps, or None.
        query_names: Q names.
        query_positions: (Q, 2) float64 UTM metres.
        query_times: (Q,) float64 time stamps, or None.
        num_images: the number of database images that it claims, or None.
        num_queries: the number of queries that it claims, or None.
        radius_m: ``posDistThr``, or None.
        train_radius_m: the root of ``nonTrivPosDistSqThr``, or None.
    """

    which_set: str
    database_names: tuple[str, ...]
    database_positions: NDArray[np.float64]
    database_times: NDArray[np.float64] | None
    query_names: tuple[str, ...]
    query_positions: NDArray[np.float64]
    query_times: NDArray[np.float64] | None
    num_images: int | None
    num_queries: int | None
    radius_m: float | None
    train_radius_m: float | None


def read_dbstruct(path: Path) -> DbStruct:
    """Read the variable ``dbStruct`` of a ``.mat`` file (MATLAB 4 to 7.2).

    Fields are found by name, or by their order where the struct is a plain cell array. Names may
    be cells or the rows of a character array, positions 2 × N or N × 2.

    Raises:
        DataError: the file cannot be read, has no such variable, lacks a field, or has a different
            number of names than of positions.
    """
    fields = _fields(path, _load(path))
    database_names = _names(path, fields, "dbImageFns")
    query_names = _names(path, fields, "qImageFns")
    squared = _number(fields, "nonTrivPosDistSqThr")
    which_set = _strings(fields.get("whichSet", ""))
    num_images, num_queries = _number(fields, "numImages"), _number(fields, "numQueries")
    return DbStruct(
        which_set=which_set[0] if which_set else "",
        database_names=database_names,
        database_positions=_positions(path, fields, "utmDb", len(database_names)),
        database_times=_times(path, fields, "dbTimeStamp", len(database_names)),
        query_names=query_names,
        query_positions=_positions(path, fields, "utmQ", len(query_names)),
        query_times=_times(path, fields, "qTimeStamp", len(query_names)),
        num_images=None if num_images is None else int(num_images),
        num_queries=None if num_queries is None else int(num_queries),
        radius_m=_number(fields, "posDistThr"),
        train_radius_m=None if squared is None else float(np.sqrt(squared)),
    )


def _load(path: Path) -> Any:
    try:
        # scipy reports a missing file as it reports a damaged one.
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        content = loadmat(path, appendmat=False)
    except NotImplementedError as error:
        raise DataError(
            f"{path}: is a MATLAB 7.3 file; save it again in MATLAB with the option -v7"
        ) from error
    except Exception as error:  # scipy lets whatever its parser meets escape
        raise DataError(f"{path}: is not a MATLAB file, or is damaged") from error
    if "dbStruct" not in content:
        found = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise DataError(f"{path}: has no variable dbStruct (it has {found})")
    return content["dbStruct"]


def _fields(path: Path, struct: Any) -> Mapping[str, Any]:
    array = np.asarray(struct)
    # A cell around the whole struct is another way in which one-element arrays get written.
    while array.dtype == object and array.size == 1 and isinstance(array.flat[0], np.ndarray):
        array = array.flat[0]
    if array.dtype.names is not None and array.size == 1:
        record = array.reshape(-1)[0]
        return {name: record[name] for name in array.dtype.names}
    for order in (_ORDER, _ORDER_WITH_TIMES):
        if array.dtype == object and array.size == len(order):
            return dict(zip(order, array.reshape(-1), strict=True))
    raise DataError(
        f"{path}: dbStruct is neither one struct nor a cell array of "
        f"{len(_ORDER)} or {len(_ORDER_WITH_TIMES)} fields"
    )


def _field(path: Path, fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise DataError(f"{path}: dbStruct has no field {name} (it has {', '.join(fields)})")
    return fields[name]


def _strings(value: Any) -> list[str]:
    array = np.asarray(value)
    if array.dtype == object:
        # One cell holds one name; an empty cell array within a cell is an empty name.
        return [(_strings(cell) or [""])[0] for cell in array.reshape(-1)]
    # The rows of a character array are filled up with blanks.
    return [str(text).rstrip() for text in array.reshape(-1)] if array.dtype.kind == "U" else []


def _names(path: Path, fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = np.asarray(_field(path, fields, name))
    names = _strings(value)
    if value.size and (not names or not all(names)):
        raise DataError(f"{path}: dbStruct.{name} holds something that is not a file name")
    return tuple(names)


def _positions(path: Path, fields: Mapping[str, Any], name: str, count: int) -> NDArray[np.float64]:
    array = _numbers(path, name, _field(path, fields, name))
    # 2 × N first: with two images both readings fit, and MATLAB's files are 2 × N.
    if array.shape == (2, count):
        return np.ascontiguousarray(array.T)
    if array.shape == (count, 2):
        return array
    if count <= 1 and array.size == 2 * count:
        return array.reshape(count, 2)
    raise DataError(
        f"{path}: dbStruct.{name} has shape {array.shape} but there are {count} image names; "
        f"expected (2, {count})"
    )


def _times(
    path: Path, fields: Mapping[str, Any], name: str, count: int
) -> NDArray[np.float64] | None:
    if name not in fields:
        return None
    array = _numbers(path, name, fields[name]).reshape(-1)
    if len(array) != count:
        raise DataError(f"{path}: dbStruct.{name} has {len(array)} values for {count} images")
    return array


def _numbers(path: Path, name: str, value: Any) -> NDArray[np.float64]:
    array = np.asarray(value)
    try:
        if array.dtype == object:
            shape = array.shape
            array = np.array([np.asarray(cell).item() for cell in array.reshape(-1)])
            array = array.reshape(shape)
        return array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: dbStruct.{name} holds something that is not a number") from error


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    array = np.asarray(fields.get(name))
    if array.size != 1 or array.dtype.kind not in "iuf":
        return None
    number = float(array.reshape(-1)[0])
    return number if np.isfinite(number) and number >= 0 else None
