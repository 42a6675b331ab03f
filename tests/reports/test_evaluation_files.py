"""The files beside the page of an evaluation, read again as others would read them."""

import csv
import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.made_comparisons import line_comparison, line_dataset

from netvlad.errors import DataError, StorageError
from netvlad.evaluation.comparison import comparisons_to_json
from netvlad.reports.evaluation_files import escaped, write_queries_csv, write_results

ODD = 'a,b"&_%$'
PROVENANCE = {"command": "netvlad evaluate\n\\end{document}", "date": "2026-01-01"}


@pytest.fixture(scope="module")
def comparisons():
    """With positions and labels, eight clear wins; then without, and with a model less."""
    hour = ["day", "night"] * 15
    located = line_dataset(30, labels={"hour": hour, "place": [f"p{i}" for i in range(30)]})
    trained, average = np.zeros(30), np.zeros(30)
    trained[0], average[:9] = 2, 3
    average[29] = np.nan
    return [
        line_comparison(located, {ODD: trained, "average": average}),
        line_comparison(line_dataset(10, located=False, name="plain"), {"average": np.arange(10)}),
    ]


@pytest.fixture(scope="module")
def written(comparisons, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    paths = write_results(folder, comparisons, PROVENANCE)
    assert [path.name for path in paths] == [
        "results.json",
        "results.csv",
        "queries.csv",
        "table.tex",
    ]
    assert sorted(folder.iterdir()) == sorted(paths)
    return dict(zip(("json", "csv", "queries", "tex"), paths, strict=True))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_json_has_the_figures(comparisons, written):
    text = written["json"].read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert content == comparisons_to_json(comparisons, PROVENANCE)
    assert content["provenance"] == PROVENANCE
    first, second = content["comparisons"]
    assert (first["dataset"], first["split"], first["num_queries"]) == ("line", "test", 30)
    assert first["protocol"] == comparisons[0].prepared.protocol.to_json()
    assert first["queries_without_positives"] == 0
    trained, average = first["models"]
    assert trained["name"] == ODD and trained["source"] == f"runs/{ODD}"
    assert trained["measures"] == comparisons[0].trials[0].measures.to_json()
    assert trained["measures"]["recall"]["1"]["value"] == 29 / 30
    assert trained["conditions"]["hour"]["night"]["recall"]["1"]["value"] == 1
    assert trained["ms_per_image_described"] is None and trained["ms_per_query_searched"] > 0
    assert average["unreadable_queries"] == 1
    assert [model["name"] for model in second["models"]] == ["average"]
    assert second["models"][0]["measures"]["median_error_m"] is None
    assert second["models"][0]["conditions"] == {} and second["tests"] == []


def test_json_has_the_tests(comparisons, written):
    first = json.loads(written["json"].read_text(encoding="utf-8"))["comparisons"][0]
    at_one = first["tests"][0]
    assert (at_one["a"], at_one["b"], at_one["cutoff"]) == (ODD, "average", 1)
    # Of the nine places and the unreadable query the other misses, the first misses one.
    assert (at_one["trials"], at_one["a_better"], at_one["b_better"]) == (30, 9, 0)
    assert at_one["p_value"] == pytest.approx(2 / 2**9)
    assert [test["cutoff"] for test in first["tests"]] == [1, 5, 10, 20]
    # Rank 4 is among the first five, and rank 6 is not; later only one query differs.
    assert [model["best"] for model in first["models"]] == [True, False]


def test_results_rows_are_the_json_s(written):
    content = json.loads(written["json"].read_text(encoding="utf-8"))
    rows = rows_of(written["csv"])
    models = [(one, model) for one in content["comparisons"] for model in one["models"]]
    assert [row["model"] for row in rows] == [ODD, "average", "average"]
    for row, (one, model) in zip(rows, models, strict=True):
        assert row["dataset"] == one["dataset"] and row["protocol"] == one["protocol"]["name"]
        assert int(row["num_queries"]) == one["num_queries"]
        recall = model["measures"]["recall"]
        for n in ("1", "5", "10", "20", "1%"):
            for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                assert float(row[f"recall@{n}{end}"]) == recall[n][key]
        assert float(row["average_precision"]) == model["measures"]["average_precision"]
        assert float(row["seconds_search"]) == model["seconds"]["search"]
        assert int(row["descriptor_bytes"]) == 4
    assert float(rows[0]["median_error_m"]) == 3 and rows[2]["median_error_m"] == ""


def test_query_rows_tell_every_outcome(written):
    rows = rows_of(written["queries"])
    assert len(rows) == 30 + 30 + 10
    # The label that is called like another column has a name of its own.
    assert list(rows[0])[-3:] == ["place", "hour", "label_place"]
    trained, average, plain = rows[:30], rows[30:60], rows[60:]
    assert {row["model"] for row in trained} == {ODD}
    assert (trained[0]["rank"], trained[0]["correct"], trained[0]["answer"]) == (
        "5",
        "0",
        "database/2.jpg",
    )
    assert float(trained[0]["error_m"]) == 197 and float(trained[1]["error_m"]) == 3
    assert float(trained[1]["similarity"]) == pytest.approx(1 - 0.1**2 / 2, abs=1e-4)
    assert (trained[1]["query"], trained[1]["hour"]) == ("queries/1.jpg", "night")
    assert trained[1]["label_place"] == "p1" and trained[1]["num_positives"] == "1"
    nothing = average[29]
    assert [nothing[name] for name in ("rank", "answer", "similarity", "error_m")] == [""] * 4
    assert sum(row["correct"] == "1" for row in average) == 20
    assert [row["rank"] for row in plain] == [str(2 * jump + 1) for jump in range(10)]
    assert {row["error_m"] + row["hour"] for row in plain} == {""}
    assert len({row["place"] for row in plain}) == 10


def test_errors_that_are_unknown_or_infinite_are_empty(comparisons, tmp_path):
    trial = comparisons[0].trials[0]
    errors = trial.outcomes.errors_m.copy()
    errors[:2] = np.nan, np.inf
    measures = replace(trial.measures, median_error_m=np.inf, p90_error_m=np.nan)
    odd = replace(trial, outcomes=replace(trial.outcomes, errors_m=errors), measures=measures)
    write_results(tmp_path, [replace(comparisons[0], trials=(odd,))], {})
    (row,) = rows_of(tmp_path / "results.csv")
    assert (row["median_error_m"], row["p90_error_m"]) == ("", "")
    assert [r["error_m"] for r in rows_of(tmp_path / "queries.csv")[:3]] == ["", "", "3.0"]
    text = (tmp_path / "results.json").read_text()
    assert not re.search("NaN|Infinity", text)
    assert json.loads(text)["comparisons"][0]["models"][0]["measures"]["median_error_m"] is None


def test_any_file_name_survives(comparisons, tmp_path):
    names = ["a,b.jpg", 'say "x".jpg', "two\nlines.jpg", "old\rmac.jpg", "Zürich.jpg"]
    names += [f"{i}.jpg" for i in range(6, 30)] + [
        b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    ]
    prepared = comparisons[0].prepared
    queries = replace(prepared.dataset.queries, names=tuple(names))
    dataset = replace(prepared.dataset, queries=queries, notes=(f"no {names[-1]}",))
    changed = replace(comparisons[0], prepared=replace(prepared, dataset=dataset))
    write_results(tmp_path, [changed], {"command": names[-1]})
    found = [row["query"] for row in rows_of(tmp_path / "queries.csv")[:30]]
    assert found == [*names[:-1], "caf\\udce9.jpg"]
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["comparisons"][0]["notes"][0] == "no caf\\udce9.jpg"


def test_rows_are_written_as_they_are_made(tmp_path):
    jumps = np.arange(20_000) % 12
    made = line_comparison(line_dataset(50, 400), {"m": jumps})
    path = tmp_path / "queries.csv"
    tracemalloc.start()
    write_queries_csv(path, [made] * 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with path.open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 60_001
    assert peak < path.stat().st_size / 2


def cells_of(text):
    """The rows of the table, as lists of cells."""
    body = text[text.index(r"\midrule") + len(r"\midrule") : text.index(r"\bottomrule")]
    lines = [line.strip().removesuffix(r"\\") for line in body.strip().splitlines()]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]


def test_table_has_a_row_a_model_and_marks_the_best(written):
    text = written["tex"].read_text(encoding="utf-8")
    rows = cells_of(text)
    assert rows == [
        [r"a,b{\char34}\&\_\%\$", r"\textbf{96.7}", "100.0", "100.0", "--", "--", "--"],
        ["average", "66.7", "66.7", "96.7", "10.0", "30.0", "50.0"],
    ]
    assert r"\begin{tabular}{l rrr rrr}" in text
    assert r"& \multicolumn{3}{c}{line test} & \multicolumn{3}{c}{plain test} \\" in text
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in text
    assert "line test: protocol radius-25, 30 queries, 50 database images; plain test" in text
    assert text.startswith("% command: netvlad evaluate \\end{document}\n% date: 2026-01-01\n\\be")


def test_table_tells_protocols_and_models_of_one_name_apart(comparisons, tmp_path):
    jumps = np.zeros(30)
    made = line_comparison(
        line_dataset(30), {"m": jumps, "n": jumps + 1}, "radius-10", cutoffs=(2, 3)
    )
    twins = [
        replace(trial, competitor=replace(trial.competitor, name="[m]*")) for trial in made.trials
    ]
    write_results(tmp_path, [comparisons[0], replace(made, trials=tuple(twins))], {})
    text = (tmp_path / "table.tex").read_text()
    assert "{line test, radius-25} & \\multicolumn{2}{c}{line test, radius-10}" in text
    assert [row[4:] for row in cells_of(text)[2:]] == [
        [r"\textbf{100.0}", "100.0"],
        ["0.0", "100.0"],
    ]
    assert [row[0] for row in cells_of(text)[2:]] == ["{[}m{]}{*}"] * 2


def test_any_text_is_safe_in_latex():
    text = "".join(map(chr, range(1, 0x250))) + "東---\ud800"
    shown = escaped(text)
    assert shown.isascii() and "\n" not in shown
    assert r"\'{e}" in shown and shown.endswith("?-{}-{}-?")
    # Without commands and braces around them, no character that means something to TeX is left.
    plain = re.sub(r"\\(?:[a-zA-Z]+(?:\{\}|34)?|[`'^~\"=.](?=\{)|[{}&%$#_])|\$[^$]*\$", "", shown)
    assert not set(plain) & set('\\&%$#_~^<>|"')
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\[{}]", "", shown)):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_nothing_to_write_and_nowhere_to_write(comparisons, tmp_path):
    with pytest.raises(DataError, match="nothing to write"):
        write_results(tmp_path, [], {})
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_results(tmp_path / "file", comparisons, {})
