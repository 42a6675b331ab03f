import json

import numpy as np
import pytest
from benchmarks.index_search import bench_structures, main

from benchmarks import index_search
from netvlad.errors import SettingsError
from netvlad.index import PlaceIndex
from netvlad.search import tuning
from netvlad.search.searcher import Searcher
from netvlad.search.tuning import choose_structure, preferred_kinds
from netvlad.types import Note


@pytest.fixture(scope="module")
def rows(stored):
    """Small enough to build in a second."""
    return stored[:6000]


@pytest.fixture
def built(monkeypatch, structures):
    """Give the structures that are there instead of building them again; list what was asked."""
    asked = []

    def build(kind, matrix, *, rows, seed, threads, report):
        asked.append((kind, rows))
        assert rows == structures[kind].rows
        return structures[kind]

    monkeypatch.setattr(tuning, "build_structure", build)
    monkeypatch.setattr(index_search, "build_structure", build)
    return asked


@pytest.fixture
def slow_exact(monkeypatch):
    """Pretend that exact search takes a minute per query."""
    measure = tuning.measure

    def slowly(searcher, questions, **settings):
        trial = measure(searcher, questions, **settings)
        seconds = 60_000.0 if trial.kind == "exact" else trial.mean_ms
        return tuning.dataclasses.replace(trial, mean_ms=seconds)

    monkeypatch.setattr(tuning, "measure", slowly)


@pytest.mark.parametrize("kind", ["hnsw", "ivf-pq"])
def test_the_chosen_structure_recalls_what_it_claims(
    kind, built, slow_exact, stored, views, brute_force, recall
):
    alive = np.random.default_rng(0).random(len(stored)) < 0.9
    choice = choose_structure(
        stored, 15_000, alive=alive, minimum=1000, kinds=[kind], sample_queries=100
    )
    assert choice.structure.kind == kind
    assert built == [(kind, 15_000)]
    assert [trial.kind for trial in choice.trials] == ["exact"] + [kind] * (len(choice.trials) - 1)
    assert all(trial.recall < 0.99 for trial in choice.trials[1:-1])
    last = choice.trials[-1]
    assert last.recall >= 0.99
    assert (last.breadth, last.rescored) == (choice.structure.breadth, choice.structure.rescored)
    assert kind in choice.reason
    # The same rows ask again, then views that nobody has seen: with a brute force of our own.
    asked = np.random.default_rng(1).choice(np.flatnonzero(alive[:15_000]), 100, replace=False)
    searcher = Searcher(stored[:15_000], alive[:15_000], choice.structure)
    for queries in (np.asarray(stored[asked], np.float32), views(100, 31)):
        true, _ = brute_force(queries, stored[:15_000], 20, alive[:15_000])
        assert recall(searcher.search(queries, 20).indices, true) >= 0.985


def test_recall_leaves_the_asking_row_out(built, stored, brute_force):
    (exact, *others) = bench_structures(
        stored, 15_000, ("exact", "hnsw"), at=5, sample_queries=40, seed=3
    )
    assert (exact.recall, exact.recall_at_1, exact.megabytes) == (1.0, 1.0, 0.0)
    asked = np.sort(np.random.default_rng(3).choice(15_000, 40, replace=False))
    queries = np.asarray(stored[asked], np.float32)
    true, _ = brute_force(queries, stored[:15_000], 6)
    hardest = others[0]
    assert hardest.kind == "hnsw"
    structure = tuning.build_structure(
        "hnsw", stored, rows=15_000, seed=3, threads=None, report=print
    ).with_effort(hardest.breadth, hardest.rescored)
    found = Searcher(stored[:15_000], None, structure).search(queries, 6).indices
    pairs = [
        ([a for a in f if a != row][:5], [b for b in t if b != row][:5])
        for f, t, row in zip(found, true, asked, strict=True)
    ]
    assert hardest.recall == pytest.approx(np.mean([len(set(f) & set(t)) / 5 for f, t in pairs]))
    assert hardest.recall_at_1 == pytest.approx(np.mean([t[0] in f[:1] for f, t in pairs]))


def test_a_target_out_of_reach_leaves_exact_search(built, slow_exact, monkeypatch, stored):
    def forgetful(self, queries, count, allowed=None):
        # Finds the same rows for everybody.
        return np.tile(np.arange(count), (len(queries), 1))

    monkeypatch.setattr(tuning.Structure, "candidates", forgetful)
    choice = choose_structure(stored, 15_000, minimum=1000, sample_queries=5)
    assert choice.structure is None
    assert {trial.kind for trial in choice.trials} == {"exact", "hnsw", "ivf-pq"}
    assert max(trial.recall for trial in choice.trials[1:]) < 0.5
    assert built == [("hnsw", 15_000), ("ivf-pq", 15_000)]


