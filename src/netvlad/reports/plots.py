"""Every drawing of the pages: arrays in, a plotly figure (the JSON that plotly.js draws) out.

Figures are plain dictionaries, so that a page costs no import of plotly's classes. Colours of text,
grid and ground come from the page (``templates/page.css``); those of series can be seen on both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.evaluation.intervals import Interval

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#9c18fc"),
    *("#d8003c", "#606c78", "#b484b4", "#9084fc"),
)
"""The first three are of Okabe and Ito ("Color Universal Design", 2008). The others were searched
for: all have a contrast of 3 with white and with the dark page, and for every kind of eye any two
differ by 16 or more in CIELAB. Dashes and marks tell series apart for those who see no colours;
from the ninth on they repeat."""

RIGHT, WRONG, DATABASE, ACCENT = "#1b9a6c", "#e0532a", "#8a94a8", "#5b6ee8"
MAP_COLOURS = {"right": RIGHT, "wrong": WRONG, "database": DATABASE, "place": ACCENT}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px 2px", "2px 5px")
MARKS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "hourglass")

MOST_DOTS = 4000  # of a kind; of more positions one in each cell of a grid is drawn
MOST_LINES = 500  # from wrong queries to their answers
_MOST_STEPS = 400
_LONGEST = 26

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Plot:
    """A drawing and what is said about it.

    Attributes:
        title: what is drawn.
        text: how to read it, in a sentence.
        figure: for plotly.js.
        height: of its place on the page, in pixels.
        is_map: whether it moves under the pointer.
        words: what it shows, for those who hear the page.
        style: the number of the model that it shows alone; None for several.
    """

    title: str
    text: str
    figure: dict[str, Any]
    height: int = 320
    is_map: bool = False
    words: str = ""
    style: int | None = None


def told_apart(names: Iterable[str]) -> list[str]:
    """The names; one that was there before gets a number: ``"a"``, ``"a (2)"``."""
    found: list[str] = []
    for plain in names:
        name, copy = plain, 2
        while name in found:
            name, copy = f"{plain} ({copy})", copy + 1
        found.append(name)
    return found


def short_names(names: Iterable[str]) -> list[str]:
    """Names that fit a legend: the middle of a long one is left out, and no two become alike."""
    end = _LONGEST // 2 - 1
    return told_apart(
        name if len(name) <= _LONGEST else f"{name[: _LONGEST - end - 1]}…{name[-end:]}"
        for name in names
    )


def recall_plot(curves: Mapping[str, tuple[Values, Values, Values]]) -> Plot:
    """Recall@1, @2, ... of each model: (N,) values, and the lower and upper ends of intervals."""
    traces: list[dict[str, Any]] = []
    for number, (short, (value, low, high)) in enumerate(_by_short_name(curves)):
        n = np.arange(1.0, len(value) + 1)
        ring = np.array([[*n, *n[::-1]], [*high, *low[::-1]]])
        band = _area(ring, 4, COLOURS[number % len(COLOURS)])
        traces.append({**band, "opacity": 0.14, "legendgroup": str(number)})
        traces.append(_line(number, short, n, value, marks=True))
    return Plot(
        "Recall@N",
        "The share of queries with a correct image among the first N answers. "
        "The bands are 95 % intervals.",
        _figure(traces, x={"title": "N", "dtick": 5, "tick0": 0}, y=_share("recall@N")),
        words=_told((name, f"{c[0][0]:.3f} at N = 1") for name, c in curves.items()),
    )


def interval_plot(title: str, text: str, rows: Mapping[str, Mapping[str, Interval]]) -> Plot:
    """Shares by model and word, with their intervals: a row for a word, a mark for a model."""
    words = list(dict.fromkeys(word for shares in rows.values() for word in shares))
    alone = words == [""]  # a row for each model
    traces = []
    for number, (name, shares) in enumerate(_by_short_name(rows)):
        found = [(word, shares[word]) for word in words if word in shares]
        above = _rounded([one.high - one.value for _, one in found], 4)
        below = _rounded([one.value - one.low for _, one in found], 4)
        traces.append(
            {
                "x": _rounded([one.value for _, one in found], 4),
                "y": [name if alone else word for word, _ in found],
                "error_x": {"array": above, "arrayminus": below, "thickness": 2, "width": 5},
                "text": [f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for _, one in found],
                "hovertemplate": f"{_plain(name)}: %{{text}}<extra></extra>",
                "name": _plain(name),
                "showlegend": not alone,
                "mode": "markers",
                "marker": _marker(number, 9),
            }
        )
    y = {"type": "category", "range": [(len(rows) if alone else len(words)) - 0.5, -0.5]}
    figure = _figure(traces, x=_share(None), y=y, legend=not alone, scattermode="group")
    told = _told(
        (f"{name} {word}".strip(), f"{one.value:.3f}, {one.low:.3f} to {one.high:.3f}")
        for name, shares in rows.items()
        for word, one in shares.items()
    )
    return Plot(title, text, figure, min(110 + 24 * len(words) * len(rows), 900), words=told)


def precision_recall_plot(curves: Mapping[str, tuple[Values, Values]]) -> Plot:
    """Precision over recall, in steps: of each model (n,) recalls, ascending, and precisions."""
    traces = []
    for number, (short, (recall, precision)) in enumerate(_by_short_name(curves)):
        rows = _spread(len(recall), _MOST_STEPS)
        traces.append(_line(number, short, recall[rows], precision[rows], shape="vh"))
    return Plot(
        "Precision and recall",
        "First answers are accepted from some similarity on: how many of those accepted are "
        "right, and how many of the right ones are accepted.",
        _figure(traces, x=_share("recall"), y=_share("precision")),
        words=_told((name, f"ends at {c[1][-1]:.3f}") for name, c in curves.items() if len(c[1])),
    )


def error_plot(errors_m: Mapping[str, Values], radius_m: float, text: str) -> Plot:
    """The share of queries whose first answer lies within some distance, over that distance.

    Args:
        errors_m: name to (Q,) metres; NaN and infinity, where there is no answer, lie nowhere.
        radius_m: is marked.
        text: what is right.
    """
    traces = []
    answered = {name: np.sort(errors[np.isfinite(errors)]) for name, errors in errors_m.items()}
    farthest = max([radius_m, *(float(near.max(initial=0)) for near in answered.values())])
    for number, (short, name) in enumerate(zip(short_names(errors_m), errors_m, strict=True)):
        near = answered[name]
        rows = _spread(len(near), _MOST_STEPS)
        # From the left edge to the right, however few answers there are.
        x = np.array([1.0, *np.maximum(near[rows], 1.0), farthest * 1.1])
        y = np.array([0.0, *(rows + 1.0), len(near)]) / max(len(errors_m[name]), 1)
        traces.append(_line(number, short, x, y, shape="hv"))
    ends = [0, float(np.log10(max(farthest * 1.1, 10)))]
    metres = {
        "title": "metres",
        "type": "log",
        "range": ends,
        "dtick": 1 if farthest > 30 else "D2",
    }
    figure = _figure(traces, x=metres, y=_share("share of queries"))
    _mark(figure, radius_m, float(np.log10(radius_m)), f"{radius_m:g} m")
    within = {name: f"{np.mean(e <= radius_m):.3f}" for name, e in errors_m.items()}
    told = _told((name, f"{share} within {radius_m:g} m") for name, share in within.items())
    text = f"The share of queries whose first answer was taken within so many metres. {text}"
    return Plot("How far off the first answer is", text, figure, words=told)


def histogram(
    title: str,
    text: str,
    values: Values,
    unit: str,
    *,
    whole: bool = False,
    mark: float | None = None,
) -> Plot:
    """How often each value occurs; what is above the 99th percentile is counted in the last bar.

    Args:
        title: what is counted.
        text: what it says.
        values: (n,) 0 or more, at least one.
        unit: what they are in, such as ``"m"``.
        whole: whether they are whole numbers, which no bar should divide.
        mark: a value to mark, such as the radius.
    """
    top = max(float(np.percentile(values, 99)), 1.15 * mark if mark else 0.0, 1e-9)
    step = max(round_up(top / 24), 1.0 if whole else 0.0)
    bars = int(top // step) + 1 if whole else int(np.ceil(top / step))
    counts = np.bincount(np.minimum((values / step).astype(np.int64), bars - 1), minlength=bars)
    starts = step * np.arange(bars)
    ends = starts + step - (1 if whole else 0)
    ends[-1] = max(ends[-1], float(values.max()))
    between = zip(starts, ends, strict=True)
    trace = {
        "type": "bar",
        "x": (starts + (0.0 if whole and step == 1 else step / 2)).tolist(),
        "y": counts.tolist(),
        "width": step * 0.96,
        "marker": {"color": ACCENT},
        "text": [f"{a:g}" if a == b else f"{a:g} to {b:.6g}" for a, b in between],
        "textposition": "none",
        "hovertemplate": f"%{{text}} {unit}: %{{y}}<extra></extra>",
        "showlegend": False,
    }
    x = {"title": unit, "rangemode": "tozero"}
    figure = _figure([trace], x=x, y={"rangemode": "tozero"})
    if mark is not None:
        _mark(figure, mark, mark, f"{mark:g} {unit}")
    return Plot(title, text, figure, 210, words=f"{len(values):,} values. {text}")


def round_up(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … (or 0.5, 0.2, …) that is at least ``least``."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(power * next((s for s in (1, 2, 5) if s * power >= least * (1 - 1e-9)), 10))


def images_map(database: Values, queries: Values) -> Plot | None:
    """Where the images of a data set were taken, north up; None when no position is known.

    Args:
        database: (N, 2) easting and northing in metres, NaN where unknown.
        queries: (Q, 2), likewise.
    """
    taken, asked = (p[np.isfinite(p).all(axis=1)] for p in (database, queries))
    if not len(taken) + len(asked):
        return None
    low, high = _ground(taken, asked)
    traces = [
        _dots(_at_most(taken) - low, "database", DATABASE, 6),
        _dots(_at_most(asked) - low, "queries", WRONG, 5),
    ]
    words = f"{len(taken):,} database images and {len(asked):,} queries"
    return _map("Where the images were taken", "", traces, high - low, words)


def outcome_map(
    name: str,
    database: Values,
    queries: Values,
    answers: NDArray[np.int64],
    correct: NDArray[np.bool_],
    names: Sequence[str],
) -> Plot | None:
    """Where one model was right and where it was wrong, north up; None without any positions.

    Args:
        name: of the model.
        database: (N, 2) easting and northing in metres, NaN where unknown.
        queries: (Q, 2), likewise.
        answers: (Q,) database index of each first answer; -1 without one.
        correct: (Q,) whether it is right.
        names: (Q,) of the queries' files.
    """
    placed = np.asarray(np.isfinite(queries).all(axis=1), np.bool_)
    taken = np.asarray(np.isfinite(database).all(axis=1), np.bool_)
    if not placed.any() or not taken.any():
        return None
    low, high = _ground(database[taken], queries[placed])
    right, wrong = np.flatnonzero(placed & correct), np.flatnonzero(placed & ~correct)
    answered = wrong[(answers[wrong] >= 0) & taken[answers[wrong]]]
    drawn = answered[_spread(len(answered), MOST_LINES)]
    ends = np.stack([queries[drawn], database[answers[drawn]], np.full((len(drawn), 2), np.nan)], 1)
    misses = _dots(ends.reshape(-1, 2) - low, "to where it was thought to be", WRONG, 1)
    line = {"color": WRONG, "width": 1, "dash": "dash"}
    misses |= {"mode": "lines", "line": line, "opacity": 0.45, "hoverinfo": "skip"}
    traces = [_dots(_at_most(database[taken]) - low, "database", DATABASE, 4), misses]
    for label, colour, symbol, found in (
        ("query answered wrongly", WRONG, "x", wrong),
        ("query answered rightly", RIGHT, "circle", right),
    ):
        rows = found[_first_of_cells(queries[found])]
        trace = _dots(queries[rows] - low, label, colour, 7)
        trace["marker"]["symbol"] = symbol
        trace["text"] = [_plain(names[row]) for row in rows.tolist()]
        trace["hovertemplate"] = "%{text}<extra></extra>"
        trace["customdata"] = rows.tolist()
        traces.append(trace)
    text = f"{len(right):,} right, {len(wrong):,} wrong"
    if len(drawn) < len(answered):
        text += f" ({len(drawn):,} of these with their line, at even distances)"
    if missing := int((~placed).sum()):
        text += f"; {missing:,} without a position"
    return _map(name, f"{text}.", traces, high - low, text)


def answer_map(
    places: Sequence[tuple[float, float, float | None, str, str]],
    ellipse: Values | None,
    extent: tuple[Values, Values],
    words: str,
) -> Plot:
    """The places of one answer by rank, where they look, and the position fused from them.

    Args:
        places: (metres east, metres north, heading in degrees or None, ranks, words) each; the
            centre is (0, 0).
        ellipse: (n, 2) metres on the rim of the ellipse that holds nine in ten, around the fused
            position at the centre; None without a position.
        extent: lower left and upper right corner of what is shown first, metres.
        words: what it shows, for those who hear the page.
    """
    low, high = extent
    traces: list[dict[str, Any]] = []
    if ellipse is not None:
        rim = _area(ellipse.T, 1, "rgba(27,154,108,.14)")
        line = {"color": RIGHT, "width": 1}
        traces.append({**rim, "name": "90 % ellipse", "mode": "lines", "line": line})
    reach = 0.08 * float((high - low).max())
    seen = [_sector(*place[:2], place[2], reach) for place in places if place[2] is not None]
    if seen:
        traces.append(_area(np.concatenate(seen, axis=1), 6, "rgba(91,110,232,.28)"))
    if ellipse is not None:
        cross = _dots(np.zeros((1, 2)), "estimated position", RIGHT, 20)
        cross["marker"] |= {"symbol": "cross-thin", "line": {"color": RIGHT, "width": 2}}
        traces.append(cross)
    dots = _dots(np.array([p[:2] for p in places]).reshape(-1, 2), "places by rank", ACCENT, 19)
    dots["marker"]["size"] = [max(19, 10 + 7 * len(p[3])) for p in places]
    dots |= {
        "mode": "markers+text",
        "text": [p[3] for p in places],
        "textfont": {"color": "#fff", "size": 11},
        "hovertext": [p[4] for p in places],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    return Plot("Map", "", _ground_plan([*traces, dots], low, high), 300, is_map=True, words=words)


def _sector(east: float, north: float, heading: float, reach: float) -> Values:
    """(2, 10) the outline of what is seen from a place, 50 degrees wide, and a gap behind it."""
    angles = np.radians(heading + np.linspace(-25, 25, 7))
    ways = [[0, *along, 0, np.nan] for along in (np.sin(angles), np.cos(angles))]
    return np.add([[east], [north]], reach * np.array(ways))


def _map(title: str, text: str, traces: list[dict[str, Any]], extent: Values, words: str) -> Plot:
    # The first extent has some room around it; what lies beyond is found by zooming out.
    room = 0.05 * max(float(extent.max()), 10.0)
    figure = _ground_plan(traces, np.full(2, -room), extent + room)
    ratio = float((extent[1] + 2 * room) / (extent[0] + 2 * room))
    return Plot(title, text, figure, int(np.clip(520 * ratio, 320, 560)), True, words)


def _ground_plan(traces: list[dict[str, Any]], low: Values, high: Values) -> dict[str, Any]:
    """A figure whose metres are as long northwards as eastwards; it is moved, not selected in."""
    x, y = (
        {"zeroline": False, "ticksuffix": " m", "nticks": 5, "range": ends}
        for ends in np.stack([low, high], axis=1).tolist()
    )
    y["scaleanchor"] = "x"
    return _figure(traces, x=x, y=y, dragmode="pan", hovermode="closest", legend=False)


def _ground(*known: Values) -> tuple[Values, Values]:
    """The corners of what a map shows first: the middle 98 % of the positions and a little more.

    So one wrong position does not shrink everything else to a dot.
    """
    every = np.concatenate(known)
    low, high = np.percentile(every, [1, 99], axis=0)
    room = 0.25 * np.maximum(high - low, 1.0).max()
    return np.maximum(low - room, every.min(axis=0)), np.minimum(high + room, every.max(axis=0))


def _first_of_cells(points: Values) -> NDArray[np.int64]:
    """Rows of at most :data:`MOST_DOTS` points: the first in each cell of the finest grid."""
    rows, cell = np.arange(len(points)), 0.1
    while len(rows) > MOST_DOTS:
        rows = np.sort(np.unique(np.floor(points / cell), axis=0, return_index=True)[1])
        cell *= 2
    return rows


def _at_most(points: Values) -> Values:
    """Different positions, at most :data:`MOST_DOTS`."""
    points = np.unique(points.round(1), axis=0)
    return points[_first_of_cells(points)]


def _dots(points: Values, name: str, colour: str, size: int) -> dict[str, Any]:
    x, y = (_rounded(column, 1) for column in points.T)
    marker = {"color": colour, "size": size}
    return {"x": x, "y": y, "mode": "markers", "name": name, "marker": marker}


def _area(outline: Values, digits: int, colour: str) -> dict[str, Any]:
    """A filled shape, given by (2, n) points, without a line around it."""
    x, y = (_rounded(ends, digits) for ends in outline)
    place = {"x": x, "y": y, "mode": "none"}
    filled = {"fill": "toself", "fillcolor": colour, "hoverinfo": "skip", "showlegend": False}
    return place | filled


def _line(
    number: int, name: str, x: Values, y: Values, *, shape: str = "linear", marks: bool = False
) -> dict[str, Any]:
    """A series in its colour, dashes and mark; marks at a few of its points."""
    marker = _marker(number, 8)
    dash = DASHES[number % len(DASHES)]
    return {
        "x": _rounded(x, 4),
        "y": _rounded(y, 4),
        "name": _plain(name),
        "legendgroup": str(number),
        "mode": "lines+markers",
        "line": {"color": marker["color"], "dash": dash, "width": 2.5, "shape": shape},
        "marker": {**marker, "maxdisplayed": 0 if marks and len(x) < 8 else 6},
        "hovertemplate": "%{y:.3f}<extra>%{fullData.name}</extra>",
    }


def _marker(number: int, size: int) -> dict[str, Any]:
    colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
    return {"color": colour, "symbol": mark, "size": size}


def _figure(
    traces: list[dict[str, Any]],
    *,
    x: dict[str, Any],
    y: dict[str, Any],
    legend: bool = True,
    **layout: Any,
) -> dict[str, Any]:
    for axis in (x, y):
        if isinstance(title := axis.get("title"), str):
            axis["title"] = {"text": title, "standoff": 6}
        axis.setdefault("automargin", True)
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 46, "r": 12, "t": 14, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "hovermode": "x unified" if "type" not in y and not layout else "closest",
            "showlegend": legend,
            "legend": {"orientation": "h", "y": -0.2, "x": 0, "yanchor": "top"},
            "xaxis": x,
            "yaxis": y,
            **layout,
        },
    }


def _share(title: str | None) -> dict[str, Any]:
    axis: dict[str, Any] = {"range": [-0.01, 1.02], "dtick": 0.2, "zeroline": False}
    return axis | ({"title": title} if title else {})


def _mark(figure: dict[str, Any], x: float, text_x: float, text: str) -> None:
    """An upright line with a text beside it, whose place a logarithmic axis has as a logarithm."""
    line = {"color": "#8a94a8", "width": 1.5, "dash": "dot"}
    upright = {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    place = {"x": text_x, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "top"}
    beside = {**place, "text": text, "showarrow": False, "font": {"size": 12}}
    figure["layout"] |= {"shapes": [upright], "annotations": [beside]}


def _by_short_name(series: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(zip(short_names(series), series.values(), strict=True))


def _told(parts: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in parts)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of ``count`` numbers, at even distances, both ends among them."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.int64))


def _rounded(values: Any, digits: int) -> list[float | None]:
    """Numbers as JSON has them: short, and None for what is not finite."""
    found = np.asarray(values, np.float64).tolist()
    return [round(value, digits) if math.isfinite(value) else None for value in found]


def _plain(text: str) -> str:
    """Plotly reads some tags in texts; a file's name has none."""
    return escape(text, quote=False)
