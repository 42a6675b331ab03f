import re
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest

from netvlad.errors import DataError
from netvlad.reports.chart_legend import apart, shortened
from netvlad.reports.charts import (
    Series,
    condition_chart,
    error_chart,
    interval_chart,
    precision_recall_chart,
    recall_chart,
)
from netvlad.reports.labels import Label

SVG = "{http://www.w3.org/2000/svg}"
N = np.arange(1.0, 21.0)
NAMES = [f"model {letter}" for letter in "ABCDEFGH"]
NASTY = "<b>&\x00 vgg16-netvlad-64.pitts30k+whitened-to-4096-values"
TOP, BOTTOM = 36.0, 324.0  # what the axes of a curve enclose


def parsed(svg):
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert "nan" not in svg
    return root


def texts(root, kind=None):
    return [
        Label(e.text, float(e.get("x")), float(e.get("y")), e.get("text-anchor"), 18.0)
        for e in root.iter(f"{SVG}text")
        if kind in (None, e.get("class"))
    ]


def read_off(root, axis):
    """How a person reads a pixel: by the two outermost labelled ticks of an axis."""
    ticks = texts(root, f"tick-{axis}")
    # The base line of a text left of the axis is 0.36 of the font below its middle.
    pixels = [tick.x if axis == "x" else tick.y - 0.36 * 18 for tick in ticks]
    values = [float(tick.text) for tick in ticks]
    slope, offset = np.polyfit(pixels, values, 1)
    return lambda pixel: slope * pixel + offset


def points(path):
    return np.array([[float(v) for v in p.split()] for p in path.rstrip("Z")[1:].split("L")])


def lines(root):
    return [points(e.get("d")) for e in root.iter(f"{SVG}path") if "line s" in e.get("class")]


def marks(root, kinds=("mark", "hollow")):
    """(class of the series, x, y, class of the mark) for each, in order."""
    return [
        (
            group.get("class"),
            *map(float, re.findall(r"[-\d.]+", e.get("transform"))),
            e.get("class"),
        )
        for group in root.iter(f"{SVG}g")
        if re.fullmatch(r"s\d", group.get("class") or "")
        for e in group.iter(f"{SVG}path")
        if e.get("class") in kinds
    ]


def bars(root):
    """Their heights by their titles."""
    groups = (g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}rect") is not None)
    return {g[0].text: float(g.find(f"{SVG}rect").get("height")) for g in groups}


def rising(name, start, end, half=None):
    y = np.linspace(start, end, 20)
    return Series(name, N, y, *((y - half, y + half) if half else ()))


def eight():
    rows = [
        (name, 0.5 + 0.05 * i, 0.45 + 0.05 * i, 0.55 + 0.05 * i) for i, name in enumerate(NAMES)
    ]
    random = np.random.default_rng(0)
    recall = np.linspace(0.01, 1, 100)
    return {
        "recall": recall_chart([rising(n, 0.8, 0.97 + i / 1000) for i, n in enumerate(NAMES)]),
        "long names": recall_chart([rising(f"{n} {NASTY}", 0.8, 0.9) for n in NAMES]),
        "precision": precision_recall_chart([Series(n, recall, 1 - recall / 3) for n in NAMES]),
        "errors": error_chart(
            {n: np.append(random.lognormal(3, 3, 99), np.inf) for n in NAMES}, 25.0
        ),
        "intervals": interval_chart([(*row, i > 3) for i, row in enumerate(rows)]),
        "conditions": condition_chart(
            {
                f"condition {number} {'with a long name' * (number % 2)}": [
                    (*row, 1000 * number) for row in rows
                ]
                for number in range(12)
            }
        ),
    }


@pytest.mark.parametrize(("name", "svg"), eight().items())
def test_eight_models_each_with_a_style_and_no_label_on_another(name, svg):
    root = parsed(svg)
    styles = {word for e in root.iter() for word in (e.get("class") or "").split()}
    assert {f"s{i}" for i in range(8)} <= styles
    labels = texts(root)
    assert len([label for label in labels if "model" in label.text]) == 8
    for one, other in combinations(labels, 2):
        assert not one.box.overlaps(other.box), (one.text, other.text)
    width, height = map(float, root.get("viewBox").split()[2:])
    for label in labels:
        assert 0 <= label.box.left < label.box.right <= width, label.text
        assert 0 <= label.box.top < label.box.bottom <= height, label.text


