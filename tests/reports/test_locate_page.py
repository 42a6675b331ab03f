import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from tests.reports.made_comparisons import Page

from netvlad.errors import StorageError
from netvlad.index.results import Answer, Place, Position
from netvlad.reports.locate_page import write_locate_page

HERE = Position(52.20512, 0.12121, 8.2, ((40.0, 5.0), (5.0, 30.0)))
EVIL = "<script>alert('1')</script> Straße & \"x\".jpg"


@pytest.fixture
def photos(tmp_path):
    """Eight pictures of one colour each."""
    paths = []
    for number in range(8):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (80, 60), (30 * number, 0, 90)).save(paths[-1])
    return paths


def written(tmp_path, *answers, **more):
    path = write_locate_page(tmp_path / "out.html", answers, index="my.index", **more)
    assert path == tmp_path / "out.html"
    return Page(path)


def near(image, score=0.9, **known):
    return Place(image, score, 52.20513, 0.12122, **known)


@pytest.mark.parametrize(
    ("answer", "verdict", "counted"),
    [
        (
            Answer("q", (near("a"),), HERE, 0.943, "here"),
            "Here: 52.20512, 0.12121 ± 8 m · probability 0.94",
            "1 here",
        ),
        (
            Answer("q", (near("a"),), HERE, 0.08, "elsewhere"),
            "No place of this index (probability 0.08)",
            "1 no place of this index",
        ),
        (Answer("q", (Place("a", 0.9),)), "No positions in this index", "1 cannot be told"),
        (
            Answer("q", (Place("a", 0.9), near("b"))),
            "The first place has no position",
            "1 cannot be told",
        ),
        (
            Answer("q", (near("a"),), HERE),
            "Perhaps here: 52.20512, 0.12121 ± 8 m",
            "1 cannot be told",
        ),
        (
            Answer("q", (Place("a", 0.9, time=3.0),), None, 0.97, "here"),
            "Here · probability 0.97",
            "1 here",
        ),
        (Answer("q"), "No place of this index meets the conditions", "1 cannot be told"),
        (
            Answer("q", error="is an empty file (0 bytes)"),
            "No answer: is an empty file (0 bytes)",
            "1 failed",
        ),
    ],
)
def test_every_kind_of_answer_has_its_words(tmp_path, answer, verdict, counted):
    text = written(tmp_path, answer).text
    assert verdict in text
    assert counted in text
    assert (" Here: " in text) == verdict.startswith("Here: ")


def test_only_links_lead_out_of_the_page(tmp_path, photos):
    answers = [
        Answer(photos[0], (near(photos[1]), near(photos[2])), HERE, 0.9, "here"),
        Answer("missing.jpg", (near("gone.jpg"),), HERE, 0.1, "elsewhere"),
    ]
    picture = np.zeros((60, 160, 3), np.uint8)
    page = written(tmp_path, *answers, matches={(0, 1): picture})
    assert not {name for name, _ in page.elements} & {"link", "iframe", "object", "use"}
    for name, attributes in page.elements:
        for key, value in attributes.items():
            if key == "src":
                assert value.startswith("data:image/jpeg;base64,")
            elif key == "href":
                assert name == "a"
                assert value.startswith("https://www.openstreetmap.org/?mlat=52.2051")
            else:
                assert key not in ("srcset", "poster", "background", "action", "xlink:href")
                assert "url(" not in (value or "")
    source = re.sub(r'<script type="text/plain".*?</script>', "", page.html, flags=re.DOTALL)
    assert "url(" not in source
    assert "@import" not in source
    assert len(page.all("img")) == 4
    assert all(image["loading"] == "lazy" for image in page.all("img"))


