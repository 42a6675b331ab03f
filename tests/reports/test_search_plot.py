import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from netvlad.errors import DataError
from netvlad.reports.search_plot import FRAME, unbeaten, write_search_plot
from netvlad.search.trials import Trial

SVG = "{http://www.w3.org/2000/svg}"


def trial(kind, breadth, recall, p50, rescored=64):
    return Trial(kind, breadth, rescored, 20, recall - 0.01, recall, p50, p50, 2 * p50, 30.0, 600.0)


EXACT = Trial("exact", 0, 0, 20, 1.0, 1.0, 31.0, 30.0, 45.0)
HNSW = [
    trial("hnsw", 16, 0.91, 0.11),
    trial("hnsw", 64, 0.978, 0.35),
    trial("hnsw", 256, 0.996, 1.2),
]
IVF_PQ = [
    trial("ivf-pq", 4, 0.82, 0.5, 100),
    trial("ivf-pq", 64, 0.97, 2.3, 400),
    trial("ivf-pq", 64, 0.968, 2.9, 800),
]


def drawn(tmp_path, trials):
    write_search_plot(tmp_path / "plot.svg", trials)
    return ET.parse(tmp_path / "plot.svg").getroot()


def texts(svg, kind):
    """(x, y, text) of the labels of one class."""
    found = [e for e in svg.iter(f"{SVG}text") if kind in e.get("class").split()]
    return [(float(e.get("x")), float(e.get("y")), e.text) for e in found]


def marks(svg):
    """(x, y) by the first line of the title."""
    return {
        e[0].text.splitlines()[0]: tuple(
            float(v) for v in re.findall(r"[\d.]+", e.get("transform"))
        )
        for e in svg.iter(f"{SVG}path")
        if "mark" in (e.get("class") or "").split()
    }


def read_off(svg):
    """How a person reads a mark: by the labelled ticks, x being logarithmic."""
    x_ticks = np.array([(x, np.log10(float(text))) for x, _, text in texts(svg, "tick-x")])
    y_ticks = np.array([(y - 4, float(text)) for _, y, text in texts(svg, "tick-y")])
    x_fit, y_fit = np.polyfit(*x_ticks.T, 1), np.polyfit(*y_ticks.T, 1)
    return lambda x, y: (10 ** np.polyval(x_fit, x), np.polyval(y_fit, y))


def test_marks_read_off_by_the_axes_are_the_figures(tmp_path):
    svg = drawn(tmp_path, [EXACT, *HNSW, *IVF_PQ])
    found, figures = marks(svg), read_off(svg)
    assert len(found) == 6
    for t, name in (
        (HNSW[1], "hnsw, ef_search 64, re-scored 64"),
        (IVF_PQ[0], "ivf-pq, nprobe 4, re-scored 100"),
    ):
        milliseconds, recall = figures(*found[name])
        assert milliseconds == pytest.approx(t.p50_ms, rel=0.01)
        assert recall == pytest.approx(t.recall, abs=0.001)
        x, y = found[name]
        assert FRAME.left < x < FRAME.right
        assert FRAME.top < y < FRAME.bottom


def test_known_pixels(tmp_path):
    # Times 0.1 and 10: half a span is 1 decade, 16 % wider; recall from 0.9 to 1.
    svg = drawn(tmp_path, [trial("hnsw", 16, 0.9, 0.1), trial("hnsw", 32, 1.0, 10.0)])
    (x0, y0), (x1, y1) = marks(svg).values()
    middle, half = (56 + 700) / 2, (700 - 56) / 2
    assert (x0, x1) == (
        pytest.approx(middle - half / 1.16, abs=0.01),
        pytest.approx(middle + half / 1.16, abs=0.01),
    )
    assert (y0, y1) == (390, 44)


def test_exact_search_is_a_labelled_vertical_line(tmp_path):
    svg = drawn(tmp_path, [EXACT, *HNSW])
    (line,) = (e for e in svg.iter(f"{SVG}path") if e.get("class") == "exact")
    x, top, bottom = (float(v) for v in re.findall(r"[\d.]+", line.get("d")))
    assert (top, bottom) == (FRAME.top, FRAME.bottom)
    assert read_off(svg)(x, 0)[0] == pytest.approx(30, rel=0.01)
    assert [text for *_, text in texts(svg, "name")] == ["exact 30 ms", "hnsw (ef_search)"]


def test_the_line_joins_what_no_faster_setting_reaches(tmp_path):
    assert unbeaten(IVF_PQ[::-1]) == IVF_PQ[:2]
    svg = drawn(tmp_path, [EXACT, *HNSW, *IVF_PQ])
    found = marks(svg)
    (line,) = (e for e in svg.iter(f"{SVG}path") if e.get("class") == "line line1")
    points = [tuple(map(float, p.split())) for p in line.get("d")[1:].split("L")]
    assert points == [
        found["ivf-pq, nprobe 4, re-scored 100"],
        found["ivf-pq, nprobe 64, re-scored 400"],
    ]
    (beaten,) = (e for e in svg.iter(f"{SVG}path") if "beaten" in (e.get("class") or ""))
    assert "re-scored 800" in beaten[0].text
    assert {text for *_, text in texts(svg, "value")} == {"16", "64", "256", "4 / 100", "64 / 400"}


def test_labels_of_crowded_marks_do_not_lie_on_each_other(tmp_path):
    crowd = [
        trial(kind, b, 0.99 + b / 1e5, 0.08 + b / 1e5)
        for kind in ("hnsw", "ivf-pq")
        for b in (16, 32, 64, 128)
    ]
    svg = drawn(tmp_path, [EXACT, *crowd])
    rows = sorted((y, x) for x, y, _ in texts(svg, "name"))
    assert len(rows) == 3
    assert all(below[0] - above[0] > 10 for above, below in pairwise(rows))


def test_one_trial_is_a_plot_and_none_is_an_error(tmp_path):
    assert drawn(tmp_path, [EXACT]).tag == f"{SVG}svg"
    assert "nan" not in (tmp_path / "plot.svg").read_text()
    with pytest.raises(DataError, match="at least one"):
        write_search_plot(tmp_path / "plot.svg", [])
    with pytest.raises(DataError, match="hnsw: p50_ms is 0"):
        write_search_plot(tmp_path / "plot.svg", [trial("hnsw", 16, 0.9, 0.0)])


def test_names_are_escaped(tmp_path):
    svg = drawn(tmp_path, [trial("a<b&c", 1, 0.9, 1.0)])
    assert texts(svg, "name")[0][2] == "a<b&c"
