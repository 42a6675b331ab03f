import xml.etree.ElementTree as ET

import numpy as np

from netvlad.reports.figures import AnswerMap, curve_svg


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
