"""Recall over time of search structures, as an SVG file. No plotting library needed."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from netvlad.errors import DataError
from netvlad.reports.chart_axes import Scale, horizontal_rules, recall_ticks, rim, vertical_rules
from netvlad.reports.chart_style import MARKS
from netvlad.reports.labels import Box, Label, box_around, first_free
from netvlad.search.trials import Trial
from netvlad.storage import written_beside

WIDTH = 720.0
HEIGHT = 440.0
FRAME = Box(56.0, 34.0, WIDTH - 20, HEIGHT - 50)
"""What the axes enclose, in pixels."""

EXACT = "exact"
"""The kind of search that the others are compared with."""

_BREADTH = {"hnsw": "ef_search", "ivf-pq": "nprobe"}
_TEXT = 11.0
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #5d6779; }
.paper { fill: #fff; } .grid { stroke: #e4e7ec; } .axis { stroke: #98a2b3; fill: none; }
.exact { stroke: #5d6779; stroke-dasharray: 5 4; }
.line { fill: none; stroke-width: 2; } .beaten { opacity: .4; } .value { font-size: 11px; }
.line0 { stroke: #3448c5; } .mark0, .name0 { fill: #3448c5; }
.line1 { stroke: #b54708; } .mark1, .name1 { fill: #b54708; }
.line2 { stroke: #12805c; } .mark2, .name2 { fill: #12805c; }
.name { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  text { fill: #9aa4b5; } .paper { fill: #1c2029; } .grid { stroke: #323947; }
  .axis, .exact { stroke: #9aa4b5; }
  .line0 { stroke: #93a4ff; } .mark0, .name0 { fill: #93a4ff; }
  .line1 { stroke: #ffab6b; } .mark1, .name1 { fill: #ffab6b; }
  .line2 { stroke: #4cc79a; } .mark2, .name2 { fill: #4cc79a; }
}
"""


def write_search_plot(path: Path, trials: Sequence[Trial]) -> None:
    """Draw recall over the median time of a query.

    Each kind has a line through the settings that no faster setting of that kind reaches the
    recall of; the others are pale marks. Beside a mark stand the efforts in which the settings of
    its kind differ, where there is room; pointing at it shows all its figures. Exact search, which
    the recall is measured against, is a vertical line.

    Args:
        path: the SVG file.
        trials: at least one.

    Raises:
        DataError: there is nothing to draw, or a time or a recall is no such thing.
        StorageError: the file cannot be written.
    """
    _check(trials)
    with written_beside(path) as temporary:
        temporary.write_text(_Plot(trials).to_svg(), encoding="utf-8")


