"""A map of one answer as SVG: its places, where they look, and the position fused from them."""

import numpy as np

from netvlad.index.results import Answer
from netvlad.reports.figures import round_metres, scale_bar
from netvlad.reports.labels import Box, Label, box_around, first_free
from netvlad.reports.map_layout import HEIGHT, WIDTH, Ellipse, Layout, MappedPlace, View, layout
from netvlad.types import counted

_STRIP = 26.0  # below the map, for the scale bar and the arrow to the north
_RIM = 12.0
_ONE_LABEL = 19.0  # places nearer than this on the map (pixels) share one label; arrows, too
_CHARACTER = 6.4  # the width of a digit of the labels (pixels)
_FRAME = Box(2.0, 2.0, WIDTH - 2, HEIGHT - 2)


def place_map(answer: Answer) -> str:
    """The map as an SVG element, north up, with a scale bar.

    Places are numbered dots, the stronger the higher their score; a wedge shows the heading. What
    lies beyond the map (:func:`netvlad.reports.map_layout.layout` says what does) is an arrow at
    the rim, with its distance from the centre.

    Returns:
        the element's text; empty when neither a place nor the answer has a position.
    """
    shown = layout(answer)
    if shown is None:
        return ""
    view, inside = shown.view, shown.inside
    step = round_metres(110 / view.scale)
    parts = [
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT + _STRIP:.0f}" role="img" class="map" '
        f'aria-label="{_described(shown)}">',
        _ground(view, step),
    ]
    if shown.position is not None:
        parts.append(_fused(view, shown.ellipse))
    parts += [_wedge(p, view) for p in inside]
    # The best place last, so that it lies on top.
    opacity = _opacities(inside)
    parts += [_dot(p, view, opacity[p.rank]) for p in reversed(inside)]
    groups = _groups(inside, view)
    parts += [_label(group, view, opacity) for group in reversed(groups)]
    parts += _arrows(shown.beyond, view, [_number(group, view) for group in groups])
    parts.append(scale_bar(step, view.scale, HEIGHT + _STRIP - 8))
    x, y = WIDTH - 16, HEIGHT + 6
    parts.append(f'<path d="M{x} {y}l-5 14l5 -3.5l5 3.5z" class="north"/>')
    parts.append(f'<text x="{x - 9}" y="{y + 12}" text-anchor="end">N</text>')
    return "".join(parts) + "</svg>"


def distance_text(metres: float) -> str:
    """A distance as people write it: ``"8 m"``, ``"3.1 km"``, ``"1200 km"``."""
    if metres < 999.5:
        return f"{metres:.0f} m"
    return f"{metres / 1000:.1f} km" if metres < 99_950 else f"{metres / 1000:.0f} km"


def _ground(view: View, step: float) -> str:
    """The paper, and lines ``step`` metres apart through the centre."""
    x0, y0 = view.at(0.0, 0.0)
    apart = step * view.scale
    columns = np.arange(x0 % apart, WIDTH, apart)
    rows = np.arange(y0 % apart, HEIGHT, apart)
    lines = "".join(f"M{x:.1f} 0V{HEIGHT:.0f}" for x in columns)
    lines += "".join(f"M0 {y:.1f}H{WIDTH:.0f}" for y in rows)
    return (
        f'<rect width="{WIDTH:.0f}" height="{HEIGHT:.0f}" rx="6" class="ground"/>'
        f'<path d="{lines}" class="grid"/>'
    )


def _fused(view: View, ellipse: Ellipse | None) -> str:
    x, y = view.at(0.0, 0.0)
    cross = f'<path d="M{x - 17:.1f} {y:.1f}h34M{x:.1f} {y - 17:.1f}v34" class="fused"/>'
    if ellipse is None:
        return cross
    # SVG turns clockwise, because its y axis points down.
    return (
        f'<ellipse cx="{x:.2f}" cy="{y:.2f}" rx="{ellipse.major * view.scale:.2f}" '
        f'ry="{ellipse.minor * view.scale:.2f}" class="error" '
        f'transform="rotate({-ellipse.angle:.2f} {x:.2f} {y:.2f})"/>{cross}'
    )


def _opacities(places: list[MappedPlace]) -> dict[int, float]:
    """0.6 for the lowest score to 1 for the highest, by rank."""
    scores = [p.place.score for p in places] or [0.0]
    low, span = min(scores), max(scores) - min(scores)
    return {p.rank: 0.6 + 0.4 * ((p.place.score - low) / span if span else 1.0) for p in places}


def _dot(mapped: MappedPlace, view: View, opacity: float) -> str:
    x, y = view.at(mapped.east, mapped.north)
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="4" class="place" opacity="{opacity:.2f}"/>'


