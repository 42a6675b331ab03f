import re
from importlib.resources import files

import numpy as np
import pytest

from netvlad.reports.evaluation_map import MOST_LINES, MappedModel, outcome_maps


def path(svg: str, kind: str) -> str:
    found = re.search(rf'<path (?:id="[^"]*" )?d="([^"]*)" class="{kind}"', svg)
    assert found is not None
    return found.group(1)


def dots(data: str) -> set[tuple[int, int]]:
    """All points of a path on a raster of one pixel."""
    pieces = re.findall(r"M(\d+) (\d+)h(\d+)", data)
    return {(int(x) + i, int(y)) for x, y, n in pieces for i in range(int(n) + 1)}


def test_dots_crosses_and_lines_lie_where_the_images_are() -> None:
    database = np.array([[0.0, 0], [604, 0], [604, 302], [302, 0], [303, 0]])
    queries = np.array([[0.0, 302], [604, 0], [302, 151]])
    answers = np.array([2, 1, -1])
    model = MappedModel("<m>", answers, np.array([False, True, False]))
    (shown,) = outcome_maps(database, queries, [model], "key")
    # 604 m on the 604 pixels between margins of 18: a metre is a pixel, north is up.
    assert dots(path(shown.svg, "database")) == {
        (18, 320),
        (622, 320),
        (622, 18),
        (320, 320),
        (321, 320),
    }
    assert dots(path(shown.svg, "right")) == {(622, 320)}
    assert path(shown.svg, "cross") == "M14.0 14.0l8 8m0 -8l-8 8M316.0 165.0l8 8m0 -8l-8 8"
    # A query without an answer has no line.
    assert path(shown.svg, "miss") == "M18.0 18.0L622.0 18.0"
    assert (shown.right, shown.wrong, shown.lines, shown.missing) == (1, 2, 2, 0)
    assert "&lt;m&gt;: 1 query right and 2 wrong" in shown.svg


def test_the_copies_of_the_database_are_styled() -> None:
    """What ``use`` refers to has no ancestors there, so its style must not ask for any."""
    style = files("netvlad.reports").joinpath("templates/evaluation.css").read_text()
    rules = re.findall(r"[^{}]*\.database \{[^}]*\}", re.sub(r"/\*.*?\*/", "", style))
    assert [" ".join(rule.split(" {")[0].split()) for rule in rules] == ["path.database"]
    assert all(word in rules[0] for word in ("fill: none", "stroke:", "stroke-linecap: round"))


def test_unknown_positions_are_counted_or_make_no_map() -> None:
    known = np.array([[0.0, 0], [100, 100]])
    model = MappedModel("m", np.zeros(2, np.int64), np.array([True, False]))
    (shown,) = outcome_maps(known, np.array([[np.nan, 0], [50, 50]]), [model], "k")
    assert (shown.right, shown.wrong, shown.missing) == (0, 1, 1)
    assert outcome_maps(None, known, [model], "k") == []
    assert outcome_maps(np.full((2, 2), np.nan), known, [model], "k") == []


def test_narrow_ground_makes_narrow_maps() -> None:
    street = np.stack([np.zeros(50), np.arange(50.0)], axis=1)
    model = MappedModel("m", np.arange(50), np.ones(50, np.bool_))
    assert outcome_maps(street, street, [model], "k")[0].narrow
    assert not outcome_maps(street[:, ::-1], street[:, ::-1], [model], "k")[0].narrow


@pytest.mark.parametrize("streets", [True, False])
def test_a_hundred_thousand_images_fit(streets) -> None:
    random = np.random.default_rng(0)
    database, queries = random.uniform(0, 30_000, (100_000, 2)), random.uniform(0, 3e4, (10_000, 2))
    if streets:
        for side in (database, queries):
            along = random.integers(0, 2, len(side))
            rows = np.arange(len(side))
            side[rows, along] = (side[rows, along] / 500).round() * 500
    models = [
        MappedModel(f"m{i}", random.integers(0, 100_000, 10_000), random.random(10_000) < 0.7)
        for i in range(3)
    ]
    maps = outcome_maps(database, queries, models, "k")
    assert sum(len(shown.svg) for shown in maps) < 600_000
    assert all(shown.lines == MOST_LINES < shown.wrong for shown in maps)
    # The database is drawn once, and referred to from the other maps.
    assert ['id="k"' in shown.svg for shown in maps] == [True, False, False]
    assert ['href="#k"' in shown.svg for shown in maps] == [False, True, True]
