"""How far from the query the first answers are: bars of several models side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from netvlad.reports.chart_axes import (
    FOOT,
    FRAME,
    TEXT,
    WIDTH,
    Scale,
    axis_names,
    chart_svg,
    empty_chart,
    horizontal_rules,
    rim,
    round_ticks,
    tick_texts,
)
from netvlad.reports.chart_legend import LegendEntry, entries_of, legend, printable, remarks
from netvlad.reports.chart_style import mark
from netvlad.reports.labels import Box, Label
from netvlad.types import counted

_LIMITS = tuple(float(f"{step}e{power}") for power in range(8) for step in (1, 2.5, 5))
_SMALL_LIMITS = (1.0, 2.0, 5.0)
_MOST_LIMITS = 11
_FRAME = Box(FRAME.left, FRAME.top + 28, FRAME.right, FRAME.bottom + 28)
# The share of its room that a group of bars fills, and the widest bar, in pixels.
_FILLED, _WIDEST = 0.84, 34.0
# How far queries without an answer stand from the others, in classes.
_APART = 0.4


@dataclass(frozen=True, eq=False)
class ErrorBins:
    """Classes of error, each up to a limit.

    Attributes:
        limits_m: ascending, metres; an error belongs to the first limit that it does not exceed.
        beyond: whether a class for errors above the last limit follows.
        none: whether a class for queries without an answer follows.
    """

    limits_m: tuple[float, ...]
    beyond: bool
    none: bool

    @staticmethod
    def of(errors: Sequence[NDArray[np.float64]], radius_m: float) -> "ErrorBins":
        """Limits of 1, 2, 5, 10, 25, 50, … metres and the radius, as far as errors go.

        They end at the first that is at least 1 km and above the radius; errors beyond share a
        class.

        Args:
            errors: of each model, metres; inf without an answer.
            radius_m: always a limit, so that a bar is right or wrong as a whole.
        """
        every = np.concatenate(errors)
        finite = every[np.isfinite(every)]
        limits = sorted({*_SMALL_LIMITS, *(m for m in _LIMITS if m >= 10), radius_m})
        farthest = max(float(finite.max(initial=0.0)), radius_m * 1.001)
        farthest = min(farthest, max(1000.0, radius_m * 1.001))
        end = next((i for i, limit in enumerate(limits) if limit >= farthest), len(limits) - 1)
        chosen = limits[max(0, end + 1 - _MOST_LIMITS) : end + 1]
        beyond = bool((finite > chosen[-1]).any())
        return ErrorBins(tuple(chosen), beyond, bool(np.isposinf(every).any()))

    def __len__(self) -> int:
        return len(self.limits_m) + self.beyond + self.none

    def shares(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """(len(self),) the share of the errors in each class; they are known or inf."""
        bins = np.searchsorted(self.limits_m, errors, side="left")
        bins[np.isposinf(errors)] = len(self) - 1
        return np.bincount(bins, minlength=len(self)) / len(errors)

    def texts(self) -> list[str]:
        """What stands below each bar."""
        short = [_short(limit) for limit in self.limits_m]
        rest = [f">{short[-1]}"] * self.beyond + ["none"] * self.none
        return [f"≤{short[0]}", *short[1:], *rest]

    def words(self) -> list[str]:
        """The same as a sentence says it."""
        limits = [f"{limit:,.10g}" for limit in self.limits_m]
        return [
            f"at most {limits[0]} m",
            *(f"{low} to {high} m" for low, high in pairwise(limits)),
            *[f"more than {limits[-1]} m"] * self.beyond,
            *["no answer"] * self.none,
        ]


def error_chart(errors: Mapping[str, NDArray[np.float64]], radius_m: float) -> str:
    """The distribution of the distance from query to first answer.

    Args:
        errors: for each model the metres of each query; inf where it has no answer, NaN where a
            position is unknown, which is left out. The first eight models are drawn.
        radius_m: marked by a line; bars to its left are right answers.

    Returns:
        an SVG element, to be styled by ``CHART_CSS``.
    """
    entries, note = entries_of(list(errors))
    title = f"Distance from the query to its first answer, {counted(len(errors), 'models')}"
    known: list[tuple[LegendEntry, NDArray[np.float64]]] = []
    for entry in entries:
        metres = np.asarray(errors[entry.name], np.float64).ravel()
        metres = metres[~np.isnan(metres) & (metres >= 0)]
        if len(metres):
            known.append((entry, metres))
    if not known or not (np.isfinite(radius_m) and radius_m > 0):
        return empty_chart(title)
    unknown = max(np.size(errors[entry.name]) - len(metres) for entry, metres in known)
    note = remarks(note, len(entries) - len(known))
    if unknown:
        note = ", ".join(filter(None, [note, f"up to {unknown:,} unknown left out"]))
    bins = ErrorBins.of([metres for _, metres in known], radius_m)
    shares = [bins.shares(metres) for _, metres in known]
    y_ticks = round_ticks(0.0, max(float(share.max()) for share in shares))
    y = Scale(y_ticks[0], y_ticks[-1], _FRAME.bottom, _FRAME.top)
    parts = _axes(bins, y, y_ticks, note)
    for position, ((entry, _), share) in enumerate(zip(known, shares, strict=True)):
        parts.append(_bars(entry, share, bins, y, position, len(known)))
    parts += _radius_line(bins, radius_m)
    drawn = [entry for entry, _ in known]
    key, bottom = legend(drawn, _FRAME.bottom + FOOT + 4, lines=False)
    described = " ".join(
        f"{printable(entry.name)}: {_sentence(share, bins)} (of {len(metres):,} queries)."
        for (entry, metres), share in zip(known, shares, strict=True)
    )
    return chart_svg(title, described, parts + key, bottom)


def _axes(bins: ErrorBins, y: Scale, y_ticks: Sequence[float], note: str) -> list[str]:
    ticks = zip((y.at(tick) for tick in y_ticks), tick_texts(y_ticks), strict=True)
    labels = [
        Label(text, x, _FRAME.bottom + 1.5 * TEXT, "middle", TEXT)
        for x, text in zip(_middles(bins), bins.texts(), strict=True)
    ]
    return [
        *horizontal_rules(_FRAME, list(ticks)),
        *(label.to_svg("tick-x") for label in labels),
        rim(_FRAME),
        *axis_names(_FRAME, "metres, up to", "share of queries", note),
    ]


def _bars(
    entry: LegendEntry,
    shares: NDArray[np.float64],
    bins: ErrorBins,
    y: Scale,
    position: int,
    models: int,
) -> str:
    width = min(_FILLED * _room(bins) / models, _WIDEST)
    name = escape(printable(entry.name))
    parts = []
    for share, centre, words in zip(shares, _middles(bins), bins.words(), strict=True):
        if share == 0:
            continue
        middle = centre + (position + 0.5 - models / 2) * width
        top, left = y.at(float(share)), middle - width / 2 + 0.25
        parts.append(
            f"<g><title>{name}: {words}, {share:.1%}</title>"
            f'<rect x="{left:.2f}" y="{top:.2f}" width="{width - 0.5:.2f}" '
            f'height="{_FRAME.bottom - top:.2f}" class="bar"/>'
            f"{mark(entry.number, middle, top)}</g>"
        )
    return f'<g class="s{entry.number}">{"".join(parts)}</g>'


def _radius_line(bins: ErrorBins, radius_m: float) -> list[str]:
    if radius_m not in bins.limits_m:
        return []
    x = _FRAME.left + (bins.limits_m.index(radius_m) + 1) * _room(bins)
    text = f"radius {radius_m:g} m"
    box = Label(text, x, _FRAME.top - 12, "middle", TEXT).box
    inside = x + max(0.0, 8 - box.left) - max(0.0, box.right - (WIDTH - 8))
    return [
        f'<path d="M{x:.2f} {_FRAME.top - 6:g}V{_FRAME.bottom:g}" class="limit"/>',
        Label(text, inside, _FRAME.top - 12, "middle", TEXT).to_svg("limit-name"),
    ]


def _room(bins: ErrorBins) -> float:
    return (_FRAME.right - _FRAME.left) / (len(bins) + _APART * bins.none)


def _middles(bins: ErrorBins) -> list[float]:
    """Where each class of bars has its middle; those without an answer stand apart."""
    places = [i + 0.5 for i in range(len(bins))]
    if bins.none:
        places[-1] += _APART
    return [_FRAME.left + place * _room(bins) for place in places]


def _sentence(shares: NDArray[np.float64], bins: ErrorBins) -> str:
    pairs = zip(shares, bins.words(), strict=True)
    return ", ".join(f"{share:.1%} {words}" for share, words in pairs if share)


def _short(metres: float) -> str:
    return f"{metres:.4g}" if metres < 1000 else f"{metres / 1000:.3g}k"