def unbeaten(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with more recall than every faster one, fastest first."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t.p50_ms, -t.recall)):
        if not best or trial.recall > best[-1].recall:
            best.append(trial)
    return best


def _check(trials: Sequence[Trial]) -> None:
    if not trials:
        raise DataError("there is no search trial to plot; measure at least one")
    for trial in trials:
        if not (np.isfinite(trial.p50_ms) and trial.p50_ms > 0 and 0 <= trial.recall <= 1):
            raise DataError(
                f"search trial {trial.kind}: p50_ms is {trial.p50_ms:g} and recall is "
                f"{trial.recall:g}; give a time above 0 and a recall in [0, 1]"
            )


class _Plot:
    """The drawing, while labels look for free room in it."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.exact = [trial for trial in trials if trial.kind == EXACT]
        self.kinds: dict[str, list[Trial]] = {}
        for trial in trials:
            if trial.kind != EXACT:
                self.kinds.setdefault(trial.kind, []).append(trial)
        recalls = [t.recall for group in self.kinds.values() for t in group]
        self.ticks = recall_ticks(min(recalls, default=1.0))
        # A little room above 1, so that marks do not lie on the rim.
        self.heights = Scale(self.ticks[0], 1.0, FRAME.bottom, FRAME.top + 10)
        times = np.log10([trial.p50_ms for trial in trials])
        middle, half = (times.min() + times.max()) / 2, max(np.ptp(times) / 2 * 1.16, 0.5)
        self.times = Scale(float(middle - half), float(middle + half), FRAME.left, FRAME.right)
        self.neighbours = trials[0].at
        self.taken: list[Box] = []

    def at(self, trial: Trial) -> tuple[float, float]:
        return self.x(trial.p50_ms), self.y(trial.recall)

    def x(self, milliseconds: float) -> float:
        return self.times.at(float(np.log10(milliseconds)))

    def y(self, recall: float) -> float:
        return self.heights.at(recall)

    def to_svg(self) -> str:
        fronts = {kind: unbeaten(group) for kind, group in self.kinds.items()}
        points = {kind: [self.at(t) for t in front] for kind, front in fronts.items()}
        for line in points.values():
            self.taken += _along(line)
        self.taken += [box_around(*self.at(t), 6) for g in self.kinds.values() for t in g]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" '
            f'width="{WIDTH:.0f}" height="{HEIGHT:.0f}" role="img" '
            'aria-label="Recall over the median milliseconds per query">'
            f"<style>{_STYLE}</style>",
            f'<rect width="{WIDTH:.0f}" height="{HEIGHT:.0f}" class="paper"/>',
            *self._axes(),
            *self._references(),
        ]
        for number, kind in enumerate(self.kinds):
            path = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points[kind])
            parts.append(f'<path d="{path}" class="line line{number % 3}"/>')
        for number, (kind, group) in enumerate(self.kinds.items()):
            parts += [self._mark(t, number % 3, t in fronts[kind]) for t in group]
        # All names before any value: they matter more.
        for number, (kind, group) in enumerate(self.kinds.items()):
            parts.append(self._name(kind, group, points[kind], number % 3))
        for kind, group in self.kinds.items():
            parts += [self._value(trial, _varied(group)) for trial in fronts[kind]]
        return "\n".join(part for part in parts if part) + "\n</svg>\n"

    def _axes(self) -> list[str]:
        recalls = [(self.y(tick), f"{tick:.2f}") for tick in self.ticks]
        times = [(self.x(tick), f"{tick:g}") for tick in _decades(self.times)]
        middle = (FRAME.left + FRAME.right) / 2
        return [
            *horizontal_rules(FRAME, recalls, _TEXT),
            *vertical_rules(FRAME, times, _TEXT),
            rim(FRAME),
            Label(f"recall@{self.neighbours} against exact search", 10, 20).to_svg("title"),
            Label(
                "milliseconds per query (p50, logarithmic)", middle, HEIGHT - 10, "middle"
            ).to_svg("title"),
        ]

    def _references(self) -> list[str]:
        parts = []
        for trial in self.exact:
            x = self.x(trial.p50_ms)
            line = Box(x - 3, FRAME.top, x + 3, FRAME.bottom)
            text = f"{EXACT} {_time(trial.p50_ms)}"
            candidates = []
            for up in (10, 26, 42):
                candidates.append(Label(text, x + 8, FRAME.bottom - up, "start", 12.0))
                candidates.append(Label(text, x - 8, FRAME.bottom - up, "end", 12.0))
            label = first_free(candidates, self.taken, FRAME) or candidates[1]
            self.taken += [line, label.box]
            parts.append(
                f'<path d="M{x:.2f} {FRAME.top}V{FRAME.bottom}" class="exact">'
                f"<title>{escape(_described(trial))}</title></path>" + label.to_svg("name")
            )
        return parts

    def _mark(self, trial: Trial, number: int, is_unbeaten: bool) -> str:
        x, y = self.at(trial)
        pale = "" if is_unbeaten else " beaten"
        return (
            f'<path d="{MARKS[number]}" transform="translate({x:.2f} {y:.2f})" '
            f'class="mark mark{number}{pale}"><title>{escape(_described(trial))}</title></path>'
        )

    def _name(
        self,
        kind: str,
        group: Sequence[Trial],
        line: Sequence[tuple[float, float]],
        number: int,
    ) -> str:
        varied = _varied(group)
        text = kind + (f" ({' / '.join(varied)})" if varied else "")
        candidates = [label for point in line for label in _around(text, *point, size=12.5)]
        label = first_free(candidates, self.taken, FRAME) or candidates[0]
        self.taken.append(label.box)
        return label.to_svg(f"name name{number}")

    def _value(self, trial: Trial, varied: Sequence[str]) -> str:
        text = " / ".join(_efforts(trial)[name] for name in varied)
        label = first_free(_around(text, *self.at(trial)), self.taken, FRAME) if text else None
        if label is None:
            return ""
        self.taken.append(label.box)
        return label.to_svg("value")


def _around(text: str, x: float, y: float, size: float = 11.0) -> list[Label]:
    return [
        Label(text, x + 9, y + 14, "start", size),
        Label(text, x + 9, y + 4, "start", size),
        Label(text, x - 9, y - 6, "end", size),
        Label(text, x - 9, y + 4, "end", size),
        Label(text, x, y + 20, "middle", size),
        Label(text, x, y - 10, "middle", size),
    ]


def _along(line: Sequence[tuple[float, float]]) -> list[Box]:
    """Small boxes that cover the line."""
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(line):
        for share in np.linspace(0, 1, 2 + int(np.hypot(x1 - x0, y1 - y0) / 4)):
            boxes.append(box_around(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 2))
    return boxes


def _decades(exponents: Scale) -> list[float]:
    """1, 2 and 5 times the powers of ten from 10^start to 10^end."""
    start, end = exponents.start, exponents.end
    powers = range(int(np.floor(start)), int(np.ceil(end)) + 1)
    ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    if end - start > 3:
        ticks = [float(f"1e{power}") for power in powers]
    return [tick for tick in ticks if start <= np.log10(tick) <= end]


def _efforts(trial: Trial) -> dict[str, str]:
    """What a search visits and compares, under the names that its method gives them."""
    if trial.kind == EXACT:
        return {}
    breadth = _BREADTH.get(trial.kind, "breadth")
    return {breadth: str(trial.breadth), "re-scored": str(trial.rescored)}


def _varied(group: Sequence[Trial]) -> list[str]:
    """The efforts in which trials of one kind differ."""
    efforts = [_efforts(trial) for trial in group]
    return [name for name in efforts[0] if len({effort[name] for effort in efforts}) > 1]


def _described(trial: Trial) -> str:
    efforts = "".join(f", {name} {value}" for name, value in _efforts(trial).items())
    return (
        f"{trial.kind}{efforts}\n"
        f"recall@{trial.at} {trial.recall:.4f}, recall@1 {trial.recall_at_1:.4f}\n"
        f"p50 {_time(trial.p50_ms)}, p99 {_time(trial.p99_ms)}\n"
        f"built in {trial.build_s:.1f} s, {trial.megabytes:.0f} MB"
    )


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms"
