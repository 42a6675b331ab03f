"""Small drawings as SVG text: a map of answers, a curve per epoch. No plotting library needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH = 640.0
MARGIN = 18.0


@dataclass(frozen=True, eq=False)
class AnswerMap:
    """Where the database is, where the queries are, and where they were thought to be.

    Attributes:
        database: (N, 2) easting and northing in metres.
        queries: (Q, 2).
        answers: (Q,) the database index of each first answer; -1 where there is none.
        correct: (Q,) whether that answer lies within the radius.
    """

    database: NDArray[np.float64]
    queries: NDArray[np.float64]
    answers: NDArray[np.int64]
    correct: NDArray[np.bool_]

    def to_svg(self) -> str:
        """The map as an SVG element, north up, with a scale bar."""
        every = np.concatenate([self.database, self.queries])
        every = every[np.isfinite(every).all(axis=1)]
        low, high = every.min(axis=0), every.max(axis=0)
        extent = np.maximum(high - low, 1.0)
        scale = (WIDTH - 2 * MARGIN) / float(extent[0])
        scale = min(scale, 560.0 / float(extent[1]))
        height = float(extent[1]) * scale + 2 * MARGIN + 24

        def at(point: NDArray[np.float64]) -> tuple[float, float]:
            x = MARGIN + (point[0] - low[0]) * scale
            y = MARGIN + (high[1] - point[1]) * scale
            return float(x), float(y)

        parts = [f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" class="map">']
        for place in np.unique(self.database.round(1), axis=0):
            x, y = at(place)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="place"/>')
        for query, answer, right in zip(self.queries, self.answers, self.correct, strict=True):
            if not right and answer >= 0:
                (x1, y1), (x2, y2) = at(query), at(self.database[answer])
                parts.append(
                    f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="miss"/>'
                )
        for query, right in zip(self.queries, self.correct, strict=True):
            x, y = at(query)
            kind = "right" if right else "wrong"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{kind}"/>')
        parts.append(scale_bar(round_metres(199 / scale), scale, height - 10))
        return "".join(parts) + "</svg>"


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


def curve_svg(series: Mapping[str, Sequence[float]], epochs: Sequence[float]) -> str:
    """Lines over epochs, values in [0, 1], each labelled at its end."""
    width, height, left, bottom = 420.0, 230.0, 36.0, 26.0
    low = min(0.9, *(min(values) for values in series.values()))
    low = max(0.0, np.floor(low * 10 - 0.5) / 10)
    last = max(len(epochs) - 1, 1)

    def at(index: int, value: float) -> tuple[float, float]:
        x = left + index / last * (width - left - 70)
        y = 10 + (1 - (value - low) / (1 - low)) * (height - bottom - 10)
        return x, y

    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" class="curve">']
    step = 0.1 if low > 0.4 else 0.2
    for tick in np.arange(1, low - 1e-9, -step):
        _, y = at(0, float(tick))
        parts.append(f'<path d="M{left} {y:.1f}H{width - 70:.0f}" class="grid"/>')
        parts.append(f'<text x="2" y="{y + 4:.1f}">{tick:.2f}</text>')
    for index, epoch in enumerate(epochs):
        x, _ = at(index, low)
        parts.append(
            f'<text x="{x:.1f}" y="{height - 6:.0f}" text-anchor="middle">{epoch:.0f}</text>'
        )
    for number, (name, values) in enumerate(series.items()):
        points = [at(i, v) for i, v in enumerate(values)]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="{path}" class="line line{number}"/>')
        parts.extend(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot dot{number}"/>' for x, y in points
        )
        x, y = points[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" class="name{number}">{name}</text>')
    return "".join(parts) + "</svg>"
