"""The pictures: drawn from the files that the benchmarks write, the same each time."""

import json
from xml.etree import ElementTree

import faiss
import pytest
import torch
from benchmarks.plots import FIGURES, draw
from benchmarks.rows import ROWS

from benchmarks import growth, plots


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    rows = [
        {"name": name, "ours_seconds": 1.0, "original_seconds": ratio, "ratio": ratio}
        for name, ratio in zip(ROWS, (24.0, 30.0, 80.0, 40.0, 12.0, 0.8, 1.5), strict=True)
    ]
    (folder / "bench.json").write_text(json.dumps(rows))
    parts = {"refresh": 80.0, "mining": 4.0, "steps": 500.0, "cache build": 900.0}
    details = {"epoch": {"ours": parts, "original": parts | {"cache build": 0.0, "steps": 9e3}}}
    (folder / "bench-details.json").write_text(json.dumps(details))
    table = {"counts": [3, 0, 5], "stated": [0.1, 0.0, 0.9], "right": [0.0, 0.0, 0.8]}
    sizes = {"10": table, "1,000": table}
    kinds = {"verified-located": sizes, "verified": sizes}
    (folder / "bench-probabilities.json").write_text(json.dumps(kinds))
    threads, faiss_threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    arguments = ["--quick", "--threads", "1", "--output", str(folder / "bench-growth.json")]
    assert growth.main(arguments) == 0
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(faiss_threads)
    return folder


def test_the_same_files_each_time(results, tmp_path):
    for folder in ("first", "second"):
        assert draw(tmp_path / folder, results) == []
    for name in FIGURES:
        first, second = (tmp_path / f"{folder}/{name}.svg" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
        assert ElementTree.parse(first).getroot().tag.endswith("svg")


def test_what_is_missing_is_said(results, tmp_path, capsys):
    (tmp_path / "bench.json").write_text((results / "bench.json").read_text())
    arguments = ["--results", str(tmp_path), "--figures", str(tmp_path / "figures")]
    assert plots.main(arguments) == 1
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["ratios.svg"]
    said = capsys.readouterr().err
    assert "bench-growth.json" in said and "bench-details.json" in said


def test_growth_measures_both_sides(results):
    found = json.loads((results / "bench-growth.json").read_text())
    for curve in ("mining_by_database", "mining_by_dimension", "search_by_database"):
        for point in found[curve]:
            assert point["ours_seconds"] > 0 and point["original_seconds"] > 0
