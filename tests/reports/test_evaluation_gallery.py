from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from tests.reports.made_comparisons import comparison_of, dataset_of, photos

from netvlad.reports.evaluation_gallery import (
    FIRST_CARDS,
    PATTERNS,
    TOP,
    Gallery,
    pattern_title,
    patterns_of,
)
from netvlad.reports.pictures import Picture
from netvlad.types import Progress

A = [True, True, True, False, False, False, True, False]
B = [True, False, False, True, False, False, True, False]


def made(comparison, room=250, **more):
    """The patterns, and the pictures that they show."""
    gallery = Gallery()
    names = [trial.competitor.name for trial in comparison.trials]
    return gallery.patterns(comparison, names, room=room, **more), gallery.pictures


@pytest.mark.parametrize(("models", "queries"), [(1, 30), (2, 200), (3, 500), (5, 3000)])
def test_patterns_are_those_of_a_count(models, queries):
    hits = np.random.default_rng(models).random((models, queries)) < 0.6
    found = patterns_of(hits)
    assert len(found) == min(PATTERNS, 2**models)
    assert len({p.right for p in found}) == len(found)
    counts = {
        right: [q for q in range(queries) if tuple(hits[:, q]) == right]
        for right in product([False, True], repeat=models)
    }
    for pattern in found:
        assert pattern.queries.tolist() == counts[pattern.right]
    # Last those where all are wrong, and those where all are right; before them the most frequent.
    assert [p.right for p in found[-2:]] == [(False,) * models, (True,) * models]
    differing = [len(p.queries) for p in found[:-2]]
    every = sorted((len(q) for r, q in counts.items() if len(set(r)) > 1), reverse=True)
    assert differing == every[: len(differing)]


def test_titles_name_the_models():
    assert pattern_title((True, False, True), "xyz") == "Right in x and z, wrong in y"
    assert pattern_title((False, False, False), "xyz") == "Wrong in all"
    assert pattern_title((True, True), "xy") == "Right in both"
    assert pattern_title((False,), "x") == "Wrong"


def test_cards_show_what_each_model_answered(tmp_path):
    photos(tmp_path, 8)
    labels = {"condition": ["day", "", "night", *["dusk"] * 5]}
    comparison = comparison_of(dataset_of(tmp_path, 8, labels=labels), {"a": A, "b": B})
    patterns, pictures = made(comparison)
    assert [(p.title, len(p.cards)) for p in patterns] == [
        ("Right in a, wrong in b", 2),
        ("Right in b, wrong in a", 1),
        ("Wrong in both", 3),
        ("Right in both", 2),
    ]
    card = patterns[0].cards[1]
    assert (card["name"], card["labels"], card["positives"]) == (
        "2.png",
        ["condition: night"],
        "1 correct image",
    )
    assert patterns[0].cards[0]["labels"] == []
    a, b = card["models"]
    first = a["answers"][0]
    assert (a["right"], a["verdict"], first["name"], first["distance"]) == (
        True,
        "right",
        "2.png",
        "0 m",
    )
    assert first["similarity"] == "1.000"
    assert (b["right"], b["verdict"]) == (False, "first correct image at rank 2")
    # The wrong descriptor is 0.9 of the next place and √(1 − 0.81) = 0.436 of its own.
    keys = ("name", "correct", "distance", "similarity")
    assert [tuple(x[key] for key in keys) for x in b["answers"][:2]] == [
        ("3.png", False, "100 m", "0.900"),
        ("2.png", True, "0 m", "0.436"),
    ]
    assert all(pictures[x["picture"]].uri.startswith("data:image/jpeg") for x in a["answers"])
    # The query and the answer of one name are one file.
    assert card["picture"] == first["picture"]