def _wedge(mapped: MappedPlace, view: View) -> str:
    if mapped.place.heading is None:
        return ""
    x, y = view.at(mapped.east, mapped.north)
    sides = np.radians(mapped.place.heading + np.array([-25.0, 25.0]))
    (x1, x2), (y1, y2) = x + 30 * np.sin(sides), y - 30 * np.cos(sides)
    return (
        f'<path d="M{x:.1f} {y:.1f}L{x1:.1f} {y1:.1f}A30 30 0 0 1 {x2:.1f} {y2:.1f}Z" '
        'class="wedge"/>'
    )


def _groups(inside: list[MappedPlace], view: View) -> list[list[MappedPlace]]:
    """Places that lie on top of each other at this scale, each group led by its best."""
    groups: list[list[MappedPlace]] = []
    for mapped in inside:
        x, y = view.at(mapped.east, mapped.north)
        for group in groups:
            x0, y0 = view.at(group[0].east, group[0].north)
            if np.hypot(x - x0, y - y0) < _ONE_LABEL:
                group.append(mapped)
                break
        else:
            groups.append([mapped])
    return groups


def _number(group: list[MappedPlace], view: View) -> Box:
    x, y = view.at(group[0].east, group[0].north)
    half = max(9.0, len(_ranks(group)) * _CHARACTER / 2 + 4.5)
    return Box(x - half, y - 9, x + half, y + 9)


def _label(group: list[MappedPlace], view: View, opacity: dict[int, float]) -> str:
    box = _number(group, view)
    return (
        f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.right - box.left:.1f}" '
        f'height="18" rx="9" class="number" fill-opacity="{opacity[group[0].rank]:.2f}"/>'
        f'<text x="{(box.left + box.right) / 2:.1f}" y="{box.top + 13:.1f}" text-anchor="middle" '
        f'class="digit">{_ranks(group)}</text>'
    )


def _ranks(group: list[MappedPlace]) -> str:
    """``"1, 3–6"``; of many runs the first three, and how many places there are besides."""
    runs: list[list[int]] = []
    for mapped in group:
        if runs and mapped.rank == runs[-1][-1] + 1:
            runs[-1].append(mapped.rank)
        else:
            runs.append([mapped.rank])
    text = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs[:3])
    besides = sum(len(run) for run in runs[3:])
    return f"{text} +{besides}" if besides else text


def _arrows(beyond: list[MappedPlace], view: View, taken: list[Box]) -> list[str]:
    """An arrow at the rim for each direction in which places lie outside.

    Args:
        beyond: the places outside.
        view: what the map shows.
        taken: where the labels of the arrows should not lie.
    """
    groups: list[tuple[float, float, float, list[MappedPlace]]] = []
    for mapped in beyond:
        x, y = view.at(mapped.east, mapped.north)
        dx, dy = x - WIDTH / 2, y - HEIGHT / 2
        fit = min((WIDTH / 2 - _RIM) / max(abs(dx), 1e-9), (HEIGHT / 2 - _RIM) / max(abs(dy), 1e-9))
        x, y = WIDTH / 2 + dx * fit, HEIGHT / 2 + dy * fit
        for x0, y0, _, group in groups:
            if np.hypot(x - x0, y - y0) < _ONE_LABEL:
                group.append(mapped)
                break
        else:
            groups.append((x, y, float(np.degrees(np.arctan2(dy, dx))), [mapped]))
    taken = [*taken, *(box_around(x, y, 9) for x, y, _, _ in groups)]
    parts = []
    for x, y, angle, group in groups:
        candidates = _arrow_labels(x, y, _beyond_text(group))
        label = first_free(candidates, taken, _FRAME) or candidates[0]
        taken.append(label.box)
        parts.append(
            '<path d="M8 0L-6 -6V6Z" class="beyond" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})"/>' + label.to_svg("far")
        )
    return parts


def _arrow_labels(x: float, y: float, text: str) -> list[Label]:
    """Where the label of an arrow may stand: beside it, towards the middle; else above or below."""
    right, left = Label(text, x + 14, y + 4, "start"), Label(text, x - 14, y + 4, "end")
    width = right.box.right - right.box.left
    middle = float(np.clip(x, width / 2 + 4, WIDTH - width / 2 - 4))
    above, below = Label(text, middle, y - 12, "middle"), Label(text, middle, y + 22, "middle")
    return [
        *((right, left) if x < WIDTH / 2 else (left, right)),
        *((below, above) if y < HEIGHT / 2 else (above, below)),
    ]


def _beyond_text(group: list[MappedPlace]) -> str:
    nearest, farthest = (distance_text(f(p.away for p in group)) for f in (min, max))
    span = nearest if nearest == farthest else f"{nearest} to {farthest}"
    return f"{_ranks(group)} · {span}"


def _described(shown: Layout) -> str:
    text = f"Map of {counted(len(shown.inside), 'places')}"
    if shown.position is not None:
        text += " and the estimated position"
    return text + (f"; {len(shown.beyond)} more lie outside" if shown.beyond else "")