def test_the_second_kind_is_taken_where_the_first_fails(built, slow_exact, monkeypatch, stored):
    candidates = tuning.Structure.candidates

    def forgetful(self, queries, count, allowed=None):
        if self.kind == "hnsw":
            return np.tile(np.arange(count), (len(queries), 1))
        return candidates(self, queries, count, allowed)

    monkeypatch.setattr(tuning.Structure, "candidates", forgetful)
    choice = choose_structure(stored, 15_000, minimum=1000, sample_queries=30)
    assert choice.structure.kind == "ivf-pq"


def test_what_is_not_faster_than_exact_search_is_not_taken(built, monkeypatch, stored):
    measure = tuning.measure

    def slowly(searcher, questions, **settings):
        trial = measure(searcher, questions, **settings)
        seconds = 1.0 if trial.kind == "exact" else 1.5
        return tuning.dataclasses.replace(trial, mean_ms=seconds)

    monkeypatch.setattr(tuning, "measure", slowly)
    choice = choose_structure(stored, 15_000, minimum=1000, sample_queries=10)
    assert choice.structure is None
    # One look at each is enough: more effort is not faster.
    assert len(choice.trials) == 3


def test_few_live_rows_are_searched_exactly(built, rows):
    notes = []
    alive = np.arange(6000) < 2999
    choice = choose_structure(rows, alive=alive, minimum=3000, report=notes.append)
    assert choice.structure is None
    assert choice.trials == ()
    assert built == []
    assert notes == [Note(choice.reason)]
    assert "2,999 places" in choice.reason


def test_the_bench_has_a_row_per_kind_and_effort(rows):
    notes = []
    trials = bench_structures(rows, 1500, sample_queries=20, threads=1, report=notes.append)
    kinds = [trial.kind for trial in trials]
    assert kinds == sorted(kinds, key=("exact", "hnsw", "ivf-pq").index)
    for kind in ("hnsw", "ivf-pq"):
        own = [trial for trial in trials if trial.kind == kind]
        assert len({trial.breadth for trial in own}) == len(own) >= 4
        assert own[-1].recall >= max(0.95, own[0].recall)
        assert len({(trial.build_s, trial.megabytes) for trial in own}) == 1
        assert own[0].build_s > 0
    for trial in trials:
        assert 0 < trial.p50_ms <= trial.p99_ms
        assert trial.to_json()["kind"] == trial.kind
    # 64 code bytes and two times 24 links of 4 bytes per row.
    assert 1500 * (64 + 192) / 1e6 < trials[1].megabytes < 1500 * (64 + 192) * 1.5 / 1e6
    few = bench_structures(rows, 50, sample_queries=5, report=notes.append)
    assert [trial.kind for trial in few] == ["exact"]
    assert sum(isinstance(note, Note) for note in notes) == 2


def test_copies_may_stand_for_each_other(views):
    copies = np.repeat(views(30, 40), 40, axis=0)
    trials = bench_structures(copies, None, ("hnsw",), sample_queries=30, threads=1)
    # Any 20 of the 39 other copies are as good.
    assert trials[-1].recall == 1.0


def test_settings_out_of_range_are_refused(rows):
    with pytest.raises(SettingsError, match="choose one of hnsw, ivf-pq"):
        choose_structure(rows, kinds=["lsh"])
    with pytest.raises(SettingsError, match="at most 1"):
        choose_structure(rows, target_recall=1.5)
    with pytest.raises(SettingsError, match="at most that many"):
        bench_structures(rows, 6001)
    with pytest.raises(SettingsError, match="from 1 on"):
        bench_structures(rows, at=0)
    with pytest.raises(SettingsError, match="no place"):
        bench_structures(rows, alive=np.zeros(6000, bool))


def test_large_matrices_try_inverted_lists_first():
    assert preferred_kinds(60_000) == ("hnsw", "ivf-pq")
    assert preferred_kinds(1_000_000) == ("ivf-pq", "hnsw")


def test_the_bench_of_an_index_is_printed_and_drawn(quick_model, photos, tmp_path, capsys):
    index, plot = tmp_path / "i", tmp_path / "bench.svg"
    PlaceIndex.build(photos / "queries", quick_model, output=index)
    assert main([str(index), "--kind", "exact", "--plot", str(plot)]) == 0
    (trial,) = json.loads(capsys.readouterr().out)
    assert (trial["kind"], trial["recall"]) == ("exact", 1.0)
    assert "<svg" in plot.read_text()
    assert main([str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
