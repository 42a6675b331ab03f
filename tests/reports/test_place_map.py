import math
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from pyproj import Geod

from netvlad.index.results import Answer, Place, Position
from netvlad.reports.evaluation_words import distance
from netvlad.reports.locate_page import ellipse_of, place_map

HERE = (52.2, 0.12)


def moved(metres, azimuth, start=HERE):
    """The point so many metres away, by the geodesic."""
    longitude, latitude, _ = Geod(ellps="WGS84").fwd(start[1], start[0], azimuth, metres)
    return latitude, longitude


def place(metres, azimuth, score=0.9, **known):
    latitude, longitude = moved(metres, azimuth)
    return Place("a.jpg", score, latitude, longitude, **known)


def named(plot, name):
    go.Figure(plot.figure)
    return next((t for t in plot.figure["data"] if t.get("name") == name), None)


def dots(plot):
    """Metres east and north of the centre, best first."""
    trace = named(plot, "places by rank")
    order = [re.match(r"(\d+)\.", text)[1] for text in trace["hovertext"]]
    assert order == sorted(order, key=int, reverse=True)
    return list(zip(trace["x"], trace["y"], strict=True))[::-1]


def shown(plot):
    """The half width of what is seen at first."""
    return [axis["range"] for axis in (plot.figure["layout"][k] for k in ("xaxis", "yaxis"))]


def fused(covariance=((25.0, 0.0), (0.0, 25.0)), at=HERE):
    return Position(*at, 8.0, covariance)


@pytest.mark.parametrize("far", [60, 130])
def test_places_lie_so_many_metres_from_the_position(far):
    places = (place(30, 90), place(far, 0, 0.8), place(45, 225, 0.7))
    plot = place_map(Answer("q", places, fused(), 0.9, "here"))
    expected = [(30, 0), (0, far), (-45 * math.sqrt(0.5), -45 * math.sqrt(0.5))]
    np.testing.assert_allclose(dots(plot), expected, atol=0.06)
    cross = named(plot, "estimated position")
    assert (cross["x"], cross["y"]) == ([0], [0])
    (left, right), (bottom, top) = shown(plot)
    assert left < -32 and right > 30 and bottom < -32 and top > far


def test_a_far_place_does_not_shrink_the_map():
    near = (place(10, 0), place(20, 90, 0.8))
    alone = place_map(Answer("q", near, fused(), 0.9, "here"))
    plot = place_map(Answer("q", (*near, place(3000, 135, 0.7)), fused(), 0.9, "here"))
    assert shown(plot) == shown(alone)
    assert len(dots(plot)) == 3 and "1 of them outside" in plot.words
    assert "3.0 km from the middle" in named(plot, "places by rank")["hovertext"][0]


def test_the_map_grows_from_place_to_place_but_over_no_wide_gap():
    chain = place_map(Answer("q", tuple(place(m, 90) for m in (25, 70, 200, 480)), fused()))
    assert shown(chain)[0][1] > 480
    gap = place_map(Answer("q", tuple(place(m, 90) for m in (20, 400)), fused()))
    assert shown(gap)[0][1] < 100


def test_the_ellipse_holds_nine_in_ten():
    covariance = np.array([[90.0, 60.0], [60.0, 70.0]])
    rim = ellipse_of(tuple(map(tuple, covariance)))
    # chi2.ppf(0.9, 2) is the squared Mahalanobis distance of each point of the rim.
    squared = np.einsum("ni,ij,nj->n", rim, np.linalg.inv(covariance), rim)
    np.testing.assert_allclose(squared, 4.605170, rtol=1e-6)
    draws = np.random.default_rng(0).multivariate_normal((0, 0), covariance, 20_000)
    inside = np.einsum("ni,ij,nj->n", draws, np.linalg.inv(covariance), draws) < squared[0]
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    assert ellipse_of(((np.nan, 0.0), (0.0, 1.0))) is None
    drawn = named(place_map(Answer("q", (), fused(tuple(map(tuple, covariance))))), "90 % ellipse")
    np.testing.assert_allclose(np.array([drawn["x"], drawn["y"]]).T, rim, atol=0.06)


def test_places_on_one_spot_share_a_mark():
    places = tuple(place(0 if rank != 3 else 60, 90, 1 - rank / 10) for rank in range(1, 7))
    marks = named(place_map(Answer("q", places, None, 0.9, "here")), "places by rank")["text"]
    assert sorted(filter(None, marks)) == ["1–2, 4–6", "3"]


def test_what_has_no_position_is_not_drawn():
    assert place_map(Answer("q", (Place("a.jpg", 0.9),))) is None
    assert place_map(Answer("q")) is None
    plot = place_map(Answer("q", (Place("a.jpg", 0.9), place(5, 0), place(9, 90)), None))
    assert len(dots(plot)) == 2
    unknown = place_map(Answer("q", (place(5, 0),), fused(), 0.1, "elsewhere"))
    assert named(unknown, "estimated position") is None and named(unknown, "90 % ellipse") is None


@pytest.mark.parametrize("azimuth", range(0, 360, 30))
def test_the_date_line_the_poles_and_the_other_side_of_the_earth_are_drawn(azimuth):
    for start in ((0.0, 179.9999), (89.9999, 0.0), (-45.0, -180.0)):
        near, far = moved(30, azimuth, start), moved(19_000_000, azimuth, start)
        places = (Place("a", 1.0, *start), Place("b", 0.9, *near), Place("c", 0.8, *far))
        position = Position(*start, 5.0, ((9.0, 0), (0, 9.0)))
        found = np.linalg.norm(dots(place_map(Answer("q", places, position, 1.0, "here"))), axis=1)
        np.testing.assert_allclose(found, [0, 30, 19_000_000], rtol=0.01, atol=0.1)


def test_a_name_is_text_whatever_it_contains():
    plot = place_map(Answer("q", (Place("<b>.jpg", 0.9, *HERE),)))
    assert "&lt;b&gt;.jpg" in named(plot, "places by rank")["hovertext"][0]


def test_distances_are_written_as_people_write_them():
    metres = (0.4, 8.4, 999.4, 999.6, 3049, 1_234_567)
    assert [distance(m) for m in metres] == ["0 m", "8 m", "999 m", "1.0 km", "3.0 km", "1235 km"]