def test_recall_is_drawn_where_the_axes_say():
    root = parsed(recall_chart([rising("A", 0.81, 1.0), rising("B", 0.9, 0.9)]))
    first, second = lines(root)
    # Recall from 0.8 on 288 pixels: 0.81 is a twentieth up, 0.9 half.
    assert first[0].tolist() == [60.0, round(BOTTOM - 288 / 20, 2)]
    assert first[-1, 1] == TOP
    assert set(second[:, 1]) == {180.0}
    np.testing.assert_allclose(read_off(root, "x")(first[:, 0]), N, atol=0.01)
    np.testing.assert_allclose(
        read_off(root, "y")(first[:, 1]), np.linspace(0.81, 1, 20), atol=3e-4
    )
    assert [tick.text for tick in texts(root, "tick-x")] == ["1", "5", "10", "15", "20"]
    assert "A: recall@1 0.810, recall@5 0.850" in root[1].text


def test_the_axis_begins_below_the_band_and_the_band_spans_the_interval():
    root = parsed(recall_chart([rising("A", 0.81, 0.97, half=0.02)]))
    (band,) = (e for e in root.iter(f"{SVG}path") if "band" in e.get("class"))
    ends = points(band.get("d"))
    y = read_off(root, "y")
    assert float(texts(root, "tick-y")[0].text) == 0.7
    assert y(ends[0, 1]) == pytest.approx(0.83, abs=1e-3)
    assert y(ends[-1, 1]) == pytest.approx(0.79, abs=1e-3)
    assert "recall@1 0.810 (0.790 to 0.830)" in root[1].text


def test_a_legend_stands_below_where_names_are_long_or_lines_end_early():
    short = Series("B", N[:10], np.full(10, 0.9))
    for series in ([rising("A", 0.8, 0.9), short], [rising(NASTY, 0.8, 0.9)]):
        root = parsed(recall_chart(series))
        assert len(texts(root, "name")) == len(series)
        assert all(label.y > BOTTOM for label in texts(root, "name"))


def test_names_at_the_ends_are_as_near_to_them_as_their_distance_allows():
    places = apart([50, 200, 51, 52], 20, 0, 300)
    assert places == [31, 200, 51, 71]
    assert apart([10, 11], 20, 5, 300) == [5, 25]
    assert apart([299, 290], 20, 5, 300) == [300, 280]


def test_precision_steps_to_its_value_before_the_recall():
    recall, precision = np.array([0.25, 0.25, 0.5]), np.array([1.0, 0.5, 0.75])
    root = parsed(precision_recall_chart([Series("A", recall, precision)]))
    (line,) = lines(root)
    # The legend stands below, so the frame goes from 60 to 626; 288 pixels high.
    corners = [[60, 36], [201.5, 36], [201.5, 180], [201.5, 108], [343, 108]]
    assert [
        c for i, c in enumerate(line.tolist()) if i == 0 or c != line[i - 1].tolist()
    ] == corners
    # At recall 0.1 and 0.35.
    assert [m[1:3] for m in marks(root)[:2]] == [(60 + 56.6, 36.0), (60 + 0.35 * 566, 108.0)]
    assert "precision 1.000 at recall 0.25, precision 0.750 at recall 0.5" in root[1].text


def test_bars_are_the_shares_of_known_queries_and_the_radius_lies_between_two():
    errors = {
        "A": np.array([0.5, 1.0, 1.1, 25.0, 25.1, 3000.0, np.inf, np.inf, np.nan, np.nan]),
        "B": np.full(4, 2.0),
    }
    root = parsed(error_chart(errors, 25.0))
    assert [t.text for t in texts(root, "tick-x")] == (
        ["≤1", "2", "5", "10", "25", "50", "100", "250", "500", "1k", ">1k", "none"]
    )
    # The axis ends at 1, 288 pixels up.
    assert bars(root) == {
        "A: at most 1 m, 25.0%": 72.0,
        "A: 1 to 2 m, 12.5%": 36.0,
        "A: 10 to 25 m, 12.5%": 36.0,
        "A: 25 to 50 m, 12.5%": 36.0,
        "A: more than 1,000 m, 12.5%": 36.0,
        "A: no answer, 25.0%": 72.0,
        "B: 1 to 2 m, 100.0%": 288.0,
    }
    (line,) = (e for e in root.iter(f"{SVG}path") if e.get("class") == "limit")
    x = float(line.get("d")[1:].split()[0])
    ticks = {t.text: t.x for t in texts(root, "tick-x")}
    assert x == pytest.approx((ticks["25"] + ticks["50"]) / 2, abs=0.1)
    assert "up to 2 unknown left out" in [t.text for t in texts(root, "title")]
    assert "(of 8 queries)" in root[1].text


def test_an_odd_radius_is_a_limit_of_the_bars():
    root = parsed(error_chart({"A": np.array([7.0, 7.6])}, 7.5))
    assert [t.text for t in texts(root, "tick-x")] == ["≤1", "2", "5", "7.5", "10"]
    # The axis ends at 0.5.
    assert bars(root) == {"A: 5 to 7.5 m, 50.0%": 288.0, "A: 7.5 to 10 m, 50.0%": 288.0}


