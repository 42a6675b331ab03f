"""Where models were right and where they were wrong: SVG maps of one ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from netvlad.reports.figures import MARGIN, WIDTH, round_metres, scale_bar
from netvlad.types import counted

MOST_LINES = 500
"""So many wrong queries are drawn with a line to their answer; the others are dots."""

_TALLEST = 560.0
_LEAST_TALL, _LEAST_WIDE = 120.0, 220.0
_FOOT = 26.0
# Characters that the dots of the database, and those of the queries of one kind, may take.
_DATABASE_TEXT = 90_000
_QUERIES_TEXT = 40_000
# Dots are set to a raster of so many pixels: the first that makes the text short enough. Dots are
# four pixels wide, so that nobody sees a raster up to that.
_RASTERS = (1, 2, 3, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class MappedModel:
    """What became of Q queries.

    Attributes:
        name: of the model.
        answers: (Q,) database index of each first answer; -1 without one.
        correct: (Q,) whether it is right.
    """

    name: str
    answers: NDArray[np.int64]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class OutcomeMap:
    """A drawing and what it does not show.

    Attributes:
        svg: the element.
        narrow: whether it is so much taller than wide that several fit beside each other.
        right: how many queries with a position are right.
        wrong: how many are wrong.
        lines: how many of these have a line to their answer.
        missing: queries beyond the rim, or without a position.
    """

    svg: str
    narrow: bool
    right: int
    wrong: int
    lines: int
    missing: int


@dataclass(frozen=True, eq=False)
class _Ground:
    """What part of the earth the maps show.

    Attributes:
        low: (2,) easting and northing of the lower left corner, metres.
        high: (2,) of the upper right.
        scale: pixels per metre.
        width: of the drawing, pixels.
        height: likewise.
        shift: (2,) pixels that centre the ground.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scale: float
    width: float
    height: float
    shift: NDArray[np.float64]

    def at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) metres as pixels right and down."""
        x = MARGIN + (positions[:, 0] - self.low[0]) * self.scale
        y = MARGIN + (self.high[1] - positions[:, 1]) * self.scale
        return np.stack([x, y], axis=1) + self.shift

    def shows(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) whether each position is known and lies inside."""
        inside = (positions >= self.low) & (positions <= self.high)
        return np.asarray(inside.all(axis=1), np.bool_)


def outcome_maps(
    database: NDArray[np.float64] | None,
    queries: NDArray[np.float64] | None,
    models: Sequence[MappedModel],
    key: str,
) -> list[OutcomeMap]:
    """A map for each model, north up, all of the same ground.

    Dots that fall on one raster point are drawn once, and neighbouring ones as one line, so that
    100,000 positions make no more text than a screen has room for. The database's dots are in the
    first map; the others refer to them.

    Args:
        database: (N, 2) easting and northing in metres, NaN where unknown; None without any.
        queries: (Q, 2) likewise.
        models: what became of the queries.
        key: tells the database of these maps from others on the page; an HTML id.

    Returns:
        a map each; none when positions of either side are unknown.
    """
    if database is None or queries is None:
        return []
    ground = _ground(database, queries)
    if ground is None:
        return []
    dots = _dots(ground.at(database[ground.shows(database)]), _DATABASE_TEXT)
    shared = f'<path id="{escape(key)}" d="{dots}" class="database"/>'
    referring = f'<use href="#{escape(key)}"/>'
    return [
        _outcome_map(ground, database, queries, model, referring if number else shared)
        for number, model in enumerate(models)
    ]


