import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.reports.made_comparisons import Page, comparison_of, dataset_of, large_comparison, photos

from netvlad.errors import DataError, StorageError
from netvlad.reports.evaluation_page import PICTURES, write_evaluation_page
from netvlad.reports.evaluation_verdicts import verdict
from netvlad.reports.pictures import Picture
from netvlad.types import Progress

GOOD = [True] * 15 + [False]
FAIR = [True] * 7 + [False] * 9
EVIL = '<b>&"'


@pytest.fixture
def folder(tmp_path):
    photos(tmp_path, 16)
    return tmp_path


def written(folder, *comparisons, **more):
    path = write_evaluation_page(
        folder / "out.html", comparisons, provenance={"command": "netvlad <evaluate>"}, **more
    )
    assert path == folder / "out.html"
    return Page(path)


def test_the_table_has_the_figures_of_the_measures(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"good": GOOD, "fair": FAIR})
    page = written(folder, comparison)
    head, *rows = page.rows()[1:4]
    assert head[:5] == ["Model", "R@1", "R@5", "R@10", "R@20"]
    for trial, row in zip(comparison.trials, rows, strict=True):
        measures = trial.measures
        for n, cell in zip((1, 5, 10, 20), row[1:5], strict=True):
            found = measures.recall[str(n)]
            value, ends = cell.removeprefix("★ ").split()
            assert value == f"{found.value:.3f}" and ends == f"{found.low:.3f}–{found.high:.3f}"
        cells = dict(zip(head, row, strict=True))
        assert cells["AP"] == f"{measures.average_precision:.3f}"
        assert cells["AUC"] == f"{measures.auc:.3f}"
        assert cells["R@P100"] == f"{measures.recall_at_full_precision:.3f}"
        assert cells["median"] == f"{measures.median_error_m:.1f}"
        assert cells["90 %"] == f"{measures.p90_error_m:.1f}"
        # 2 s for 200 images, 0.5 s for 16 queries, 16 numbers of 4 bytes.
        assert (cells["ms/image"], cells["ms/query"]) == ("10.0", "31.2")
        assert (cells["D"], cells["bytes"]) == ("16", "64")


def test_a_mark_stands_where_the_test_says_so_and_nowhere_else(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"fair": FAIR, "good": GOOD})
    page = written(folder, comparison)
    marks = {
        (row[0], name)
        for row in page.rows()[2:4]
        for name, cell in zip(page.rows()[1], row, strict=True)
        if "★" in cell
    }
    assert comparison.best == 1
    assert marks == {("good", "R@1")}
    assert "good is better than fair on made test: R@1 0.938 against 0.438" in page.text
    assert "8 queries to 0, p = 0.008" in page.text
    assert page.rows()[5] == ["fair", "good", "0", "8", "8", "0.008", "the second is ahead"]


def test_nothing_is_marked_where_chance_may_have_played(folder):
    close = [not hit for hit in FAIR[::-1]]
    comparison = comparison_of(dataset_of(folder, 16), {"a": FAIR, "b": close, "c": FAIR[::-1]})
    page = written(folder, comparison)
    assert "No model is beyond doubt the best on made test" in page.text
    assert page.html.count("★") == 1 and "No figure is marked" in page.text  # 1: what ★ means
    assert len(page.rows()[6:9]) == 3 and {row[-1] for row in page.rows()[6:9]} == {
        "could be chance"
    }


def test_sentences_say_no_more_than_the_test(folder):
    dataset = dataset_of(folder, 16)
    alone = verdict(comparison_of(dataset, {"a": FAIR}))
    assert re.fullmatch(r"a on made test: R@1 0\.438 \(95 % interval [\d.]+–[\d.]+\)", alone)
    alike = verdict(comparison_of(dataset, {"a": FAIR, "b": FAIR}))
    assert "Neither model is beyond doubt" in alike and "0 queries to 0, p\xa0=\xa01" in alike
    three = verdict(comparison_of(dataset, {"a": FAIR, "b": GOOD, "c": [False] * 16}))
    assert three == (
        "b is the best of 3 models on made test: R@1 0.938 against 0.438 (a) and 0.000 (c); "
        "largest p\xa0=\xa00.008"
    )


def test_the_page_stands_alone(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"a": GOOD, "b": FAIR})
    page = written(folder, comparison)
    assert not page.all("link") and all("src" not in script for script in page.all("script"))
    pictures = page.data("pictures")
    assert pictures and all(uri.startswith("data:image/jpeg;base64,") for uri in pictures)
    shown = {int(image["data-p"]) for image in page.all("img")}
    assert shown == set(range(len(pictures)))
    assert all(image["alt"] for image in page.all("img"))
    targets = [link["href"] for link in page.all("a")]
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert all(target.removeprefix("#") in ids for target in targets)
    assert len(ids) == len(set(ids))
    own = re.sub(r'<script type="text/plain".*?</script>', "", page.html, flags=re.DOTALL)
    assert "url(" not in own and "@import" not in own and "http" not in own.replace("http-", "")


def test_strange_names_are_escaped_and_written(folder):
    names = [f"{EVIL}{i}\udcff\u2028.png" for i in range(16)]
    labels = {"<i>": [EVIL, "ü"] * 8}
    dataset = dataset_of(folder, 16, names=names.__getitem__, labels=labels)
    comparison = comparison_of(dataset, {EVIL: GOOD, "\udc80\ud800": FAIR}, settings={EVIL: [EVIL]})
    page = written(folder, comparison)
    assert "<b>&" not in page.html and "<i>:" not in page.html
    assert (
        f"{EVIL} is better than" in page.text and f"{EVIL}0\N{REPLACEMENT CHARACTER}" in page.text
    )
    assert "Made <up> & small." in page.text and "netvlad <evaluate>" in page.text


