"""Tables with a header: row by row as people's programs write them, or large ones by columns."""

import csv
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from netvlad.datasets.readers.names import reading
from netvlad.errors import DataError

OTHER_NAMES = {
    "image": ("filename", "file_name", "file", "image_name", "image_path", "path", "name"),
    "latitude": ("lat", "gpslatitude", "gps_latitude"),
    "longitude": ("lon", "lng", "long", "gpslongitude", "gps_longitude"),
    "easting": ("utm_east", "utm_easting"),
    "northing": ("utm_north", "utm_northing"),
    "zone": ("utm_zone",),
    "altitude": ("alt", "elevation"),
    "heading": ("bearing", "yaw", "compass"),
    "time": ("timestamp", "datetime", "date_time"),
}
"""What people's programs call a column: the first that is there is taken where our name is not."""

_TRUE = ("true", "1", "1.0", "t", "yes")


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        path: the table.
        label: which row it is, in words a person finds it by (``"line 7"``).
        cells: column -> text; a cell may be absent or empty.
        decimal_comma: whether numbers may be written like ``1,5``.
    """

    path: Path
    label: str
    cells: Mapping[str, str]
    decimal_comma: bool

    def error(self, trouble: str) -> DataError:
        """An error that names the table and the row."""
        return DataError(f"{self.path}, {self.label}: {trouble}")

    def number(self, column: str) -> float:
        """The number in a column; NaN where it is empty or says nan.

        Raises:
            DataError: it is something else, or infinite.
        """
        text = self.cells.get(column, "")
        if not text:
            return math.nan
        try:
            number = float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError as error:
            raise self.error(f"{column} is {text!r}, which is not a number") from error
        if math.isinf(number):
            raise self.error(f"{column} is infinite")
        return number

    def time(self) -> float:
        """The time: a number as it is, or a date as seconds since 1970 (UTC unless it says else).

        Raises:
            DataError: it is neither a number nor ISO 8601.
        """
        text = self.cells.get("time", "")
        with suppress(DataError):
            return self.number("time")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            trouble = f"time is {text!r}, neither a number nor like 2024-05-31T12:00"
            raise self.error(trouble) from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def usual_names(header: list[str], known: Collection[str]) -> list[str]:
    """A table's columns (in lower case) by the names in ``known``, where they have others.

    >>> usual_names(["file", "lat", "lng", "name"], ["image", "latitude", "longitude"])
    ['image', 'latitude', 'longitude', 'name']
    """
    renamed = list(header)
    for name in known:
        if name not in header:
            other = next((o for o in OTHER_NAMES.get(name, ()) if header.count(o) == 1), None)
            if other is not None:
                renamed[header.index(other)] = name
    return renamed


def read_rows(path: Path, known: Collection[str]) -> tuple[list[str], list[TableRow]]:
    """Read a table whose cells are separated by commas, semicolons or tabs, with or without a BOM.

    Of the delimiters that is taken that finds most of the columns that matter, ``known``.

    Returns:
        the header in lower case and by :func:`usual_names`, and the rows, their cells without
        surrounding blanks. Empty rows are left out, and missing cells at a row's end.

    Raises:
        DataError: the file cannot be read, has no header, names a known column twice, or has a row
            longer than its header.
    """

    def names(line: str, delimiter: str) -> list[str]:
        cells = next(csv.reader([line], delimiter=delimiter), [])
        return usual_names([cell.strip().lower() for cell in cells], known)

    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=lambda mark: len(set(known) & set(names(first, mark))))
            header = names(first, delimiter)
            reader = csv.reader(file, delimiter=delimiter)
            # The header was line 1; a quoted cell may span several lines.
            numbered = [(reader.line_num + 1, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: is not a table ({error})") from error
    if not any(header):
        raise DataError(f"{path}: is empty; its first line must name the columns")
    for name in known:
        if header.count(name) > 1:
            raise DataError(f"{path}: has two columns called {name}")
    rows = []
    for line, texts in numbered:
        row = TableRow(
            path, f"line {line}", dict(zip(header, texts, strict=False)), delimiter != ","
        )
        # An unquoted comma in a number or a name would shift every later cell.
        if any(texts[len(header) :]):
            raise row.error(f"has {len(texts)} cells but the header has {len(header)}")
        if any(texts):
            rows.append(row)
    return header, rows


class Columns:
    """The columns of a table that were asked for, N rows each."""

    def __init__(self, path: Path, table: pa.Table) -> None:
        self.path, self._table = path, table

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
        return np.array(self.texts(name) if name in self else [""] * len(self), dtype=str)

    def truths(self, name: str) -> NDArray[np.bool_]:
        """(N,) whether the cell says true; a missing column says nowhere."""
        if name not in self:
            return np.zeros(len(self), dtype=np.bool_)
        lowered = pc.utf8_lower(pc.utf8_trim_whitespace(self._table.column(name)))
        truths: NDArray[np.bool_] = pc.is_in(lowered, value_set=pa.array(_TRUE)).to_numpy()
        return truths

    def numbers(self, name: str) -> NDArray[np.float64]:
        """(N,) float64, NaN where the cell is empty or the column is missing.

        Raises:
            DataError: a cell is not a number.
        """
        if name not in self:
            return np.full(len(self), np.nan)
        column = self._table.column(name)
        try:
            filled = pc.if_else(pc.equal(column, ""), "nan", column)
            numbers: NDArray[np.float64] = pc.cast(filled, pa.float64()).to_numpy()
        except pa.ArrowInvalid as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path}: column {name}: {reason}") from error
        return numbers


def read_columns(path: Path, columns: Mapping[str, bool]) -> Columns:
    """Read some columns of a large comma-separated table of a published format, in parallel.

    ``columns`` are the names that matter, and whether each must be there.

    Raises:
        DataError: the file cannot be read, is not such a table, lacks a column, or has none.
    """
    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
        missing = [name for name, needed in columns.items() if needed and name not in header]
        if missing:
            there = ", ".join(filter(None, header))
            raise DataError(f"{path}: has no column {missing[0]} (it has {there})")
        wanted = {name: pa.string() for name in columns if name in header}
        with reading(path):
            table = pacsv.read_csv(
                path,
                # Names from here, as pyarrow does not strip the blanks around them.
                read_options=pacsv.ReadOptions(column_names=header, skip_rows=1),
                convert_options=pacsv.ConvertOptions(
                    include_columns=list(wanted), column_types=wanted
                ),
            )
    except (pa.ArrowException, csv.Error) as error:
        raise DataError(f"{path}: is not a table ({' '.join(str(error).split())})") from error
    return Columns(path, table)