def _ground(database: NDArray[np.float64], queries: NDArray[np.float64]) -> _Ground | None:
    """Around the middle 98 % of the positions, and a little more, as the data set's own map."""
    known = [side[np.isfinite(side).all(axis=1)] for side in (database, queries)]
    if min(len(side) for side in known) == 0:
        return None
    every = np.concatenate(known)
    low, high = np.percentile(every, [1, 99], axis=0)
    room = 0.25 * np.maximum(high - low, 1.0).max()
    low = np.maximum(low - room, every.min(axis=0))
    high = np.minimum(high + room, every.max(axis=0))
    extent = np.maximum(high - low, 1.0)
    inner = WIDTH - 2 * MARGIN
    scale = float(min(inner / extent[0], _TALLEST / extent[1]))
    tall = max(float(extent[1]) * scale, _LEAST_TALL)
    wide = max(float(extent[0]) * scale, _LEAST_WIDE)
    shift = np.array([wide - extent[0] * scale, tall - extent[1] * scale]) / 2
    return _Ground(low, high, scale, wide + 2 * MARGIN, tall + 2 * MARGIN + _FOOT, shift)


def _outcome_map(
    ground: _Ground,
    database: NDArray[np.float64],
    queries: NDArray[np.float64],
    model: MappedModel,
    places: str,
) -> OutcomeMap:
    shown = ground.shows(queries)
    points = ground.at(queries)
    right, wrong = (np.flatnonzero(shown & kind) for kind in (model.correct, ~model.correct))
    drawn = wrong[_spread(len(wrong), MOST_LINES)]
    rest = np.setdiff1d(wrong, drawn)
    answers = model.answers[drawn]
    theirs = np.where(answers[:, None] >= 0, database[answers], np.nan)
    answered = np.isfinite(theirs).all(axis=1)
    label = (
        f"Map of {model.name}: {counted(len(right), 'queries')} right and {len(wrong)} wrong, "
        "among the database positions"
    )
    corner_x, corner_y = ground.width - 16, ground.height - _FOOT + 4
    svg = (
        f'<svg viewBox="0 0 {ground.width:.0f} {ground.height:.0f}" role="img" class="map" '
        f'aria-label="{escape(label)}">{places}'
        f'<path d="{_lines(points[drawn[answered]], ground.at(theirs[answered]))}" class="miss"/>'
        f'<path d="{_dots(points[rest], _QUERIES_TEXT)}" class="wrong"/>'
        f'<path d="{_crosses(points[drawn])}" class="cross"/>'
        # Last, because a cross is seen around a dot: both kinds may be at one spot.
        f'<path d="{_dots(points[right], _QUERIES_TEXT)}" class="right"/>'
        + scale_bar(
            round_metres(0.31 * ground.width / ground.scale), ground.scale, ground.height - 10
        )
        + f'<path d="M{corner_x} {corner_y}l-5 14l5 -3.5l5 3.5z" class="north"/>'
        f'<text x="{corner_x - 9}" y="{corner_y + 12}" text-anchor="end">N</text></svg>'
    )
    narrow = ground.width < 0.6 * ground.height
    return OutcomeMap(svg, narrow, len(right), len(wrong), len(drawn), int((~shown).sum()))


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of ``count`` numbers, at even distances."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _lines(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> str:
    pairs = zip(starts, ends, strict=True)
    return "".join(f"M{x:.1f} {y:.1f}L{x2:.1f} {y2:.1f}" for (x, y), (x2, y2) in pairs)


def _crosses(points: NDArray[np.float64]) -> str:
    return "".join(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" for x, y in points)


def _dots(points: NDArray[np.float64], most: int) -> str:
    """Path data of dots, whose round caps are what is seen, in about ``most`` characters."""
    text = ""
    for raster in _RASTERS:
        text = _rastered(points, raster)
        if len(text) <= most:
            break
    return text


def _rastered(points: NDArray[np.float64], raster: int) -> str:
    """Dots on a raster; those next to each other in a row are one line."""
    if len(points) == 0:
        return ""
    rows, columns = np.unique(np.rint(points[:, ::-1] / raster).astype(np.int64), axis=0).T
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 1)
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, len(rows))) - 1
    return "".join(
        f"M{raster * x} {raster * y}h{raster * length}"
        for x, y, length in zip(columns[first], rows[first], lengths, strict=True)
    )
