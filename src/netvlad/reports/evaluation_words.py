"""How the page of an evaluation writes names and figures."""

import math
from collections.abc import Sequence

from netvlad.evaluation.comparison import Comparison
from netvlad.evaluation.intervals import Interval
from netvlad.reports.plots import told_apart
from netvlad.reports.printable import printable

UNKNOWN = "–"


def names_of(comparison: Comparison) -> list[str]:
    """A name for each model that no other one has; models of one name are numbered."""
    return told_apart(
        printable(trial.competitor.name) or f"model {number}"
        for number, trial in enumerate(comparison.trials, 1)
    )


def data_name(comparison: Comparison) -> str:
    """The data set and its split."""
    return printable(comparison.data)


def joined(words: Sequence[str]) -> str:
    """``"a"``, ``"a and b"``, ``"a, b and c"``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def share(value: float) -> str:
    """A share in [0, 1], to a thousandth."""
    return f"{value:.3f}"


def interval(found: Interval) -> str:
    """The ends of an interval of shares."""
    return f"{found.low:.3f}–{found.high:.3f}"


def p_value(value: float) -> str:
    """With its letter: ``"p = 0.012"``, ``"p < 0.001"``; the spaces do not break."""
    if value < 0.001:
        text = "p < 0.001"
    elif value < 0.1:
        text = f"p = {value:.3f}"
    else:
        text = f"p = {value:.2f}" if value < 0.995 else "p = 1"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def metres(value: float | None) -> str:
    """A position error; ``"∞"`` where it falls on queries without an answer."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return "∞"
    # What is a kilometre off is wrong, by whatever metre; the column stays narrow.
    return f"{value:.1f}" if value < 1000 else f"{value / 1000:,.0f}\N{NO-BREAK SPACE}km"


def milliseconds(seconds: float, count: int) -> str:
    """Time for each of ``count``; :data:`UNKNOWN` where nothing was measured."""
    if count <= 0:
        return UNKNOWN
    each = 1000 * seconds / count
    if each >= 100:
        return f"{each:,.0f}"
    return f"{each:.1f}" if each >= 1 else f"{each:.3f}"


def distance(metres: float) -> str:
    """A distance as people write it: ``"8 m"``, ``"3.1 km"``, ``"1200 km"``."""
    if metres < 999.5:
        return f"{metres:.0f} m"
    return f"{metres / 1000:.1f} km" if metres < 99_950 else f"{metres / 1000:.0f} km"