def test_models_of_one_name_are_told_apart(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"a": GOOD, "b": FAIR})
    for trial in comparison.trials:
        object.__setattr__(trial.competitor, "name", "same")
    page = written(folder, comparison)
    assert [row[0] for row in page.rows()[2:4]] == ["same", "same (2)"]


def test_without_positions_labels_and_rivals(folder):
    comparison = comparison_of(dataset_of(folder, 16, positions=False), {"alone": FAIR})
    page = written(folder, comparison)
    assert "as listed" in page.text
    for absent in ("Error (m)", "How far off", "Where it was", "Model against", "R@1 by", "★"):
        assert absent not in page.text
    assert not page.plots("map")
    assert "alone on made test" in page.text and " m " not in " ".join(page.rows()[2])


def test_conditions_maps_and_counts(folder):
    labels = {"condition": ["day", "night"] * 8, "city": ["one"] * 16}
    dataset = dataset_of(folder, 16, labels=labels)
    comparison = comparison_of(dataset, {"a": GOOD, "b": FAIR}, unreadable=[3])
    page = written(folder, comparison)
    assert "R@1 by condition" in page.text and "R@1 by city" not in page.text
    assert "1 unreadable query" in page.text and "16 database images" in page.text
    # The unreadable query is wrong in both.
    assert [label for label, _ in page.plots("map")] == [
        "a. 14 right, 2 wrong",
        "b. 6 right, 10 wrong",
    ]
    assert "6 right, 10 wrong." in page.text


def test_overlays_and_images_that_could_not_be_used(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"a": GOOD, "b": FAIR})
    trial = comparison.trials[1]
    broken = replace(trial.evaluation, unreadable=tuple(f"{i}.png: is torn" for i in range(25)))
    comparison = replace(
        comparison, trials=(comparison.trials[0], replace(trial, evaluation=broken))
    )
    overlay = {"b": lambda query, answer: Picture("data:image/jpeg;base64,over", 4, 3)}
    page = written(folder, comparison, overlays=overlay)
    pictures = page.data("pictures")
    glowing = [i for i in page.all("img") if pictures[int(i["data-p"])].endswith("over")]
    assert len(glowing) == page.text.count("why the first") > 0
    assert {image["alt"] for image in glowing} == {
        "what in the query speaks for the first answer of b"
    }
    assert page.text.count("is torn") == 20 and "and 5 more" in page.text
    assert "why the first" not in written(folder, comparison).text


def test_the_foot_says_how_to_repeat_it(folder):
    comparison = comparison_of(dataset_of(folder, 16), {"a": GOOD}, settings={"clusters": 64})
    text = written(folder, comparison).text
    prepared = comparison.prepared
    for needed in (
        prepared.data_fingerprint,
        prepared.protocol.fingerprint,
        prepared.protocol.name,
        "fedcba9876543210",
        "runs/a",
        "clusters 64",
        "command netvlad <evaluate>",
    ):
        assert needed in text


def test_several_comparisons_share_the_allowance(folder):
    first = comparison_of(dataset_of(folder, 16), {"a": GOOD, "b": FAIR})
    second = comparison_of(dataset_of(folder, 16), {"a": FAIR, "b": FAIR})
    page = written(folder, *[first, second] * 4)
    assert 0 < len(page.data("pictures")) <= PICTURES
    links = [link["href"] for link in page.all("a")]
    assert links[:8] == [f"#comparison-{number}" for number in range(1, 9)]
    assert (
        "Beyond doubt the best at R@1: a in 4 of 8 evaluations; in the other 4 no model is."
        in page.text
    )


def test_a_page_without_room_for_photos_says_so(folder, monkeypatch):
    monkeypatch.setattr("netvlad.reports.evaluation_page.PICTURES", 3)
    page = written(folder, comparison_of(dataset_of(folder, 16), {"a": GOOD, "b": FAIR}))
    assert not page.all("img") and "a page shows at most 3" in page.text


def test_ten_thousand_queries_make_a_page_that_opens(tmp_path):
    random = np.random.default_rng(0)
    # Noise is what JPEG makes the most of.
    for number in range(40):
        pixels = random.integers(0, 256, (300, 400, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png", compress_level=1)
    comparison = large_comparison(tmp_path, 40, 10_000, 3)
    reports = []
    page = written(tmp_path, comparison, report=reports.append)
    assert len(page.data("pictures")) == 40
    rest = re.sub(r'<script type="text/plain".*?</script>', "", page.html, flags=re.DOTALL)
    assert len(rest) - sum(map(len, page.data("pictures"))) < 1_500_000
    assert "500 of these with their line" in page.text
    assert all(isinstance(one, Progress) and one.done <= one.total for one in reports)
    assert len(reports) > 8


def test_a_page_that_cannot_be_written(folder):
    with pytest.raises(DataError, match="at least one"):
        written(folder)
    (folder / "file").touch()
    comparison = comparison_of(dataset_of(folder, 16), {"a": GOOD})
    with pytest.raises(StorageError, match=r"out\.html"):
        write_evaluation_page(folder / "file" / "out.html", [comparison], provenance={})
