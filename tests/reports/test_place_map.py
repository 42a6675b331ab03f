import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from pyproj import Geod

from netvlad.index.results import Answer, Place, Position
from netvlad.reports.map_layout import HEIGHT, WIDTH, ellipse_of, layout
from netvlad.reports.place_map import distance_text, place_map

HERE = (52.2, 0.12)


def moved(metres, azimuth, start=HERE):
    """The point so many metres away, by the geodesic."""
    longitude, latitude, _ = Geod(ellps="WGS84").fwd(start[1], start[0], azimuth, metres)
    return latitude, longitude


def place(metres, azimuth, score=0.9, **known):
    latitude, longitude = moved(metres, azimuth)
    return Place("a.jpg", score, latitude, longitude, **known)


def drawn(answer):
    return ET.fromstring(place_map(answer))


def dots(svg):
    """Where the places are drawn, best first."""
    circles = [c for c in svg if c.get("class") == "place"]
    return [(float(c.get("cx")), float(c.get("cy"))) for c in reversed(circles)]


def pixels_per_metre(svg):
    """What the scale bar says."""
    bar = next(e for e in svg if e.get("class") == "scale")
    start, end = re.match(r"M([\d.]+) .*H([\d.]+)V", bar.get("d")).groups()
    length, unit = next(e.text for e in svg if e.text and re.fullmatch(r"\d+ k?m", e.text)).split()
    return (float(end) - float(start)) / float(length) / (1000 if unit == "km" else 1)


def fused(covariance=((25.0, 0.0), (0.0, 25.0)), at=HERE):
    return Position(*at, 8.0, covariance)


@pytest.mark.parametrize("far", [60, 130])
def test_places_lie_where_the_scale_bar_and_the_compass_say(far):
    places = (place(30, 90), place(far, 0, 0.8), place(45, 225, 0.7))
    svg = drawn(Answer("q", places, fused(), 0.9, True))
    cross = next(e for e in svg if e.get("class") == "fused").get("d")
    x0, y0 = (float(v) for v in re.match(r"M([\d.]+) ([\d.]+)", cross).groups())
    x0 += 17
    scale = pixels_per_metre(svg)
    expected = [(30, 0), (0, -far), (-45 * math.sqrt(0.5), 45 * math.sqrt(0.5))]
    for (x, y), (right, down) in zip(dots(svg), expected, strict=True):
        assert x == pytest.approx(x0 + right * scale, abs=0.3)
        assert y == pytest.approx(y0 + down * scale, abs=0.3)
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_far_place_becomes_an_arrow_and_does_not_shrink_the_map():
    near = (place(10, 0), place(20, 90, 0.8))
    alone = drawn(Answer("q", near, fused(), 0.9, True))
    svg = drawn(Answer("q", (*near, place(3000, 135, 0.7)), fused(), 0.9, True))
    assert dots(svg) == dots(alone)
    assert pixels_per_metre(svg) == pixels_per_metre(alone)
    (label,) = (e.text for e in svg if e.get("class") == "far")
    assert label == "3 · 3.0 km"
    (arrow,) = (e.get("transform") for e in svg if e.get("class") == "beyond")
    x, y, angle = (float(v) for v in re.findall(r"-?[\d.]+", arrow))
    assert angle == pytest.approx(45, abs=1)  # south-east: right and down
    assert WIDTH / 2 < x < WIDTH
    assert HEIGHT / 2 < y < HEIGHT


def test_the_map_grows_from_place_to_place_but_over_no_wide_gap():
    chain = [25, 70, 200, 480]
    shown = layout(Answer("q", tuple(place(m, 90) for m in chain), fused(), 0.9, True))
    assert [p.rank for p in shown.inside] == [1, 2, 3, 4]
    gap = layout(Answer("q", tuple(place(m, 90) for m in (20, 400)), fused(), 0.9, True))
    assert [p.rank for p in gap.beyond] == [2]


