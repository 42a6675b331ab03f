"""The lines of a chart, and what of them can be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError
from netvlad.reports.chart_legend import LegendEntry


@dataclass(frozen=True, eq=False)
class Series:
    """One model's line.

    Attributes:
        name: of the model.
        x: (T,) ascending.
        y: (T,).
        low: (T,) lower end of each value's interval; or None.
        high: (T,) upper end; or None.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for field in ("x", "y", "low", "high"):
            values = getattr(self, field)
            if values is None:
                continue
            values = np.asarray(values, np.float64)
            object.__setattr__(self, field, values)
            if values.shape != (len(self.x),):
                raise DataError(
                    f"series {self.name}: {field} has shape {values.shape}; expected "
                    f"({len(self.x)},), as x has"
                )


@dataclass(frozen=True, eq=False)
class Line:
    """What can be drawn of a series: its finite points, and its interval where both ends are."""

    entry: LegendEntry
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    band: NDArray[np.float64]
    """(T, 2) ends of the intervals, NaN where unknown."""


def lines_of(series: Sequence[Series], entries: Sequence[LegendEntry]) -> list[Line]:
    """What can be drawn: series with two finite points or more, in ascending order of ``x``.

    Args:
        series: all that were given.
        entries: those that have a style, in the same order.

    Raises:
        DataError: a value of ``y``, ``low`` or ``high`` lies outside [0, 1].
    """
    lines = []
    for entry, one in zip(entries, series, strict=False):
        known = np.isfinite(one.x) & np.isfinite(one.y)
        ends = np.full((len(one.x), 2), np.nan)
        if one.low is not None and one.high is not None:
            both = np.isfinite(one.low) & np.isfinite(one.high)
            ends[both] = np.stack([one.low, one.high], axis=1)[both]
        order = np.flatnonzero(known)[np.argsort(one.x[known], kind="stable")]
        x, y, ends = one.x[order], one.y[order], ends[order]
        check_shares(one.name, y, ends[np.isfinite(ends)])
        if len(x) >= 2:
            lines.append(Line(entry, x, y, ends))
    return lines


def check_shares(name: str, *arrays: NDArray[np.float64]) -> None:
    """Refuse what is no share in [0, 1], such as a recall in percent.

    Raises:
        DataError: a value lies outside.
    """
    for values in arrays:
        outside = values[(values < -1e-9) | (values > 1 + 1e-9)]
        if len(outside):
            raise DataError(
                f"series {name}: {outside[0]:g} is no share; give recall and precision in [0, 1]"
            )
