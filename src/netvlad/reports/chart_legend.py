"""Whose line is whose: names at the ends of lines where they have room, else below the chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from netvlad.reports.chart_axes import TEXT, WIDTH, text_width
from netvlad.reports.chart_style import SERIES, mark
from netvlad.reports.labels import Box, Label

ROW = 27.0
"""The height of a row of names, in pixels."""

_LONGEST_AT_END = 17
_LONGEST_BELOW = 40
_SAMPLE = 42.0
_GUTTER = 36.0


@dataclass(frozen=True)
class LegendEntry:
    """A series as the legend knows it.

    Attributes:
        number: of its style, from 0.
        name: as the caller gave it.
    """

    number: int
    name: str


def printable(text: str) -> str:
    """The text without what XML forbids and nobody sees, such as control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, longest: int) -> str:
    """The text with its middle left out where it has more than ``longest`` characters."""
    text = printable(text)
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return text[: longest - 1 - end] + "…" + text[len(text) - end :]


def entries_of(names: Sequence[str]) -> tuple[list[LegendEntry], str]:
    """An entry for each series that has a style, and a remark about those that have none."""
    entries = [LegendEntry(number, name) for number, name in enumerate(names[:SERIES])]
    rest = len(names) - len(entries)
    return entries, f"{rest} more not drawn" if rest else ""


def remarks(note: str, absent: int) -> str:
    """A remark, and how many models there is nothing to draw of."""
    return ", ".join(filter(None, [note, f"{absent} without data" if absent else ""]))


def named(label: Label, whole: str, kind: str) -> str:
    """A label that tells the whole name when pointed at."""
    return f"<g><title>{escape(printable(whole))}</title>{label.to_svg(kind)}</g>"


def room_at_ends(entries: Sequence[LegendEntry]) -> float | None:
    """How many pixels names to the right of a frame take; None where one is too long for that."""
    if any(len(entry.name) > _LONGEST_AT_END for entry in entries):
        return None
    return _GUTTER + max(text_width(entry.name) for entry in entries)


def names_at_ends(entries: Sequence[LegendEntry], ends: Sequence[float], frame: Box) -> list[str]:
    """Each series' mark and name to the right of the frame, joined to its end by a thin line.

    Args:
        entries: the series.
        ends: the height at which each one's line meets the right rim, in pixels.
        frame: what the axes enclose.
    """
    heights = apart(ends, ROW, frame.top + 9, frame.bottom)
    parts = []
    for entry, end, y in zip(entries, ends, heights, strict=True):
        x = frame.right + 22
        label = Label(printable(entry.name), x + 12, y + 6.5, "start", TEXT)
        parts.append(
            f'<g class="s{entry.number}">'
            f'<path d="M{frame.right:.1f} {end:.1f}L{x:.1f} {y:.1f}" class="leader"/>'
            f"{mark(entry.number, x, y)}{named(label, entry.name, 'name')}</g>"
        )
    return parts


def apart(wished: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places nearest to those wished (in squares) that keep their order and a distance.

    Less ``gap`` times its rank, each place may be no less than the one before it: that is isotonic
    regression, which pooling neighbours out of order solves (Barlow et al., 1972).

    Args:
        wished: any order.
        gap: the least distance between two places.
        low: the first place is at least this.
        high: the last place is at most this, where there is room for all.

    Returns:
        a place for each one wished, in the given order.
    """
    order = sorted(range(len(wished)), key=lambda i: wished[i])
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        pools.append((wished[index] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (last, n), (previous, m) = pools.pop(), pools.pop()
            pools.append(((last * n + previous * m) / (n + m), n + m))
    flat = [value for value, count in pools for _ in range(count)]
    limit = high - gap * (len(wished) - 1)
    places = [0.0] * len(wished)
    for rank, index in enumerate(order):
        places[index] = max(min(flat[rank], limit), low) + rank * gap
    return places


def legend(entries: Sequence[LegendEntry], top: float, *, lines: bool) -> tuple[list[str], float]:
    """All names below a chart, in rows.

    Args:
        entries: the series.
        top: where the first row begins, in pixels.
        lines: whether a piece of each line is shown, or its mark alone.

    Returns:
        the drawing, and where it ends.
    """
    parts = []
    x, y = 12.0, top + ROW / 2
    for entry in entries:
        text = shortened(entry.name, _LONGEST_BELOW)
        sample = _SAMPLE if lines else 18.0
        width = sample + 6 + text_width(text)
        if x > 12 and x + width > WIDTH - 8:
            x, y = 12.0, y + ROW
        line = f'<path d="M{x:.1f} {y:.1f}h{sample:g}" class="line"/>' if lines else ""
        label = Label(text, x + sample + 6, y + 6.5, "start", TEXT)
        parts.append(
            f'<g class="s{entry.number}">{line}{mark(entry.number, x + sample / 2, y)}'
            f"{named(label, entry.name, 'name')}</g>"
        )
        x += width + 22
    return parts, y + ROW / 2 + 4
