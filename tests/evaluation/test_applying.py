"""Preparing an evaluation: which images count, and fingerprints of the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.made_traverses import two_cities

from netvlad.evaluation.applying import apply, data_fingerprint
from netvlad.evaluation.protocol_record import Protocol, Suppression
from netvlad.evaluation.protocols import PROTOCOLS
from netvlad.types import Neighbours

OFFICIAL = PROTOCOLS["msls-val/official-740-per-city"]


def test_only_what_counts_is_needed():
    prepared = apply(OFFICIAL, two_cities())
    needed = prepared.needed()
    assert needed.queries.names == ("q0.jpg", "q1.jpg", "q2.jpg")
    assert needed.database.names == ("c0.jpg", "c1.jpg", "s0.jpg", "s1.jpg", "s2.jpg")
    rows = [[needed.database.names[i] for i in needed.positives.row(q)] for q in range(3)]
    assert rows == [["c0.jpg"], ["c1.jpg"], ["s2.jpg"]]
    assert [group.scope for group in prepared.groups] == ["cph", "sf"]
    assert prepared.answers_of(prepared.groups[1]).tolist() == [3, 4, 5]


def test_images_of_unknown_panorama_are_not_suppressed():
    dataset = two_cities()
    scenes = np.array(["y", "", "x", "", "x", ""])
    known = replace(dataset, database=replace(dataset.database, labels={"scene": scenes}))
    prepared = apply(Protocol(name="p", suppression=Suppression("scene")), known)
    assert len(set(prepared.panoramas)) == 5 and prepared.panoramas[2] == prepared.panoramas[4]


def test_a_query_set_without_any_correct_answer_is_noted():
    far = two_cities()
    far = replace(far, queries=replace(far.queries, positions=far.queries.positions + 1e5))
    (note,) = apply(Protocol(name="p"), far).notes
    assert "No query has a correct answer" in note


def changed(side, **fields):
    def change(dataset):
        return replace(dataset, **{side: replace(getattr(dataset, side), **fields)})

    return change


def moved(dataset):
    positions = dataset.database.positions.copy()
    positions[2, 1] += 1e-6
    return changed("database", positions=positions)(dataset)


@pytest.mark.parametrize(
    "change",
    [
        changed("queries", names=("qx.jpg", *(f"q{i}.jpg" for i in range(1, 7)))),
        moved,
        changed("database", times=None),
        changed("queries", labels={}),
        lambda d: replace(d, positives=Neighbours(np.arange(8), np.zeros(7, np.int64))),
    ],
)
def test_the_fingerprint_tells_data_apart(change):
    dataset = two_cities()
    assert data_fingerprint(change(dataset)) != data_fingerprint(dataset)


def test_the_fingerprint_does_not_depend_on_where_files_lie():
    dataset = two_cities()
    moved_away = changed("queries", root=Path("/elsewhere"))(dataset)
    shuffled = dict(reversed(dataset.queries.labels.items()))
    relabelled = changed("queries", labels=shuffled)(moved_away)
    assert data_fingerprint(relabelled) == data_fingerprint(dataset)