def test_the_ellipse_is_that_of_numpy_and_holds_nine_in_ten():
    covariance = np.array([[90.0, 60.0], [60.0, 70.0]])
    ellipse = ellipse_of(tuple(map(tuple, covariance)))
    values, vectors = np.linalg.eig(covariance)
    long, short = np.argmax(values), np.argmin(values)
    assert ellipse.major == pytest.approx(np.sqrt(4.605170 * values[long]))  # chi2.ppf(0.9, 2)
    assert ellipse.minor == pytest.approx(np.sqrt(4.605170 * values[short]))
    slope = vectors[1, long] / vectors[0, long]
    assert math.tan(math.radians(ellipse.angle)) == pytest.approx(slope)
    draws = np.random.default_rng(0).multivariate_normal((0, 0), covariance, 20_000)
    turn = math.radians(ellipse.angle)
    along = draws @ (math.cos(turn), math.sin(turn)) / ellipse.major
    across = draws @ (-math.sin(turn), math.cos(turn)) / ellipse.minor
    assert np.mean(along**2 + across**2 < 1) == pytest.approx(0.9, abs=0.01)
    assert ellipse_of(((np.nan, 0.0), (0.0, 1.0))) is None


def test_the_ellipse_is_drawn_at_that_size_and_leans_to_the_north_east():
    answer = Answer("q", (place(5, 0),), fused(((90.0, 60.0), (60.0, 70.0))), 0.9, True)
    svg = drawn(answer)
    (element,) = (e for e in svg if e.get("class") == "error")
    ellipse = ellipse_of(answer.position.covariance)
    assert float(element.get("rx")) == pytest.approx(
        ellipse.major * pixels_per_metre(svg), rel=0.01
    )
    assert float(element.get("ry")) == pytest.approx(
        ellipse.minor * pixels_per_metre(svg), rel=0.01
    )
    # Counter-clockwise on the page, as y grows downwards.
    assert -90 < float(re.search(r"rotate\((\S+)", element.get("transform"))[1]) % 180 - 180 < 0


def test_a_heading_points_the_way_the_camera_looked():
    svg = drawn(Answer("q", (place(0, 0, heading=90.0),), None, 0.9, True))
    (wedge,) = (e for e in svg if e.get("class") == "wedge")
    x, y, x1, y1 = (float(v) for v in re.findall(r"[\d.]+", wedge.get("d"))[:4])
    assert x1 > x + 25
    assert abs(y1 - y) < 15
    assert not [e for e in drawn(Answer("q", (place(0, 0),))) if e.get("class") == "wedge"]


def test_places_on_one_spot_share_a_label():
    places = tuple(place(0 if rank != 3 else 60, 90, 1 - rank / 10) for rank in range(1, 7))
    svg = drawn(Answer("q", places, None, 0.9, True))
    labels = {e.text for e in svg if e.get("class") == "digit"}
    assert labels == {"1–2, 4–6", "3"}


def test_what_has_no_position_is_not_drawn():
    assert place_map(Answer("q", (Place("a.jpg", 0.9),))) == ""
    assert place_map(Answer("q")) == ""
    svg = drawn(Answer("q", (Place("a.jpg", 0.9), place(5, 0), place(9, 90)), None))
    assert len(dots(svg)) == 2
    unknown = Answer("q", (place(5, 0),), fused(), 0.1, False)
    assert not [e for e in drawn(unknown) if e.get("class") in ("fused", "error")]


@pytest.mark.parametrize("azimuth", range(0, 360, 30))
def test_the_date_line_the_poles_and_the_other_side_of_the_earth_are_drawn(azimuth):
    for start in ((0.0, 179.9999), (89.9999, 0.0), (-45.0, -180.0)):
        near, far = moved(30, azimuth, start), moved(19_000_000, azimuth, start)
        places = (Place("a", 1.0, *start), Place("b", 0.9, *near), Place("c", 0.8, *far))
        text = place_map(
            Answer("q", places, Position(*start, 5.0, ((9.0, 0), (0, 9.0))), 1.0, True)
        )
        assert "nan" not in text
        svg = ET.fromstring(text)
        (x0, y0), (x1, y1) = dots(svg)
        assert math.hypot(x1 - x0, y1 - y0) == pytest.approx(30 * pixels_per_metre(svg), rel=0.02)
        assert [e.text for e in svg if e.get("class") == "far"] == ["3 · 19000 km"]


def test_distances_are_written_as_people_write_them():
    metres = (0.4, 8.4, 999.4, 999.6, 3049, 1_234_567)
    assert [distance_text(m) for m in metres] == [
        "0 m",
        "8 m",
        "999 m",
        "1.0 km",
        "3.0 km",
        "1235 km",
    ]
