import numpy as np
import pytest

from netvlad.geography import radius_neighbours
from netvlad.training import mining
from netvlad.training.mining import MiningTask, mine


def scene(num_queries=40, num_database=300, seed=0):
    random = np.random.default_rng(seed)
    database = random.uniform(0, 300, (num_database, 2))
    queries = random.uniform(0, 300, (num_queries, 2))

    def describe(where):
        raw = np.concatenate([np.sin(where / 40), np.cos(where / 25)], axis=1)
        raw = raw + random.normal(0, 0.2, raw.shape)
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)

    return queries, database, describe(queries), describe(database)


def task(queries, database, **settings):
    return MiningTask(
        radius_neighbours(queries, database, 10),
        radius_neighbours(queries, database, 25),
        **{"pool_size": 100, **settings},
    )


def slow_mine(
    queries, database, q, d, order, kept, random, *, pool, count=10, margin=0.1, num_positives=1
):
    """The obvious way, a query at a time, with distances measured anew."""
    found = {}
    for i in order:
        away = np.linalg.norm(database - queries[i], axis=1)
        positives = np.flatnonzero(away <= 10)
        if len(positives) == 0:
            continue
        distance = np.linalg.norm(d.astype(np.float64) - q[i], axis=1)
        positive = positives[np.argmin(distance[positives])]
        negatives = set(np.flatnonzero(away > 25).tolist())
        if pool:
            size = min(len(d), pool + len(d) - len(negatives))
            drawn = [j for j in random.choice(len(d), size=size, replace=False) if j in negatives]
            candidates = set(drawn[:pool]) | (set(kept.get(i, ())) & negatives)
        else:
            candidates = negatives
        hard = [j for j in candidates if distance[j] < distance[positive] + margin**0.5]
        hard.sort(key=lambda j: (distance[j], j))
        if hard:
            nearest = sorted(positives, key=lambda j: (distance[j], j))
            found[i] = (nearest[:num_positives], hard[:count])
    return found


@pytest.mark.parametrize("pool", [0, 20, 100, 5000])
@pytest.mark.parametrize(("at_once", "positives"), [(1, 1), (16_000_000, 1), (16_000_000, 3)])
def test_equals_the_slow_way(pool, at_once, positives, monkeypatch):
    monkeypatch.setattr(mining, "DISTANCES_AT_ONCE", at_once)
    monkeypatch.setattr(mining, "VALUES_AT_ONCE", 4 * at_once)  # a database row at a time, or all
    queries, database, q, d = scene()
    order = np.random.default_rng(5).permutation(len(queries))
    kept = {0: np.array([1, 2, 3]), 7: np.array([200, 250])}
    mined = mine(
        task(queries, database, pool_size=pool, num_positives=positives),
        order,
        q,
        d,
        kept,
        np.random.default_rng(9),
    )
    slow = slow_mine(
        queries,
        database,
        q,
        d,
        order,
        kept,
        np.random.default_rng(9),
        pool=pool,
        num_positives=positives,
    )
    assert [t.query for t in mined.tuples] == list(slow)
    for t in mined.tuples:
        assert (t.positives.tolist(), t.negatives.tolist()) == slow[t.query]
    assert len(mined.tuples) > 10
    assert mined.without_positive + mined.without_violator + len(mined.tuples) == len(order)


def test_descriptors_in_half_precision_are_compared_in_full():
    queries, database, q, d = scene()
    half_q, half_d = q.astype(np.float16), d.astype(np.float16)
    order = np.arange(len(queries))
    settings = {"pool_size": 50}
    half = mine(task(queries, database, **settings), order, half_q, half_d, {},
                np.random.default_rng(0))  # fmt: skip
    full = mine(task(queries, database, **settings), order, half_q.astype(np.float32),
                half_d.astype(np.float32), {}, np.random.default_rng(0))  # fmt: skip
    assert [(t.query, t.negatives.tolist()) for t in half.tuples] == [
        (t.query, t.negatives.tolist()) for t in full.tuples
    ]


def test_hard_negatives_are_kept():
    queries, database, q, d = scene()
    the_task = task(queries, database, pool_size=15)
    order = np.arange(len(queries))
    first = mine(the_task, order, q, d, {}, np.random.default_rng(0))
    assert first.kept
    again = mine(the_task, order, q, d, first.kept, np.random.default_rng(1))
    for t in again.tuples:
        before = first.kept.get(t.query)
        if before is not None:
            # What is at least as hard as the hardest kept one can only have pushed out easier ones.
            distance = np.linalg.norm(d - q[t.query], axis=1)
            assert distance[t.negatives[0]] <= distance[before[0]]


def test_no_violator_and_no_positive_are_counted_not_fatal():
    queries, database, q, d = scene()
    far = np.array([[1e6, 1e6]])
    lonely = mine(task(far, database), np.array([0]), q[:1], d, {}, np.random.default_rng(0))
    assert (lonely.tuples, lonely.without_positive) == ((), 1)
    # All at one point of space, the positives on the query: nothing violates a zero margin.
    same = np.tile(q[:1], (len(d), 1))
    none = mine(
        task(queries, database, margin=0.0),
        np.arange(len(queries)),
        np.tile(q[:1], (len(q), 1)),
        same,
        {},
        np.random.default_rng(0),
    )
    assert none.tuples == ()
    assert none.without_violator > 0


def test_unreadable_images_are_neither_asked_nor_chosen():
    queries, database, q, d = scene()
    readable = np.random.default_rng(3).random(len(d)) > 0.5
    asked = np.arange(len(queries)) != 4
    mined = mine(
        task(queries, database),
        np.arange(len(queries)),
        q,
        d,
        {},
        np.random.default_rng(0),
        query_readable=asked,
        database_readable=readable,
    )
    assert mined.tuples
    for t in mined.tuples:
        assert t.query != 4
        assert readable[t.positives].all() and readable[t.negatives].all()