def test_names_are_text_whatever_they_contain(tmp_path):
    undecodable = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    place = near(EVIL, tags=("<b>tag</b>",), time=-1e18)
    page = written(
        tmp_path,
        Answer(EVIL, (place,), HERE, 0.9, "here"),
        Answer(undecodable, (near(undecodable),), error="<i>broken</i>"),
    )
    assert not {name for name, _ in page.elements} & {"b", "i"}
    assert "<b>tag</b>" in page.text
    assert "<i>broken</i>" in page.text
    assert page.text.count("<script>alert('1')</ script> Straße & \"x\".jpg") == 2
    assert "caf\ufffd.jpg" in page.text


def test_a_card_says_what_is_known_of_a_place(tmp_path, photos):
    place = Place(
        photos[1],
        0.87654,
        -33.85678,
        151.21529,
        heading=44.6,
        time=1717156800.0,
        tags=("summer", "roof"),
        distance_m=12.3,
        inliers=57,
    )
    page = written(tmp_path, Answer(photos[0], (place,), HERE, 0.9, "here"))
    for words in (
        "score 0.877",
        "12 m from the query's own position",
        "57 inliers",
        "looking NE (45°)",
        "2024-05-31 12:00",
        "-33.85678, 151.21529",
        "summer roof",
        "1.png",
    ):
        assert words in page.text
    link = "https://www.openstreetmap.org/?mlat=-33.856780&mlon=151.215290#map=19/-33.856780/151.215290"
    assert link in [a["href"] for a in page.all("a")]
    bare = written(tmp_path, Answer(photos[0], (Place(photos[1], 0.5),)))
    assert not bare.all("a")
    assert "looking" not in bare.text
    assert "inliers" not in bare.text.lower()


def test_pictures_are_those_of_the_query_and_of_each_place_by_rank(tmp_path, photos):
    places = tuple(near(photo, 0.9 - i / 10) for i, photo in enumerate(photos[1:]))
    page = written(tmp_path, Answer(photos[0], places, HERE, 0.9, "here"))
    reds = []
    for image in page.all("img"):
        data = base64.b64decode(image["src"].split(",")[1])
        reds.append(np.asarray(Image.open(io.BytesIO(data)))[30, 40, 0])
    assert np.abs(np.array(reds, int) - 30 * np.arange(8)).max() < 8
    assert "2 more places" in page.text


def test_matches_stand_beside_the_query_and_the_place_that_they_belong_to(tmp_path, photos):
    answers = [Answer(photos[0], (near(photos[1]), near(photos[2])), HERE, 0.9, "here")] * 2
    wide = np.full((300, 3000, 3), 77, np.uint8)
    page = written(tmp_path, *answers, matches={(1, 0): wide, (1, 1): wide[:, :90]})
    sections = "".join(page.parts).split("Inlier matches")
    assert len(sections) == 2
    assert "Inlier matches with places 1, 2" in page.text
    (first,) = (i for i in page.all("img") if i["alt"] == "inlier matches with place 1")
    assert (int(first["width"]), int(first["height"])) == (1200, 120)


def test_an_unreadable_picture_leaves_its_reason(tmp_path):
    page = written(
        tmp_path,
        Answer("nowhere.jpg", (near("gone.jpg"),), HERE, 0.9, "here"),
        Answer("other.jpg", error="is truncated"),
    )
    assert page.text.count("no picture: the file does not exist") == 2
    assert "no picture: is truncated" in page.text


def test_many_queries_get_a_list_of_links_to_them(tmp_path):
    page = written(tmp_path, *(Answer(f"q{n}.jpg", error="is truncated") for n in range(9)))
    targets = {a["href"] for a in page.all("a")}
    assert targets == {f"#{section['id']}" for section in page.all("section")}
    assert len(targets) == 9


def test_progress_is_reported_and_no_answers_at_all_are_a_page_too(tmp_path, photos):
    events = []
    written(tmp_path, Answer(photos[0]), Answer(photos[1]), report=events.append)
    assert [(e.done, e.total) for e in events] == [(0, 2), (1, 2), (2, 2)]
    assert "0 queries" in written(tmp_path).text


def test_a_page_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_locate_page(tmp_path / "file" / "out.html", [], index="my.index")