def test_intervals_read_off_by_the_axis_and_only_better_ones_are_filled():
    rows = [("A", 0.62, 0.55, 0.7, False), ("B", 0.9, 0.85, 0.95, True), ("C", np.nan, 0, 1, False)]
    root = parsed(interval_chart(rows))
    value = read_off(root, "x")
    found = marks(root)
    assert [(m[0], m[3]) for m in found] == [("s0", "hollow"), ("s1", "mark")]
    assert [value(m[1]) for m in found] == pytest.approx([0.62, 0.9], abs=1e-3)
    whiskers = [e.get("d") for e in root.iter(f"{SVG}path") if e.get("class") == "whisker"]
    ends = [[float(v) for v in re.findall(r"[MH]([\d.]+)", w)[:2]] for w in whiskers]
    assert value(np.array(ends)) == pytest.approx(np.array([[0.55, 0.7], [0.85, 0.95]]), abs=1e-3)
    assert [t.text for t in texts(root, "value")] == ["0.620", "0.900", "no data"]
    assert root[1].text.startswith("A: 0.620 (0.550 to 0.700). B: 0.900 (0.850 to 0.950), better.")


def test_a_model_has_one_style_under_all_conditions():
    groups = {
        "day": [("A", 0.5, 0.4, 0.6, 300), ("B", 0.9, 0.8, 1.0, 300)],
        "night": [("B", 0.7, 0.6, 0.8, 1200)],
        "": [("B", np.nan, np.nan, np.nan, 7)],
    }
    root = parsed(condition_chart(groups))
    value = read_off(root, "x")
    drawn = [m for m in marks(root) if m[2] < texts(root, "tick-x")[0].y]
    assert [(m[0], round(value(m[1]), 3)) for m in drawn] == [("s0", 0.5), ("s1", 0.9), ("s1", 0.7)]
    assert [t.text for t in texts(root, "queries")] == ["300 queries", "1,200 queries", "7 queries"]
    assert "unknown, 7 queries: B no data." in root[1].text


@pytest.mark.parametrize(
    "svg",
    [
        recall_chart([]),
        recall_chart([Series("A", np.array([1.0]), np.array([0.5]))]),
        recall_chart([Series("A", np.ones(2), np.full(2, 0.5))]),
        recall_chart([Series("A", N, np.full(20, np.nan))]),
        precision_recall_chart([]),
        precision_recall_chart([Series("A", np.array([0.5]), np.array([0.5]))]),
        precision_recall_chart([Series("A", np.full(5, np.nan), np.ones(5))]),
        error_chart({}, 25.0),
        error_chart({"A": np.array([np.nan])}, 25.0),
        error_chart({"A": np.array([1.0])}, np.nan),
        interval_chart([]),
        interval_chart([("A", np.nan, 0.0, 1.0, True)]),
        condition_chart({}),
        condition_chart({"day": []}),
    ],
)
def test_nothing_to_draw_is_an_empty_frame(svg):
    assert [t.text for t in texts(parsed(svg))] == ["no data"]


def test_what_cannot_be_drawn_is_said_and_the_rest_keeps_its_style():
    broken = rising("A", 0.8, 0.9)
    hole = Series("B", N, np.where(N == 7, np.nan, 0.9))
    root = parsed(recall_chart([Series("A", broken.x, broken.y * np.nan), hole]))
    assert [len(line) for line in lines(root)] == [19]
    assert {m[0] for m in marks(root)} == {"s1"}
    assert "1 without data" in [t.text for t in texts(root, "title")]
    assert "A: no data." in root[1].text
    nine = parsed(recall_chart([rising(str(i), 0.8, 0.9) for i in range(9)]))
    assert "1 more not drawn" in [t.text for t in texts(nine, "title")]
    assert len(lines(nine)) == 8


def test_percentages_and_arrays_of_other_lengths_are_refused():
    with pytest.raises(DataError, match=r"series A: 88.2 is no share"):
        recall_chart([Series("A", N, np.full(20, 88.2))])
    with pytest.raises(DataError, match=r"series A: low has shape \(3,\); expected \(20,\)"):
        Series("A", N, N / 20, np.zeros(3), np.ones(20))


def test_names_are_escaped_shortened_and_told_in_full():
    whole = NASTY.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    for svg in (
        recall_chart([rising(NASTY, 0.8, 0.9)]),
        error_chart({NASTY: np.ones(3)}, 25.0),
        interval_chart([(NASTY, 0.5, 0.4, 0.6, True)]),
        condition_chart({NASTY: [("A", 0.5, 0.4, 0.6, 3)]}),
    ):
        root = parsed(svg)
        (shown,) = (t.text for t in texts(root, "name") if t.text != "A")
        start, end = shown.split("…")
        assert whole.startswith(start)
        assert whole.endswith(end)
        assert whole in [e.text for e in root.iter(f"{SVG}title")]
        assert whole in root[1].text
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert shortened("abcdefghij", 10) == "abcdefghij"
