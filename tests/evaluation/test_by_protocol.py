"""Evaluating under a protocol, against a loop over queries that reads like the rules."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.made_traverses import DATABASE, QUERIES, descriptors, two_cities

from netvlad.descriptors import Descriptors
from netvlad.errors import DataError, SettingsError
from netvlad.evaluation import evaluate
from netvlad.evaluation.applying import apply
from netvlad.evaluation.by_protocol import evaluate_prepared, one_percent_of
from netvlad.evaluation.protocol_record import LabelFilter, Protocol, Suppression
from netvlad.evaluation.protocols import PROTOCOLS
from netvlad.evaluation.sequences import SequenceSearch
from netvlad.types import ImageSet, PlaceDataset

ALL_RULES = Protocol(
    name="all rules",
    count="with-positive",
    query_filters=(LabelFilter("kind", ("good", "best")),),
    database_filters=(LabelFilter("kind", ("good",)),),
    index_per="city",
    suppression=Suppression("panorama", 4),
    exclude_same_time=True,
)


def made_up(count_database, count_queries, seed):
    random = np.random.default_rng(seed)

    def images(count):
        times = random.integers(0, 4, count).astype(np.float64)
        times[random.random(count) < 0.1] = np.nan
        return ImageSet(
            Path("/data"),
            tuple(f"{i}.jpg" for i in range(count)),
            random.uniform(0, 100, (count, 2)),
            times=times,
            labels={
                "city": random.choice(["a", "b", "c"], count),
                "kind": random.choice(["good", "bad", "good best"], count),
                "panorama": random.choice([f"p{i}" for i in range(count // 4)], count),
            },
        )

    dataset = PlaceDataset("made", "up", images(count_database), images(count_queries))
    values = [
        random.normal(size=(n, 6)).astype(np.float32) for n in (count_database, count_queries)
    ]
    return dataset, *values


def slowly(dataset, database, queries, k):
    """For each query that counts: its row, its first k answers, and whether each is right."""
    d, q = dataset.database, dataset.queries
    answered = []
    for i in range(len(q)):
        if not {"good", "best"} & set(q.labels["kind"][i].split()):
            continue
        asked = [
            j
            for j in range(len(d))
            if "good" in d.labels["kind"][j].split()
            and d.labels["city"][j] == q.labels["city"][i]
            and d.times[j] != q.times[i]
        ]
        right = {j for j in asked if np.hypot(*(d.positions[j] - q.positions[i])) <= 25}
        if not right:
            continue
        seen, answers = set(), []
        asked.sort(key=lambda j: np.sum((database[j] - queries[i]) ** 2))
        for j in asked[: 4 * k]:
            if d.labels["panorama"][j] not in seen:
                seen.add(d.labels["panorama"][j])
                answers.append(j)
        answered.append((i, answers[:k], right))
    return answered


@pytest.mark.parametrize("seed", range(3))
def test_all_rules_at_once_equal_a_loop(seed):
    dataset, database, queries = made_up(300, 60, seed)
    result = evaluate_prepared(apply(ALL_RULES, dataset), database, queries)
    slow = slowly(dataset, database, queries, 20)
    assert len(slow) > 10
    assert result.prepared.queries.tolist() == [i for i, _, _ in slow]
    for row, (_, answers, right) in enumerate(slow):
        found = result.matches.indices[row]
        assert found[found >= 0].tolist() == answers
        assert set(result.prepared.positives.row(row)) == right
        rank = next((r for r, j in enumerate(answers) if j in right), 20)
        assert result.first_correct[row] == rank
    for n in (1, 5):
        share = np.mean([bool(set(a[:n]) & right) for _, a, right in slow])
        assert result.recalls.at[n] == pytest.approx(share)


def test_plain_rules_give_what_evaluate_gives():
    dataset, database, queries = made_up(300, 60, 7)
    plain = evaluate((database, queries), dataset)
    result = evaluate_prepared(apply(PROTOCOLS["radius-25"], dataset), database, queries)
    assert result.recalls == plain.recalls
    np.testing.assert_array_equal(result.matches.indices, plain.matches.indices)


def test_descriptors_of_what_counts_are_enough():
    dataset, database, queries = made_up(300, 60, 5)
    prepared = apply(ALL_RULES, dataset)
    whole = evaluate_prepared(prepared, database, queries)
    part = evaluate_prepared(prepared, database[prepared.database], queries[prepared.queries])
    np.testing.assert_array_equal(whole.matches.indices, part.matches.indices)
    assert whole.recalls == part.recalls


def test_rows_that_do_not_count_may_be_anything():
    prepared = apply(PROTOCOLS["msls-val/official-740-per-city"], two_cities())
    database, queries = descriptors(DATABASE), descriptors(QUERIES)
    database[2], queries[3:] = np.nan, np.nan
    result = evaluate_prepared(prepared, database, queries)
    assert result.recalls.at[1] == 1
    assert (result.recalls.unreadable_queries, result.recalls.unreadable_database) == (0, 0)


def test_unreadable_images_are_missed_and_counted():
    readable = np.ones(7, np.bool_)
    readable[1] = False
    queries = Descriptors(descriptors(QUERIES), readable)
    database = descriptors(DATABASE)
    database[3] = np.inf
    result = evaluate_prepared(apply(Protocol(name="p"), two_cities()), database, queries)
    assert (result.matches.indices[1] == -1).all() and result.first_correct[1] == 20
    assert 3 not in result.matches.indices
    # q1 and q4 lose what was right; without s0, q0 finds c0.
    assert result.recalls.at[1] == 1 / 7
    assert (result.recalls.unreadable_queries, result.recalls.unreadable_database) == (1, 1)


def test_a_database_image_without_descriptor_is_never_returned():
    """The row of an unreadable image is zero, which is as near as any other."""
    readable = np.array([False, True, True, True, True, True])
    database = Descriptors(descriptors(DATABASE), readable)
    result = evaluate_prepared(
        apply(Protocol(name="p"), two_cities()), database, descriptors(QUERIES)
    )
    assert 0 not in result.matches.indices
    assert result.recalls.unreadable_database == 1


def test_so_many_cut_outs_are_looked_through():
    """60 images of 20 panorama triples: with a factor of 1 the list is cut before suppression."""
    images = ImageSet(Path("/d"), tuple(map(str, range(60))), np.zeros((60, 2)))
    dataset = PlaceDataset("d", "s", images, images.subset([0]))
    rows = np.arange(60, dtype=np.float32)[:, None]
    found = {
        factor: evaluate_prepared(
            apply(Protocol(name="p", suppression=Suppression("panorama", factor)), dataset),
            rows,
            rows[:1],
        ).matches.indices[0]
        for factor in (1, 3)
    }
    assert found[1].tolist() == list(range(20))  # consecutive images: each is its own panorama
    assert found[3].tolist() == list(range(0, 60, 3))


def test_one_percent_of_each_index():
    assert one_percent_of(np.array([1, 149, 151, 2760])).tolist() == [1, 1, 2, 28]
    images = ImageSet(Path("/d"), tuple(map(str, range(3000))), np.zeros((3000, 2)))
    dataset = PlaceDataset("d", "s", images, images.subset([0]))
    rows = np.arange(3000, dtype=np.float32)[:, None]
    result = evaluate_prepared(apply(Protocol(name="p"), dataset), rows, rows[:1], one_percent=True)
    assert result.matches.indices.shape == (1, 30) and result.one_percent.tolist() == [30]


def test_wrong_numbers_of_rows_are_refused():
    prepared = apply(PROTOCOLS["msls-val/official-740-per-city"], two_cities())
    with pytest.raises(DataError, match=r"query_descriptors has shape \(4, 1\).*7 images.*3 count"):
        evaluate_prepared(prepared, descriptors(DATABASE), descriptors(QUERIES)[:4])


def test_sequences_need_a_whole_traverse():
    dataset = two_cities()
    rows = descriptors(DATABASE), descriptors(QUERIES)
    for rules in ({"index_per": "city"}, {"count": "with-positive"}):
        protocol = replace(Protocol(name="p"), **rules)
        with pytest.raises(SettingsError, match="no traverse"):
            evaluate_prepared(apply(protocol, dataset), *rows, sequences=SequenceSearch(3))


def test_sequences_outvote_frames_that_look_wrong():
    """A route of 80 frames, every fourth of which looks like another place on the way back."""
    random = np.random.default_rng(1)
    database = random.normal(size=(80, 32))
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    queries = database.copy()
    queries[::4] = database[::-4]
    images = ImageSet(Path("/d"), tuple(map(str, range(80))))
    dataset = PlaceDataset("d", "s", images, images)
    single, together = (
        evaluate_prepared(apply(PROTOCOLS["frames-2"], dataset), database, queries, sequences=how)
        for how in (None, SequenceSearch(7))
    )
    assert single.recalls.at[1] == 61 / 80  # frame 40 looks like frame 39, which is near enough
    assert together.recalls.at[1] == 1
