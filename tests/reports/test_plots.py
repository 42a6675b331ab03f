import json
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import pytest

from netvlad.evaluation.intervals import Interval
from netvlad.reports.plots import (
    COLOURS,
    DASHES,
    MARKS,
    MOST_DOTS,
    MOST_LINES,
    answer_map,
    error_plot,
    histogram,
    images_map,
    interval_plot,
    outcome_map,
    precision_recall_plot,
    recall_plot,
    short_names,
)

NAMES = [f"model {letter}" for letter in "ABCDEFGH"]
NASTY = "<b>&\x00 vgg16-netvlad-64.pitts30k+whitened-to-4096-values"


def traces(plot, name=None):
    """What is drawn; JSON must be able to hold it, and plotly must know every property."""
    figure = json.loads(json.dumps(plot.figure, allow_nan=False))
    go.Figure(figure)
    return [t for t in figure["data"] if name in (None, t.get("name"))]


def dots(plot, name):
    (trace,) = traces(plot, name)
    return set(zip(trace["x"], trace["y"], strict=True))


def seen(colour, machado):
    """CIELAB (D65) of an sRGB colour as someone sees it whom the matrix describes."""
    linear = linear_rgb(colour)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(machado @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def linear_rgb(colour):
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira and Fernandes 2009, severity 1.0.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deutan": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritan": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_for_every_kind_of_eye(vision):
    labs = [seen(colour, np.array(VISIONS[vision])) for colour in COLOURS]
    # 2.3 is a difference just seen.
    assert min(np.linalg.norm(a - b) for a, b in combinations(labs, 2)) > 16


@pytest.mark.parametrize("ground", ["#ffffff", "#1c2029"])
def test_colours_stand_out_from_paper_and_from_a_dark_page(ground):
    """The contrast of WCAG 2.1, 1.4.11: 3 or more for graphics."""
    luminance = [linear_rgb(c) @ [0.2126, 0.7152, 0.0722] for c in (ground, *COLOURS)]
    for one in luminance[1:]:
        dark, light = sorted((one, luminance[0]))
        assert (light + 0.05) / (dark + 0.05) >= 2.95


def test_series_differ_without_colour():
    assert len(set(DASHES)) == len(set(MARKS)) == len(COLOURS) == 8


def test_long_names_are_short_and_no_two_alike():
    names = ["short", f"a{'x' * 90}z", f"a{'x' * 91}z", "short"]
    short = short_names(names)
    assert short[0] == "short" and len(set(short)) == 4
    assert all(len(name) <= 31 for name in short)
    assert short[1].startswith("ax") and short[1].endswith("xz") and "…" in short[1]


def test_recall_and_its_bands_are_what_was_measured():
    value = np.linspace(0.5, 0.95, 20)
    plot = recall_plot(
        {n: (value - i / 99, value - 0.1, value + 0.05) for i, n in enumerate(NAMES)}
    )
    found = traces(plot, "model C")[0]
    assert found["x"] == list(range(1, 21))
    np.testing.assert_allclose(found["y"], value - 2 / 99, atol=1e-4)
    band = traces(plot)[0]
    ring = np.array([band["x"], band["y"]]).T
    np.testing.assert_allclose(ring[:20, 1], value + 0.0 - 0.1 + 0.15, atol=1e-4)
    np.testing.assert_allclose(ring[20:, 1][::-1], value - 0.1, atol=1e-4)
    styles = {(t["line"]["dash"], t["marker"]["symbol"]) for t in traces(plot) if "line" in t}
    assert len(styles) == 8
    assert "model A: 0.500 at N = 1" in plot.words


def test_a_name_is_text_whatever_it_contains():
    line = (np.linspace(0, 1, 5),) * 3
    names = [t["name"] for t in traces(recall_plot({NASTY: line})) if "name" in t]
    assert names == ["&lt;b&gt;&amp;\x00 vgg16-n…-4096-values"]


def test_precision_has_few_points_and_they_lie_on_the_curve():
    recall = np.linspace(0, 1, 10_000)
    precision = 1 - 0.3 * recall**2
    (line,) = traces(precision_recall_plot({"a": (recall, precision)}))
    assert len(line["x"]) <= 400 and (line["x"][0], line["x"][-1]) == (0, 1)
    np.testing.assert_allclose(line["y"], 1 - 0.3 * np.array(line["x"]) ** 2, atol=2e-4)


def test_errors_are_shares_of_all_queries_within_so_many_metres():
    errors = np.random.default_rng(0).lognormal(3, 2, 1500)
    errors[:200], errors[200:250] = np.inf, np.nan
    (line,) = traces(error_plot({"a": errors}, 25.0, ""))
    assert len(line["x"]) < 500 and line["x"] == sorted(line["x"])
    for metres in (2, 25, 400, 5000):
        # The last step at or before it.
        shown = [y for x, y in zip(line["x"], line["y"], strict=True) if x <= metres][-1]
        assert shown == pytest.approx(np.sum(errors <= metres) / 1500, abs=0.004)
    (mark,) = error_plot({"a": errors}, 25.0, "").figure["layout"]["shapes"]
    assert mark["x0"] == mark["x1"] == 25
    traces(error_plot({"none": np.full(3, np.inf)}, 25.0, ""))


def test_intervals_reach_from_end_to_end():
    rows = {"a": {"": Interval(0.8, 0.6, 0.9)}, "b": {"": Interval(0.5, 0.5, 0.7)}}
    plot = interval_plot("t", "", rows)
    first, second = traces(plot)
    assert (first["x"], first["y"]) == ([0.8], ["a"]) and second["y"] == ["b"]
    ends = first["error_x"]
    assert (ends["array"], ends["arrayminus"]) == ([0.1], [0.2])
    by_word = {n: {w: Interval(0.5, 0.4, 0.6) for w in ("day", "night")} for n in NAMES}
    del by_word["model B"]["day"]
    plot = interval_plot("t", "", by_word)
    assert [t["y"] for t in traces(plot)][:2] == [["day", "night"], ["night"]]
    assert plot.figure["layout"]["scattermode"] == "group"
    assert "model B night: 0.500, 0.400 to 0.600" in plot.words


def test_a_histogram_counts_every_value():
    values = np.random.default_rng(0).uniform(0, 40, 500)
    (bars,) = traces(histogram("t", "", values, "m", mark=25.0))
    starts = [float(text.split(" to ")[0]) for text in bars["text"]]
    assert bars["y"] == np.histogram(values, [*starts, np.inf])[0].tolist()
    (far,) = traces(histogram("t", "", np.append(values, 9999.0), "m"))
    assert sum(far["y"]) == 501 and far["text"][-1].endswith("to 9999")
    assert sum(traces(histogram("t", "", np.zeros(7), "m"))[0]["y"]) == 7


def test_no_bar_divides_whole_numbers():
    values = np.repeat([3.0, 4.0, 5.0], [2, 1, 9])
    (few,) = traces(histogram("t", "", values, "images", whole=True))
    assert few["y"] == [0, 0, 0, 2, 1, 9] and few["x"] == [0, 1, 2, 3, 4, 5]
    values = np.random.default_rng(2).integers(0, 101, 3000).astype(float)
    (many,) = traces(histogram("t", "", values, "images", whole=True))
    starts = [float(text.split(" to ")[0]) for text in many["text"]]
    assert many["y"] == np.histogram(values, [*starts, np.inf])[0].tolist()


def test_the_map_of_a_data_set_is_not_shrunk_by_one_wrong_position():
    random = np.random.default_rng(1)
    database, queries = random.uniform(0, 300, (500, 2)), random.uniform(0, 300, (100, 2))
    sound = images_map(database, queries)
    database[7] = [9e6, 0]
    queries[3] = np.nan
    wrong = images_map(database, queries)
    for plot in (sound, wrong):
        low, high = plot.figure["layout"]["xaxis"]["range"]
        assert 300 < high - low < 600
        assert plot.figure["layout"]["yaxis"]["scaleanchor"] == "x"
    assert len(dots(wrong, "queries")) == 99
    assert images_map(np.full((3, 2), np.nan), np.zeros((0, 2))) is None
    assert traces(images_map(np.zeros((3, 2)), np.zeros((1, 2))))


def test_dots_crosses_and_lines_lie_where_the_images_are():
    database = np.array([[0.0, 0], [600, 0], [600, 300], [np.nan, 0]])
    queries = np.array([[0.0, 300], [600, 0], [300, 150], [np.nan, 0], [10, 10]])
    answers, correct = np.array([2, 1, -1, 0, 3]), np.array([False, True, False, False, False])
    plot = outcome_map("<m>", database, queries, answers, correct, ["<q>", *"abcd"])
    assert dots(plot, "database") == {(0, 0), (600, 0), (600, 300)}
    assert dots(plot, "query answered rightly") == {(600, 0)}
    assert dots(plot, "query answered wrongly") == {(0, 300), (300, 150), (10, 10)}
    (wrong,) = traces(plot, "query answered wrongly")
    assert wrong["customdata"] == [0, 2, 4] and wrong["text"][0] == "&lt;q&gt;"
    # A query has a line if its answer has a position.
    (lines,) = traces(plot, "to where it was thought to be")
    assert (lines["x"], lines["y"]) == ([0, 600, None], [300, 300, None])
    assert plot.text == "1 right, 3 wrong; 1 without a position."
    assert outcome_map("m", np.full((2, 2), np.nan), queries, answers, correct, "abcde") is None


@pytest.mark.parametrize("streets", [True, False])
def test_a_hundred_thousand_images_fit(streets):
    random = np.random.default_rng(0)
    database, queries = random.uniform(0, 30_000, (100_000, 2)), random.uniform(0, 3e4, (10_000, 2))
    if streets:
        for side in (database, queries):
            along = random.integers(0, 2, len(side))
            rows = np.arange(len(side))
            side[rows, along] = (side[rows, along] / 500).round() * 500
    answers, correct = random.integers(0, 100_000, 10_000), random.random(10_000) < 0.7
    names = [f"{i:05}.jpg" for i in range(10_000)]
    plot = outcome_map("m", database, queries, answers, correct, names)
    assert len(json.dumps(plot.figure)) < 600_000
    assert MOST_DOTS / 5 < len(traces(plot, "database")[0]["x"]) <= MOST_DOTS
    assert len(traces(plot, "to where it was thought to be")[0]["x"]) == 3 * MOST_LINES
    assert "500 of these with their line" in plot.text


def test_a_heading_points_the_way_the_camera_looked():
    extent = (np.full(2, -50.0), np.full(2, 50.0))
    plot = answer_map([(10, 20, 90.0, "1", "a"), (0, 0, None, "2", "b")], None, extent, "")
    wedge = next(t for t in traces(plot) if t.get("fill") == "toself")
    rim = np.array([wedge["x"][1:-2], wedge["y"][1:-2]], float)
    np.testing.assert_allclose(rim.mean(axis=1), [10 + 8, 20], atol=0.5)
    assert (wedge["x"][0], wedge["y"][0]) == (10, 20)
    (places,) = traces(plot, "places by rank")
    assert places["text"] == ["1", "2"]
