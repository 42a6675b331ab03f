import xml.etree.ElementTree as ET

import numpy as np

from netvlad.reports.figures import AnswerMap, curve_svg, round_metres, scale_bar


def circles(svg, kind):
    root = ET.fromstring(svg)
    return [(float(c.get("cx")), float(c.get("cy"))) for c in root if c.get("class") == kind]


def test_the_map_has_north_up_east_right_and_one_scale():
    svg = AnswerMap(
        database=np.array([[0.0, 0.0], [100.0, 50.0]]),
        queries=np.array([[0.0, 50.0], [100.0, 0.0]]),
        answers=np.array([0, 1]),
        correct=np.array([True, False]),
    ).to_svg()
    south_west, north_east = circles(svg, "place")
    assert south_west[0] < north_east[0]
    assert south_west[1] > north_east[1]
    (right,), (wrong,) = circles(svg, "right"), circles(svg, "wrong")
    assert right == (south_west[0], north_east[1])
    assert wrong == (north_east[0], south_west[1])
    across, up = north_east[0] - south_west[0], south_west[1] - north_east[1]
    assert abs(across - 2 * up) < 0.2  # metres have one length in both directions
    lines = [e for e in ET.fromstring(svg) if e.get("class") == "miss"]
    assert len(lines) == 1
    assert (float(lines[0].get("x2")), float(lines[0].get("y2"))) == north_east


def test_the_map_survives_one_point_and_unknown_places():
    svg = AnswerMap(
        np.array([[5.0, 5.0], [5.0, 5.0]]),
        np.array([[5.0, 5.0]]),
        np.array([-1]),
        np.array([False]),
    ).to_svg()
    assert "nan" not in svg
    ET.fromstring(svg)


def test_the_curve_rises_when_the_values_do():
    svg = curve_svg({"R@1": [0.5, 0.7, 0.9]}, [1, 2, 3])
    heights = [y for _, y in circles(svg, "dot dot0")]
    assert heights == sorted(heights, reverse=True)
    assert "R@1" in svg
    ET.fromstring(curve_svg({"R@1": [1.0]}, [1]))


def test_the_scale_bar_is_as_long_as_it_says():
    lengths = (0.3, 1.0, 1.9, 7.0, 49.9, 50.0, 4999.0)
    assert [round_metres(m) for m in lengths] == [1, 1, 1, 5, 20, 50, 2000]
    bar, text = ET.fromstring(f"<svg>{scale_bar(2000, 0.05, 90)}</svg>")
    start, end = (float(part.split("V")[0].split()[0]) for part in bar.get("d")[1:].split("H"))
    assert end - start == 100
    assert text.text == "2 km"
