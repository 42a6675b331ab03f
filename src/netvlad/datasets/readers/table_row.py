"""One row of somebody's table: its cells as numbers and times, or an error that names the row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from netvlad.errors import DataError


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
        try:
            return self.number("time")
        except DataError:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError as error:
                raise self.error(
                    f"time is {text!r}, neither a number nor like 2024-05-31T12:00"
                ) from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
