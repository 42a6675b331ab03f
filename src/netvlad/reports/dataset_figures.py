"""Drawings of a data set as SVG text: a map of its images, and histograms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.reports.figures import MARGIN, WIDTH, round_metres, scale_bar

_TALLEST = 560.0
_FOOT = 24.0
# Dots nearer than this (pixels) are drawn once: a million images make no larger page than these.
_RASTER = 1.5
_BARS = 24


@dataclass(frozen=True)
class Drawing:
    """A drawing and what it leaves out.

    Attributes:
        svg: the element.
        outside: how many positions lie beyond its rim.
    """

    svg: str
    outside: int


def images_map(database: NDArray[np.float64], queries: NDArray[np.float64]) -> Drawing | None:
    """Where the images of a data set were taken, north up, with a scale bar.

    The rim is drawn around the middle 98 % of the positions and a little more, so that one wrong
    position does not shrink everything else to a dot.

    Args:
        database: (N, 2) easting and northing in metres, NaN where unknown.
        queries: (Q, 2), likewise.

    Returns:
        the drawing; None when no position is known.
    """
    database, queries = (p[np.isfinite(p).all(axis=1)] for p in (database, queries))
    every = np.concatenate([database, queries])
    if len(every) == 0:
        return None
    low, high = np.percentile(every, [1, 99], axis=0)
    room = 0.25 * np.maximum(high - low, 1.0).max()
    low = np.maximum(low - room, every.min(axis=0))
    high = np.minimum(high + room, every.max(axis=0))
    extent = np.maximum(high - low, 1.0)
    scale = float(min((WIDTH - 2 * MARGIN) / extent[0], _TALLEST / extent[1]))
    height = float(extent[1]) * scale + 2 * MARGIN + _FOOT
    shift = (WIDTH - 2 * MARGIN - float(extent[0]) * scale) / 2
    parts = [
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" class="map" '
        f'aria-label="Map of {len(database)} database images and {len(queries)} queries">'
    ]
    outside = 0
    for name, positions in (("database", database), ("queries", queries)):
        shown = ((positions >= low) & (positions <= high)).all(axis=1)
        outside += int((~shown).sum())
        x = MARGIN + shift + (positions[shown, 0] - low[0]) * scale
        y = MARGIN + (high[1] - positions[shown, 1]) * scale
        parts.append(_dots(np.stack([x, y], axis=1), name))
    parts.append(scale_bar(round_metres(199 / scale), scale, height - 10))
    x_north, y_north = WIDTH - 16, height - _FOOT + 4
    parts.append(f'<path d="M{x_north} {y_north}l-5 14l5 -3.5l5 3.5z" class="north"/>')
    parts.append(f'<text x="{x_north - 9}" y="{y_north + 12}" text-anchor="end">N</text></svg>')
    return Drawing("".join(parts), outside)


def histogram(
    values: NDArray[np.float64],
    unit: str,
    *,
    whole: bool = False,
    mark: float | None = None,
    label: str = "",
) -> str:
    """How often each value occurs, as a bar chart.

    Values above the 99th percentile are counted in the last bar, whose label says so.

    Args:
        values: (N,) 0 or more; NaN is left out.
        unit: what they are in, such as ``"m"``.
        whole: whether they are whole numbers, which no bar should divide.
        mark: a value to mark by a line, such as the radius.
        label: what the mark is.

    Returns:
        an SVG element; empty when there is nothing to show.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return ""
    top = max(float(np.percentile(values, 99)), mark * 1.15 if mark else 0.0, 1e-9)
    step = max(_round_step(top / _BARS), 1.0 if whole else 0.0)
    bars = int(top // step) + 1 if whole else int(np.ceil(top / step))
    counts = np.bincount(np.minimum((values / step).astype(np.int64), bars - 1), minlength=bars)
    height, base, left = 210.0, 176.0, 46.0
    width = (WIDTH - left - MARGIN) / bars
    tallest = max(int(counts.max()), 1)
    parts = [
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" class="histogram" '
        f'aria-label="Histogram of {len(values)} values, median {np.median(values):.3g} {unit}">'
    ]
    for share in (0.5, 1.0):
        y = base - share * (base - 20)
        parts.append(f'<path d="M{left} {y:.1f}H{WIDTH - MARGIN}" class="grid"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share * tallest:.0f}</text>'
        )
    for i, count in enumerate(counts):
        tall = (base - 20) * count / tallest
        parts.append(
            f'<rect x="{left + i * width + 1:.1f}" y="{base - tall:.1f}" '
            f'width="{max(width - 2, 0.5):.1f}" height="{tall:.1f}" class="bar">'
            f"<title>{_bin(i, step, bars, values, unit, whole)}: {count}</title></rect>"
        )
    # A bar for one whole number has it below its middle; others have their limits at their sides.
    middle = 0.5 if whole and step == 1 else 0.0
    for i in range(0, bars + (middle == 0), max(1, int(np.ceil(bars / 8)))):
        x = left + (i + middle) * width
        parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{i * step:g}</text>')
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{base + 31}" text-anchor="end">{unit}</text>')
    if mark is not None:
        x = left + mark / step * width
        parts.append(f'<path d="M{x:.1f} 12V{base}" class="mark"/>')
        parts.append(f'<text x="{x + 5:.1f}" y="18" class="mark-label">{label}</text>')
    return "".join(parts) + "</svg>"


def _bin(
    i: int, step: float, bars: int, values: NDArray[np.float64], unit: str, whole: bool
) -> str:
    last = (i + 1) * step - (1 if whole else 0)
    if i == bars - 1 and values.max() > last:
        last = float(values.max())
    return f"{i * step:g} to {last:.6g} {unit}"


def _dots(points: NDArray[np.float64], name: str) -> str:
    """Dots as one path of points without length, whose round caps are what is seen."""
    rastered = np.unique(np.round(points / _RASTER).astype(np.int64), axis=0) * _RASTER
    path = "".join(f"M{x:g} {y:g}h0" for x, y in rastered)
    return f'<path d="{path}" class="{name}"/>'


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … (or 0.5, 0.2, …) that is at least ``least``."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(power * next((s for s in (1, 2, 5) if s * power >= least * (1 - 1e-9)), 10))
