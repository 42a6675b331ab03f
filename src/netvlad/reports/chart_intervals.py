"""Values with their intervals, one under another: by model, or by condition and model."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from netvlad.reports.chart_axes import (
    FRAME,
    TEXT,
    WIDTH,
    Scale,
    axis_names,
    chart_svg,
    empty_chart,
    rim,
    round_ticks,
    text_width,
    tick_texts,
    vertical_rules,
)
from netvlad.reports.chart_legend import entries_of, legend, named, printable, shortened
from netvlad.reports.chart_style import SERIES, mark
from netvlad.reports.labels import Box, Label
from netvlad.types import counted

_LONGEST = 20
_ROW = 36.0
_FOOT = 36.0
_DOT_ROW = 21.0
_GROUP_GAP = 14.0
_WORDS = 16
_UNKNOWN = "unknown"

Row = tuple[str, float, float, float, bool]
"""A model's name, its value, the ends of the interval, and whether it is marked as better."""

ConditionRow = tuple[str, float, float, float, int]
"""A model's name, its value, the ends of the interval, and how many queries it is over."""


def interval_chart(rows: Sequence[Row]) -> str:
    """A dot with its interval for each model; those marked as better are filled.

    Args:
        rows: (label, value, low, high, better). A value that is NaN is written as "no data"; an
            end that is not finite is not drawn.

    Returns:
        an SVG element, to be styled by ``CHART_CSS``.
    """
    title = f"Values and intervals of {counted(len(rows), 'models')}"
    x_ticks = _ticks([row[1:4] for row in rows])
    if not x_ticks:
        return empty_chart(title)
    names = [shortened(row[0], _LONGEST) for row in rows]
    left = 8 + max(text_width(name) for name in names) + 18
    is_any_better = any(row[4] for row in rows)
    top = FRAME.top if is_any_better else 10.0
    frame = Box(left, top, WIDTH - 84, top + _ROW * len(rows))
    x = Scale(x_ticks[0], x_ticks[-1], frame.left, frame.right)
    parts = _axes(frame, x, x_ticks)
    parts += axis_names(frame, "", "", "filled: better" if is_any_better else "")
    sentences = []
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        label, value, low, high, better = row
        y = top + (number + 0.5) * _ROW
        words = _words(value, low, high)
        parts.append(named(Label(name, 8, y + 6.5, "start", TEXT), label, "name"))
        text = f"{value:.3f}" if np.isfinite(value) else "no data"
        parts.append(Label(text, WIDTH - 8, y + 6.5, "end", TEXT).to_svg("value"))
        parts.append(_dot(number % SERIES, x, y, (value, low, high), label, hollow=not better))
        sentences.append(f"{printable(label)}: {words}{', better' if better else ''}.")
    return chart_svg(title, " ".join(sentences), parts, frame.bottom + _FOOT)


def condition_chart(groups: Mapping[str, Sequence[ConditionRow]]) -> str:
    """Each model's value and interval under each condition, with the number of queries.

    Args:
        groups: by the condition's word, for each model (name, value, low, high, queries). Up to
            twelve words and eight models; more models are not drawn.

    Returns:
        an SVG element, to be styled by ``CHART_CSS``.
    """
    entries, note = entries_of(list(dict.fromkeys(r[0] for rows in groups.values() for r in rows)))
    numbers = {entry.name: entry.number for entry in entries}
    title = f"Values of {counted(len(entries), 'models')} under {len(groups)} conditions"
    drawn = {word: [r for r in rows if r[0] in numbers] for word, rows in groups.items()}
    x_ticks = _ticks([row[1:4] for rows in drawn.values() for row in rows])
    if not x_ticks:
        return empty_chart(title)
    heights = [max(len(rows) * _DOT_ROW, 2.4 * TEXT) + _GROUP_GAP for rows in drawn.values()]
    top = FRAME.top if note else 10.0
    frame = Box(_left_of(drawn), top, WIDTH - 26, top + sum(heights))
    x = Scale(x_ticks[0], x_ticks[-1], frame.left, frame.right)
    parts = [*_axes(frame, x, x_ticks), *axis_names(frame, "", "", note)]
    sentences = []
    start = top
    for (word, rows), height in zip(drawn.items(), heights, strict=True):
        middle = start + height / 2
        if start > top:
            parts.append(f'<path d="M8 {start:.1f}H{frame.right:g}" class="grid"/>')
        known_as = word or _UNKNOWN
        label = Label(shortened(known_as, _WORDS), 8, middle - 4, "start", TEXT)
        parts.append(named(label, known_as, "name"))
        parts.append(Label(_queries(rows), 8, middle + 18, "start", TEXT).to_svg("queries"))
        for rank, (name, value, low, high, _) in enumerate(rows):
            y = middle + (rank + 0.5 - len(rows) / 2) * _DOT_ROW
            parts.append(_dot(numbers[name], x, y, (value, low, high), f"{known_as}, {name}"))
        said = "; ".join(f"{printable(r[0])} {_words(*r[1:4])}" for r in rows)
        sentences.append(f"{printable(known_as)}, {_queries(rows)}: {said}.")
        start += height
    key, bottom = legend(entries, frame.bottom + _FOOT + 4, lines=False)
    return chart_svg(title, " ".join(sentences), parts + key, bottom)


def _left_of(groups: Mapping[str, Sequence[ConditionRow]]) -> float:
    """Where the frame begins, right of the words and the numbers of queries."""
    words = [shortened(word or _UNKNOWN, _WORDS) for word in groups]
    return 22 + max(text_width(text) for text in (*words, *map(_queries, groups.values())))


def _ticks(values: Sequence[tuple[float, float, float]]) -> list[float]:
    """Around all values and the ends of their intervals; none where no value is known."""
    known = np.array([v if np.isfinite(v[0]) else (np.nan,) * 3 for v in values]).reshape(-1, 3)
    known = known[np.isfinite(known)]
    return round_ticks(float(known.min()), float(known.max())) if len(known) else []


def _axes(frame: Box, x: Scale, x_ticks: Sequence[float]) -> list[str]:
    ticks = zip((x.at(tick) for tick in x_ticks), tick_texts(x_ticks), strict=True)
    return [*vertical_rules(frame, list(ticks)), rim(frame)]


def _dot(
    number: int,
    x: Scale,
    y: float,
    value: tuple[float, float, float],
    name: str,
    *,
    hollow: bool = False,
) -> str:
    middle, low, high = value
    if not np.isfinite(middle):
        return ""
    whisker = ""
    if np.isfinite(low) and np.isfinite(high):
        start, end = x.at(low), x.at(high)
        whisker = (
            f'<path d="M{start:.2f} {y:.2f}H{end:.2f}M{start:.2f} {y - 4:.2f}v8'
            f'M{end:.2f} {y - 4:.2f}v8" class="whisker"/>'
        )
    title = f"{escape(printable(name))}: {_words(middle, low, high)}"
    drawn = mark(number, x.at(middle), y, hollow=hollow)
    return f'<g class="s{number}"><title>{title}</title>{whisker}{drawn}</g>'


def _words(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "no data"
    interval = f" ({low:.3f} to {high:.3f})" if np.isfinite(low) and np.isfinite(high) else ""
    return f"{value:.3f}{interval}"


def _queries(rows: Sequence[ConditionRow]) -> str:
    """How many queries the values are over; two numbers where the models differ."""
    counts = sorted({row[4] for row in rows})
    if not counts:
        return "no queries"
    fewest, most = counts[0], counts[-1]
    return f"{most:,} queries" if fewest == most else f"{fewest:,}–{most:,} q."