def test_an_unreadable_query_and_a_missing_file(tmp_path):
    photos(tmp_path, 7)
    (tmp_path / "5.png").write_bytes(b"no picture")
    dataset = dataset_of(tmp_path, 8)
    patterns, pictures = made(comparison_of(dataset, {"a": A}, unreadable=[5]))
    cards = {card["name"]: card for pattern in patterns for card in pattern.cards}
    assert patterns[0].title == "Wrong"
    assert pictures[cards["5.png"]["picture"]].reason == "is not an image that can be read"
    (answers,) = cards["5.png"]["models"]
    assert (answers["answers"], answers["verdict"]) == ([], "no answer")
    assert pictures[cards["7.png"]["picture"]].reason == "the file does not exist"


def test_queries_without_a_correct_image_are_counted_and_come_last(tmp_path):
    photos(tmp_path, 8)
    dataset = dataset_of(tmp_path, 8)
    positions = dataset.queries.positions.copy()
    positions[[4, 5]] += 5000
    dataset = replace(dataset, queries=replace(dataset.queries, positions=positions))
    wrong, _ = made(comparison_of(dataset, {"a": A}))[0]
    assert wrong.text == "4 queries of 8, 2 of them without any correct image."
    assert [card["name"] for card in wrong.cards] == ["3.png", "7.png", "4.png", "5.png"]


@pytest.mark.parametrize("room", [0, 10, 40, 83, 128, 250])
def test_the_room_is_kept_and_used(tmp_path, room):
    photos(tmp_path, 128)
    random = np.random.default_rng(3)
    hits = {name: random.random(64) < 0.6 for name in "abc"}
    dataset = dataset_of(tmp_path, 64)
    # Files of their own, so that every query adds a picture.
    names = tuple(f"{i}.png" for i in range(64, 128))
    dataset = replace(dataset, queries=replace(dataset.queries, names=names))
    comparison = comparison_of(dataset, hits)
    overlay = {"b": lambda query, answer: Picture("data:image/jpeg;base64,", 4, 3)}
    reports = []
    patterns, pictures = made(comparison, room, overlays=overlay, report=reports.append)
    assert len(pictures) <= room
    cards = [len(p.cards) for p in patterns]
    # All are shown, or the next would not have had room: it has at most so many pictures.
    assert sum(cards) == 64 or room - len(pictures) < 2 + 3 * TOP
    glowing = [c["models"][1]["overlay"] is not None for p in patterns for c in p.cards]
    assert sum(glowing) == sum(min(count, FIRST_CARDS) for count in cards)
    assert all("queries.csv" in p.text for p in patterns if len(p.cards) < len(p.queries))
    assert isinstance(reports[-1], Progress) and reports[-1].done == reports[-1].total == sum(cards)
    if room == 250:
        assert sum(cards) == 64


def test_overlays_belong_to_their_model_and_get_the_query(tmp_path):
    photos(tmp_path, 8)
    asked = []

    def overlay(path, answer):
        asked.append(path)
        return None if path.name == "0.png" else Picture("data:image/jpeg;base64,xx", 4, 3)

    comparison = comparison_of(dataset_of(tmp_path, 8), {"a": A, "b": B})
    patterns, pictures = made(comparison, overlays={"b": overlay})
    cards = {card["name"]: card for pattern in patterns for card in pattern.cards}
    assert sorted(asked) == sorted(tmp_path / name for name in cards)
    assert all(card["models"][0]["overlay"] is None for card in cards.values())
    assert cards["0.png"]["models"][1]["overlay"] is None
    assert pictures[cards["1.png"]["models"][1]["overlay"]].uri.endswith("xx")


def test_the_first_queries_of_a_pattern_are_spread(tmp_path):
    photos(tmp_path, 40)
    comparison = comparison_of(dataset_of(tmp_path, 40), {"a": [True] * 40})
    (pattern,), pictures = made(comparison)
    names = [card["name"] for card in pattern.cards]
    assert names[:FIRST_CARDS] == ["5.png", "15.png", "25.png", "35.png"]
    assert len(names) == len(set(names)) == len(pictures) == 40
