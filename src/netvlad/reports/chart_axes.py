"""What every chart stands on: its room, scales and ticks, and words for those who do not see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import overload

import numpy as np
from numpy.typing import NDArray

from netvlad.reports.labels import Box, Label

WIDTH = 640.0
TEXT = 18.0
"""Height of the font: a chart of ``WIDTH`` on a telephone of 360 pixels still shows 10 of them."""

FRAME = Box(60.0, 36.0, 626.0, 324.0)
"""What the axes of most charts enclose, in pixels."""

FOOT = 58.0
"""The room below the axes that ticks and the name of the axis take."""

# The lower limit of an axis of recall, and the step of its ticks.
_RECALL_STEPS = {0.95: 0.01, 0.9: 0.02, 0.8: 0.05, 0.7: 0.1, 0.6: 0.1, 0.5: 0.1, 0.2: 0.2, 0.0: 0.2}
# The base line of a text lies this many font heights below its middle.
_TO_BASE_LINE = 0.36
# Some systems' fonts are this much wider than `Label.box` expects (DejaVu Sans).
_WIDEST_FONT = 1.12


@dataclass(frozen=True)
class Scale:
    """Values from ``start`` to ``end`` on pixels from ``first`` to ``last``."""

    start: float
    end: float
    first: float
    last: float

    @overload
    def at(self, value: float) -> float: ...
    @overload
    def at(self, value: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def at(self, value: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """The pixel of a value, or of each of many."""
        return self.first + (value - self.start) / (self.end - self.start) * (
            self.last - self.first
        )


def recall_ticks(lowest: float) -> list[float]:
    """Ticks from a round number that is at most ``lowest`` to 1, for shares in [0, 1]."""
    low = next(limit for limit in _RECALL_STEPS if limit <= max(lowest, 0.0))
    step = _RECALL_STEPS[low]
    return [float(tick) for tick in np.arange(low, 1 + step / 2, step).round(10)]


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` multiples of 1, 2 or 5 times a power of ten, around ``low`` and ``high``."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1.0):
        room = 0.05 * max(abs(low), abs(high)) or 0.5
        low, high = low - room, high + room
    power = int(np.floor(np.log10(high - low))) - 1
    for digits in (f"{step}e{power + more}" for more in range(3) for step in (1, 2, 5)):
        step = float(digits)
        # A hair's breadth of rounding must not add a step.
        first, last = np.floor(low / step + 1e-6), np.ceil(high / step - 1e-6)
        if last - first < most:
            break
    return [float(tick) for tick in (np.arange(first, last + 1) * step).round(12)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The ticks with as many decimals as their step has."""
    step = min(np.diff(ticks), default=1.0)
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-6)))
    return [f"{tick:,.{decimals}f}" for tick in ticks]


def horizontal_rules(
    frame: Box, ticks: Sequence[tuple[float, str]], size: float = TEXT
) -> list[str]:
    """Lines across the frame, each with its text to the left.

    Args:
        frame: what the axes enclose.
        ticks: the height of each line, in pixels, and its text.
        size: of the font, in pixels.
    """
    return [
        f'<path d="M{frame.left:g} {y:.2f}H{frame.right:g}" class="grid"/>'
        + Label(text, frame.left - 8, y + _TO_BASE_LINE * size, "end", size).to_svg("tick-y")
        for y, text in ticks
    ]


def vertical_rules(frame: Box, ticks: Sequence[tuple[float, str]], size: float = TEXT) -> list[str]:
    """Lines down the frame, each with its text below; see :func:`horizontal_rules`.

    A text for which the one before it leaves no room is left out; its line is not.
    """
    parts = []
    last: Box | None = None
    for x, text in ticks:
        parts.append(f'<path d="M{x:.2f} {frame.top:g}V{frame.bottom:g}" class="grid"/>')
        label = Label(text, x, frame.bottom + 1.5 * size, "middle", size)
        box = label.box
        if last is None or not replace(last, right=last.right + 4).overlaps(box):
            parts.append(label.to_svg("tick-x"))
            last = box
    return parts


def text_width(text: str) -> float:
    """The most that a line of ``TEXT`` pixels is likely to take, in pixels."""
    box = Label(text, 0, 0, "start", TEXT).box
    return _WIDEST_FONT * (box.right - box.left)


def rim(frame: Box) -> str:
    """The two axes."""
    return (
        f'<path d="M{frame.left:g} {frame.top:g}V{frame.bottom:g}H{frame.right:g}" class="axis"/>'
    )


def axis_names(frame: Box, x_name: str, y_name: str, note: str = "") -> list[str]:
    """The names of the axes, and a remark at the top right."""
    middle = (frame.left + frame.right) / 2
    labels = (
        Label(y_name, 8, 22, "start", TEXT),
        Label(note, WIDTH - 8, 22, "end", TEXT),
        Label(x_name, middle, frame.bottom + FOOT - 7, "middle", TEXT),
    )
    return [label.to_svg("title") for label in labels if label.text]


def chart_svg(title: str, description: str, parts: Sequence[str], height: float) -> str:
    """The whole chart.

    Args:
        title: what it shows, in a few words.
        description: its figures in words, for those who hear the page.
        parts: the drawing, as SVG.
        height: in pixels; it is ``WIDTH`` wide.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        f'class="chart"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
        + "".join(parts)
        + "</svg>"
    )


def empty_chart(title: str) -> str:
    """An empty frame that says so."""
    middle = Label("no data", WIDTH / 2, (FRAME.top + FRAME.bottom) / 2, "middle", TEXT)
    return chart_svg(
        title, "There is no data to draw.", [rim(FRAME), middle.to_svg("none")], FRAME.bottom + 12
    )
