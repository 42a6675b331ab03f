"""The benchmark suite's command, on tiny made-up data, in this process."""

import json

import pytest
import torch
from benchmarks.children import measure_in_child
from benchmarks.made_up import Counts, write_data, write_weights
from benchmarks.original.epoch import OriginalEpoch
from benchmarks.rows import MEASUREMENTS, ROWS, build_row, combined, epoch_parts
from benchmarks.setting import from_environment
from benchmarks.side import MEASUREMENTS as SIDES
from benchmarks.side import measure

from benchmarks import __main__ as suite
from benchmarks import epoch, gpu

NAMES = [
    "layer-forward",
    "layer-forward-backward",
    "mining-per-query",
    "cache-refresh",
    "training-epoch",
    "training-epoch-with-cache-build",
    "evaluation",
]
KEYS = [
    "name",
    "ours_seconds",
    "original_seconds",
    "ratio",
    "ours_peak_mb",
    "original_peak_mb",
]
SPLITS = {"train": Counts(30, 8, 12), "val": Counts(12, 6, 8)}


@pytest.fixture(scope="module", autouse=True)
def threads():
    """The measurements set torch's threads; other tests have their own number."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made-up")
    write_data(folder / "data", SPLITS, (32, 48))
    write_weights(folder / "weights")
    return folder


@pytest.fixture
def environment(made_up, monkeypatch):
    monkeypatch.setenv("NETVLAD_BENCH_DATA", str(made_up / "data"))
    monkeypatch.setenv("NETVLAD_BENCH_WEIGHTS", str(made_up / "weights"))


def in_this_process(side, name, setting):
    return measure(side, name, setting)


class TestWholeRun:
    def test_writes_exactly_seven_rows(self, environment, tmp_path, capsys):
        output = tmp_path / "bench.json"
        code = suite.main(
            ["--quick", "--threads", "1", "--output", str(output)], measure=in_this_process
        )
        assert code == 0
        rows = json.loads(output.read_text())
        assert [row["name"] for row in rows] == NAMES
        for row in rows:
            assert list(row) == KEYS
            assert row["ratio"] == pytest.approx(row["original_seconds"] / row["ours_seconds"])
            assert min(value for key, value in row.items() if key != "name") > 0
        details = json.loads((tmp_path / "bench-details.json").read_text())
        # The same network both ways: any other answer would be a mistake on one side.
        assert details["same_first_answers"] == 1
        assert details["measurements"]["refresh-check"]["both"]["largest_difference"] < 1e-3
        sides = details["measurements"]["training-steps"]
        assert sides["ours"]["average_loss"] == pytest.approx(
            sides["original"]["average_loss"], abs=1e-3
        )
        assert "training-epoch-with-cache-build" in capsys.readouterr().out
        # The files that the sides worked on are gone.
        assert sorted(f.name for f in tmp_path.iterdir()) == ["bench-details.json", "bench.json"]

    def test_one_row(self, environment, tmp_path):
        output = tmp_path / "one.json"
        arguments = ["--quick", "--threads", "1", "--only", "mining-per-query"]
        assert suite.main([*arguments, "--output", str(output)], measure=in_this_process) == 0
        assert [row["name"] for row in json.loads(output.read_text())] == ["mining-per-query"]

    def test_a_child_process_has_a_memory_of_its_own(self, environment, tmp_path):
        setting = from_environment(tmp_path, threads=1, quick=True)
        found = measure_in_child("ours", "layer-forward", setting)
        assert found["seconds"] > 0
        assert 50 < found["peak_mb"] < 4000

    def test_missing_data_is_one_line(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setenv("NETVLAD_BENCH_DATA", str(tmp_path / "nowhere"))
        assert suite.main(["--output", str(tmp_path / "bench.json")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "nowhere" in said and "NETVLAD_BENCH_DATA" in said

    def test_a_failing_child_is_one_line(self, environment, tmp_path, capsys, made_up):
        (tmp_path / "data").mkdir()
        for split in SPLITS:
            (tmp_path / "data" / f"{split}.csv").write_text("nonsense\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NETVLAD_BENCH_DATA", str(tmp_path / "data"))
            arguments = ["--only", "evaluation", "--output", str(tmp_path / "bench.json")]
            assert suite.main(arguments) == 2
        assert "train.csv" in capsys.readouterr().err.strip().splitlines()[-1]


class TestRows:
    @pytest.fixture
    def results(self):
        """Two images a second refreshed, and so on: figures that can be summed by hand."""
        return {
            "facts": {"both": {"images": 100, "usable_queries": 40, "refreshes": 2}},
            "mining": {
                "ours": {"seconds": 0.5, "peak_mb": 300},
                "original": {"seconds": 2.0, "peak_mb": 100},
            },
            "trunk-build": {"ours": {"per_image": 3.0, "peak_mb": 900}},
            "cache-refresh": {
                "ours": {"seconds": 9, "per_image": 0.1, "peak_mb": 200},
                "original": {"seconds": 90, "per_image": 4.0, "peak_mb": 700},
            },
            "training-steps": {
                "ours": {"per_query": 1.0, "peak_mb": 400},
                "original": {"per_query": 10.0, "peak_mb": 800},
            },
        }

    def test_an_epoch_by_hand(self, results):
        row = build_row("training-epoch", results)
        assert row.ours_seconds == pytest.approx(2 * 100 * 0.1 + 40 * (0.5 + 1))
        assert row.original_seconds == pytest.approx(2 * 100 * 4 + 40 * (2 + 10))
        assert row.ratio == pytest.approx(1280 / 80)
        assert (row.ours_peak_mb, row.original_peak_mb) == (400, 800)

    def test_the_cache_is_built_by_ours_alone(self, results):
        row = build_row("training-epoch-with-cache-build", results)
        assert row.ours_seconds == pytest.approx(80 + 100 * 3)
        assert row.original_seconds == pytest.approx(1280)
        assert (row.ours_peak_mb, row.original_peak_mb) == (900, 800)
        assert epoch_parts(results, "ours")["cache build"] == 300

    def test_rounds_give_the_median_time_and_the_largest_memory(self):
        rounds = [{"seconds": s, "peak_mb": m} for s, m in ((3, 10), (1, 30), (2, 20))]
        found = combined(rounds)
        assert (found["seconds"], found["peak_mb"]) == (2, 30)
        assert found["rounds"] == [3, 1, 2]

    def test_every_measurement_of_a_row_exists_on_its_sides(self):
        assert list(ROWS) == NAMES
        for names in ROWS.values():
            for name in names:
                for side in MEASUREMENTS[name].sides:
                    assert name in SIDES[side]


class TestOtherCommands:
    def test_a_whole_epoch_goes_on_where_it_stopped(self, environment, tmp_path, monkeypatch):
        output = tmp_path / "epoch.json"
        arguments = ["--quick", "--threads", "1", "--work", str(tmp_path / "work")]
        arguments += ["--output", str(output)]

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(OriginalEpoch, "_steps", interrupted)
            assert epoch.main(["original", *arguments]) == 130
        stopped = json.loads(output.read_text())["original"]
        assert not stopped["finished"] and stopped["stages"]["refresh"] > 0
        assert epoch.main(["both", *arguments]) == 0
        found = json.loads(output.read_text())
        assert found["original"]["stages"]["refresh"] >= stopped["stages"]["refresh"]
        assert found["original"]["finished"] and found["ratio"] > 0
        assert set(found["ours"]["recalls"]) == set(found["original"]["recalls"])

    def test_gpu_runs_without_one(self, tmp_path, capsys):
        output = tmp_path / "gpu.json"
        arguments = ["--device", "cpu", "--quick", "--synthetic", "--threads", "1"]
        code = gpu.main([*arguments, "--output", str(output)], measure=in_this_process)
        assert code == 0
        found = json.loads(output.read_text())
        assert [row["name"] for row in found["rows"]] == NAMES
        assert found["describing"]["bound_by"] in ("decoding", "transfer", "network")
