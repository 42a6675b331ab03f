"""Large tables of a published format, column by column and in parallel."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from netvlad.errors import DataError

_TRUE = pa.array(["true", "1", "1.0", "t", "yes"])


class Columns:
    """The columns of a table that were asked for, N rows each."""

    def __init__(self, path: Path, table: pa.Table) -> None:
        """Take a table read by :func:`read_columns`; ``path`` is named in errors."""
        self.path = path
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self._table.column_names

    def texts(self, name: str) -> list[str]:
        """N texts as they stand in the file."""
        texts: list[str] = self._table.column(name).to_pylist()
        return texts

    def words(self, name: str) -> NDArray[np.str_]:
        """(N,) words, ``""`` where the cell is empty or the column is missing."""
        if name not in self:
            return np.full(len(self), "")
        return np.array(self.texts(name), dtype=str)

    def truths(self, name: str) -> NDArray[np.bool_]:
        """(N,) whether the cell says true; a missing column says nowhere."""
        if name not in self:
            return np.zeros(len(self), dtype=np.bool_)
        lowered = pc.utf8_lower(pc.utf8_trim_whitespace(self._table.column(name)))
        truths: NDArray[np.bool_] = pc.is_in(lowered, value_set=_TRUE).to_numpy()
        return truths

    def numbers(self, name: str) -> NDArray[np.float64]:
        """(N,) float64, NaN where the cell is empty or the column is missing.

        Raises:
            DataError: a cell is not a number.
        """
        if name not in self:
            return np.full(len(self), np.nan)
        column = self._table.column(name)
        empty = pc.equal(column, "")
        try:
            filled = pc.if_else(empty, "nan", column)
            numbers: NDArray[np.float64] = pc.cast(filled, pa.float64()).to_numpy()
        except pa.ArrowInvalid as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path}: column {name}: {reason}") from error
        return numbers


def read_columns(path: Path, columns: Mapping[str, bool]) -> Columns:
    """Read some columns of a comma-separated table with a header.

    Args:
        path: a UTF-8 file.
        columns: the names that matter, and whether each must be there.

    Raises:
        DataError: the file cannot be read, is not such a table, lacks a column, or has none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
        missing = [name for name, needed in columns.items() if needed and name not in header]
        if missing:
            raise DataError(
                f"{path}: has no column {missing[0]} (it has {', '.join(filter(None, header))})"
            )
        wanted = [name for name in columns if name in header]
        table = pacsv.read_csv(
            path,
            # Names from here, as pyarrow does not strip the blanks around them.
            read_options=pacsv.ReadOptions(column_names=header, skip_rows=1),
            convert_options=pacsv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
            ),
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (pa.ArrowException, csv.Error) as error:
        raise DataError(f"{path}: is not a table ({' '.join(str(error).split())})") from error
    return Columns(path, table)
