import re
from itertools import combinations

import numpy as np
import pytest

from netvlad.reports.chart_style import CHART_CSS, MARKS


def colours(css):
    return dict(re.findall(r"\.(s\d) \{ --series: #(\w+)", css))


def seen(colour, machado):
    """CIELAB (D65) of an sRGB colour as someone sees it whom the matrix describes."""
    digits = "".join(2 * c for c in colour) if len(colour) == 3 else colour
    srgb = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(machado @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes 2009, severity 1.0.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deutan": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritan": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_for_every_kind_of_eye(vision):
    light, dark = (colours(part) for part in CHART_CSS.split("@media screen"))
    for palette in (light, {**light, **dark}):
        assert len(palette) == 8
        labs = [seen(colour, np.array(VISIONS[vision])) for colour in palette.values()]
        # 2.3 is a difference just seen.
        assert min(np.linalg.norm(a - b) for a, b in combinations(labs, 2)) > 10


def test_series_differ_without_colour():
    assert len(set(re.findall(r"--dash: ([^;]+);", CHART_CSS))) == 8
    assert len(set(MARKS)) == 8


def test_paper_is_never_dark():
    screens, paper = CHART_CSS.split("@media screen and (prefers-color-scheme: dark)")[1].split(
        "@media print"
    )
    assert "--chart-text: #c7cedb" in screens
    assert "--chart-text: #000" in paper
