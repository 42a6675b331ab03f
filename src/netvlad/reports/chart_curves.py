"""Recall over N, and precision over recall: a line for each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from netvlad.reports.chart_axes import (
    FOOT,
    FRAME,
    WIDTH,
    Scale,
    axis_names,
    chart_svg,
    empty_chart,
    horizontal_rules,
    recall_ticks,
    rim,
    round_ticks,
    tick_texts,
    vertical_rules,
)
from netvlad.reports.chart_legend import (
    LegendEntry,
    entries_of,
    legend,
    names_at_ends,
    printable,
    remarks,
    room_at_ends,
)
from netvlad.reports.chart_lines import path_of, stepped, thinned
from netvlad.reports.chart_series import Line, Series, check_shares, lines_of
from netvlad.reports.chart_style import mark
from netvlad.reports.labels import Box
from netvlad.types import counted

_PRECISION_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def recall_chart(series: Sequence[Series]) -> str:
    """Recall over N.

    Args:
        series: for each model N as ``x`` and recall@N, a share in [0, 1], as ``y``, perhaps with
            intervals. NaN is left out; a model with fewer than two points is not drawn. The first
            eight models are.

    Returns:
        an SVG element, to be styled by ``CHART_CSS``.

    Raises:
        DataError: a recall lies outside [0, 1].
    """
    entries, note = entries_of([one.name for one in series])
    lines = lines_of(series, entries)
    note = remarks(note, len(entries) - len(lines))
    title = f"Recall@N of {counted(len(lines), 'models')}"
    first = float(min((line.x[0] for line in lines), default=0))
    last = float(max((line.x[-1] for line in lines), default=0))
    if first == last:
        return empty_chart(title)
    lowest = min(np.nanmin([line.y, *line.band.T]) for line in lines)
    plane = _Plane.around(lines, first, last, recall_ticks(float(lowest)))
    n_ticks = [first, *(t for t in round_ticks(first, last) if first < t <= last)]
    parts = plane.axes(n_ticks, axis_names(plane.frame, "N", "recall@N", note))
    parts += [_band(line, plane) for line in lines]
    for line in lines:
        points = np.stack([plane.x.at(line.x), plane.y.at(line.y)], axis=1)
        parts.append(_path(line, points))
    for line in lines:
        shown = [i for i in range(len(line.x)) if np.isclose(line.x[i], n_ticks).any()]
        texts = [_recall_text(line, i) for i in shown]
        parts.append(_marks(line, plane, line.x[shown], line.y[shown], texts))
    described = _described(lines, entries, [_recall_words(line, n_ticks) for line in lines])
    return plane.finished(title, described, parts, lines, [float(line.y[-1]) for line in lines])


def precision_recall_chart(series: Sequence[Series]) -> str:
    """Precision over recall, in steps, so that the area below a line is its average precision.

    Args:
        series: for each model recall as ``x`` and precision as ``y``, both in [0, 1], from the
            strictest threshold to the most generous, as ``PrecisionRecall`` holds them. Thousands
            of points are thinned to what a screen shows. Else as :func:`recall_chart`.

    Returns:
        an SVG element, to be styled by ``CHART_CSS``.

    Raises:
        DataError: a precision or a recall lies outside [0, 1].
    """
    entries, note = entries_of([one.name for one in series])
    lines = lines_of(series, entries)
    note = remarks(note, len(entries) - len(lines))
    title = f"Precision and recall of {counted(len(lines), 'models')}"
    if not lines:
        return empty_chart(title)
    for line in lines:
        check_shares(line.entry.name, line.x)
    plane = _Plane.around(lines, 0.0, 1.0, _PRECISION_TICKS)
    parts = plane.axes(_PRECISION_TICKS, axis_names(plane.frame, "recall", "precision", note))
    for line in lines:
        x, y = stepped(line.x, line.y).T
        corners = np.stack([plane.x.at(x), plane.y.at(y)], axis=1)
        parts.append(_path(line, thinned(corners)))
    for line in lines:
        # Each model's marks stand a little beside the others', as its line may lie on theirs.
        wished = np.arange(4) * 0.25 + 0.1 + 0.03 * line.entry.number
        wished = wished[wished <= line.x[-1]]
        y = line.y[np.searchsorted(line.x, wished)]
        texts = [f"precision {p:.3f} at recall {r:.2f}" for p, r in zip(y, wished, strict=True)]
        parts.append(_marks(line, plane, wished, y, texts))
    described = _described(lines, entries, [_precision_words(line) for line in lines])
    return plane.finished(title, described, parts, lines, [float(line.y[-1]) for line in lines])


@dataclass(frozen=True)
class _Plane:
    """The frame, its scales, and whether names stand at the ends of the lines."""

    frame: Box
    x: Scale
    y: Scale
    y_ticks: Sequence[float]
    at_ends: bool

    @staticmethod
    def around(
        lines: Sequence[Line], first: float, last: float, y_ticks: Sequence[float]
    ) -> "_Plane":
        room = room_at_ends([line.entry for line in lines])
        # A name beside the frame is near its line only where the line goes on to there.
        at_ends = all(line.x[-1] >= last - 0.02 * (last - first) for line in lines)
        right = FRAME.right if room is None or not at_ends else WIDTH - 6 - room
        frame = Box(FRAME.left, FRAME.top, right, FRAME.bottom)
        return _Plane(
            frame,
            Scale(first, last, frame.left, frame.right),
            Scale(y_ticks[0], y_ticks[-1], frame.bottom, frame.top),
            y_ticks,
            room is not None and at_ends,
        )

    def axes(self, x_ticks: Sequence[float], names: list[str]) -> list[str]:
        y_texts = tick_texts(self.y_ticks)
        heights = [self.y.at(tick) for tick in self.y_ticks]
        x_texts = tick_texts(x_ticks)
        across = [self.x.at(tick) for tick in x_ticks]
        return [
            *horizontal_rules(self.frame, list(zip(heights, y_texts, strict=True))),
            *vertical_rules(self.frame, list(zip(across, x_texts, strict=True))),
            rim(self.frame),
            *names,
        ]

    def finished(
        self,
        title: str,
        description: str,
        parts: list[str],
        lines: Sequence[Line],
        last_values: Sequence[float],
    ) -> str:
        entries, bottom = [line.entry for line in lines], self.frame.bottom + FOOT
        if self.at_ends:
            parts += names_at_ends(entries, [self.y.at(v) for v in last_values], self.frame)
        else:
            key, bottom = legend(entries, bottom + 4, lines=True)
            parts += key
        return chart_svg(title, description, parts, bottom)


def _path(line: Line, points: NDArray[np.float64]) -> str:
    return f'<path d="{path_of(points)}" class="line s{line.entry.number}"/>'


def _band(line: Line, plane: _Plane) -> str:
    known = np.isfinite(line.band[:, 0])
    if known.sum() < 2:
        return ""
    x, low, high = plane.x.at(line.x[known]), *plane.y.at(line.band[known].T)
    outline = np.concatenate([np.stack([x, high], axis=1), np.stack([x, low], axis=1)[::-1]])
    return f'<path d="{path_of(outline)}Z" class="band s{line.entry.number}"/>'


def _marks(
    line: Line,
    plane: _Plane,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    texts: Sequence[str],
) -> str:
    name = escape(printable(line.entry.name))
    drawn = "".join(
        f"<g><title>{name}: {text}</title>{mark(line.entry.number, *point)}</g>"
        for point, text in zip(zip(plane.x.at(x), plane.y.at(y), strict=True), texts, strict=True)
    )
    return f'<g class="s{line.entry.number}">{drawn}</g>'


def _recall_text(line: Line, i: int) -> str:
    low, high = line.band[i]
    interval = f" ({low:.3f} to {high:.3f})" if np.isfinite(low) else ""
    return f"recall@{line.x[i]:g} {line.y[i]:.3f}{interval}"


def _recall_words(line: Line, ticks: Sequence[float]) -> str:
    shown = [i for i in range(len(line.x)) if np.isclose(line.x[i], ticks).any()]
    return ", ".join(_recall_text(line, i) for i in shown or (0, len(line.x) - 1))


def _precision_words(line: Line) -> str:
    wished = [r for r in (0.25, 0.5, 0.75) if r < line.x[-1]] + [float(line.x[-1])]
    found = line.y[np.searchsorted(line.x, wished)]
    return ", ".join(
        f"precision {p:.3f} at recall {r:.3g}" for p, r in zip(found, wished, strict=True)
    )


def _described(lines: Sequence[Line], entries: Sequence[LegendEntry], words: Sequence[str]) -> str:
    """The figures of each model in words, and which models have none."""
    said = {line.entry.number: text for line, text in zip(lines, words, strict=True)}
    return " ".join(
        f"{printable(entry.name)}: {said.get(entry.number, 'no data')}." for entry in entries
    )
