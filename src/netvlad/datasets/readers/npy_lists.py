"""Lists in NumPy's ``.npy`` files, also those of objects, without ever running what is in them.

Lists of different lengths are stored as an array of objects, which is a pickle, and a pickle may
call whatever it names. Here nothing that a pickle names is ever called: its arrays and types become
plain records of this module, which are read as numbers and texts, and any other name is refused.
"""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from netvlad.datasets.readers.names import reading
from netvlad.errors import DataError

# What NumPy calls the parts of an array in a pickle, before and since version 2.
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_MAX_HEADER = 10_000


class _Type:
    """Stands in for ``numpy.dtype``: what it was called with."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])


class _Array:
    """Stands in for ``numpy.ndarray``: what its pickle holds, as it lies there."""

    def __init__(self, *_: Any) -> None:
        self.content: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if isinstance(kind, _Type) and kind.code in ("O8", "O") and isinstance(raw, list):
            items: list[Any] = [_plain(item) for item in raw]
        elif isinstance(kind, _Type) and kind.code[:1] in "iufbUS" and isinstance(raw, bytes):
            order = kind.order if kind.order in ("<", ">") else "|"
            items = np.frombuffer(raw, np.dtype(order + kind.code)).tolist()
        else:
            raise pickle.UnpicklingError("an array of something else than numbers and texts")
        sizes = tuple(int(size) for size in shape)
        if math.prod(sizes) != len(items) or (fortran and len(sizes) > 1):
            raise pickle.UnpicklingError(f"an array of shape {sizes} with {len(items)} items")
        self.content = _nested(items, sizes)


class _Scalar:
    """Stands in for a single number that NumPy pickled."""

    def __init__(self, kind: Any, raw: Any) -> None:
        if not (isinstance(kind, _Type) and kind.code[:1] in "iu" and isinstance(raw, bytes)):
            raise pickle.UnpicklingError("a number that is not whole")
        little = raw[::-1] if kind.order == ">" else raw
        self.content = int.from_bytes(little, "little", signed=kind.code[0] == "i")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a number with a state")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Only the names of NumPy's arrays, and for them only what stands in for them."""
        stand_ins = {"_reconstruct": _Array, "ndarray": _Array, "dtype": _Type, "scalar": _Scalar}
        if module in _MODULES and name in stand_ins:
            return stand_ins[name]
        raise pickle.UnpicklingError(f"refused, because it asks to run {module}.{name}")


def read_list(path: Path) -> list[Any]:
    """Read an ``.npy`` file as nested lists of numbers and texts.

    Raises:
        DataError: the file cannot be read, is damaged, or holds anything else.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        file = io.BytesIO(content)
        version = npy.read_magic(file)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        _, _, kind = read_header[version](file, max_header_size=_MAX_HEADER)
        if kind.hasobject:
            listed = _plain(_Unpickler(file).load())
        else:
            listed = np.load(io.BytesIO(content), allow_pickle=False).tolist()
    except Exception as error:  # a damaged file surfaces as whatever its bytes happen to mean
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: is no .npy list of numbers or texts ({reason})") from error
    if not isinstance(listed, list):
        raise DataError(f"{path}: holds a single value, not a list")
    return listed


def read_names(path: Path) -> tuple[str, ...]:
    """Read an ``.npy`` list of file names.

    Raises:
        DataError: see :func:`read_list`; or an item is not a text.
    """
    names = [name.decode() if isinstance(name, bytes) else name for name in read_list(path)]
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: holds something that is not a file name")
    return tuple(names)


def read_index_rows(path: Path) -> list[NDArray[np.int64]]:
    """Read an ``.npy`` list whose items are whole numbers or lists of them.

    Returns:
        one array of indices for each item.

    Raises:
        DataError: see :func:`read_list`; or an item is something else.
    """
    return [as_indices(path, item) for item in read_list(path)]


def as_indices(path: Path, item: Any) -> NDArray[np.int64]:
    """A whole number, or a list of them, as an array.

    Raises:
        DataError: it is something else; ``path`` says where it stands.
    """
    numbers = np.atleast_1d(np.array(item, dtype=object))
    if not all(type(number) is int for number in numbers.tolist()):
        raise DataError(f"{path}: holds something that is not an image's index: {str(item)[:60]}")
    return numbers.astype(np.int64)


def _plain(item: Any) -> Any:
    if isinstance(item, _Array | _Scalar):
        return item.content
    if isinstance(item, list | tuple):
        return [_plain(part) for part in item]
    if isinstance(item, str | int | float | bytes):
        return item
    raise pickle.UnpicklingError(f"a {type(item).__name__} among the items")


def _nested(items: list[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) < 2:
        return items if shape else items[0]
    size = len(items) // max(shape[0], 1)
    return [_nested(items[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]
