"""The scale bar of a map, as SVG text."""

import numpy as np

WIDTH = 640.0
MARGIN = 18.0


def round_metres(longest: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... metres that is at most ``longest``; at least 1."""
    if longest < 1:
        return 1.0
    power = 10.0 ** np.floor(np.log10(longest))
    return float(power * max(step for step in (1, 2, 5) if step * power <= longest))


def scale_bar(metres: float, scale: float, y: float) -> str:
    """A bar that is ``metres`` long at ``scale`` pixels per metre, with its length beside it."""
    end = MARGIN + metres * scale
    length = f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
    return (
        f'<path d="M{MARGIN} {y - 4}V{y}H{end:.1f}V{y - 4}" class="scale"/>'
        f'<text x="{end + 6:.1f}" y="{y:.1f}">{length}</text>'
    )
