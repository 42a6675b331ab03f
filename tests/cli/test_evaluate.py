"""``netvlad evaluate`` as a user types it."""

import csv
import json

import numpy as np
import pytest

import netvlad
from netvlad.cli.main import main

MODEL = "efficientnet-lite0-avg"


@pytest.fixture(scope="module")
def described(tiny_data, quick_model, tmp_path_factory):
    """Descriptors made elsewhere: good ones, the same with queries mixed up, and perfect ones."""
    folder = tmp_path_factory.mktemp("described")
    dataset = netvlad.open_dataset("csv", tiny_data, "test")
    database = netvlad.describe(quick_model, dataset.database).values
    queries = netvlad.describe(quick_model, dataset.queries).values
    for name, rows in (("good", queries), ("mixed", np.roll(queries, 1, axis=0))):
        (folder / name).mkdir()
        np.save(folder / name / "db.npy", database)
        np.save(folder / name / "q.npy", rows)
    places = np.eye(12, dtype=np.float32)
    (folder / "perfect").mkdir()
    np.save(folder / "perfect/db.npy", np.repeat(places, 2, axis=0))
    np.save(folder / "perfect/q.npy", places)
    return folder


@pytest.fixture
def evaluate(tiny_data, capsys):
    def run(*arguments, data=True):
        where = ("--dataset", "csv", "--data-dir", tiny_data) if data else ()
        where += () if "--split" in arguments else ("--split", "test")
        main(["evaluate", *map(str, (*where, *arguments))])
        return capsys.readouterr()

    return run


def pair(folder):
    return "--descriptors", folder / "db.npy", folder / "q.npy"


def test_a_model_and_its_descriptors_are_equally_good(evaluate, described, tiny_data, quick_model):
    dataset = netvlad.open_dataset("csv", tiny_data, "test")
    expected = netvlad.evaluate(quick_model, dataset).recalls.at
    out = evaluate("--model", MODEL, *pair(described / "good"), "--json").out
    (comparison,) = json.loads(out)["comparisons"]
    assert [model["name"] for model in comparison["models"]] == [MODEL, "good"]
    assert comparison["protocol"]["name"] == "radius-25"
    for model in comparison["models"]:
        recalls = model["measures"]["recall"]
        found = {n: recalls[str(n)]["value"] for n in expected}
        assert found == pytest.approx(expected)
    assert all(c["a_better"] == c["b_better"] == 0 for c in comparison["tests"])


def test_the_better_one_is_marked(evaluate, described):
    both = (*pair(described / "perfect"), *pair(described / "mixed"))
    (comparison,) = json.loads(evaluate(*both, "--json").out)["comparisons"]
    perfect, mixed = comparison["models"]
    assert perfect["measures"]["recall"]["1"]["value"] == 1
    assert mixed["measures"]["recall"]["1"]["value"] < 0.4
    assert perfect["best"] and not mixed["best"]
    assert "perfect against mixed at R@1" in evaluate(*both).out


def test_protocols_and_data_sets_multiply(evaluate, described, tiny_data, quick_model, tmp_path):
    val = netvlad.open_dataset("csv", tiny_data, "val")
    flags = ("--dataset", "csv", "--dataset", "csv", "--data-dir", tiny_data)
    rules = ("--protocol", "radius-25", "--protocol", "radius-1")
    out = evaluate(
        *flags, "--split", "test", "--split", "val", *rules, "--model", MODEL, "--json",
        "--keep", tmp_path, data=False,
    )  # fmt: skip
    comparisons = json.loads(out.out)["comparisons"]
    assert [(c["split"], c["protocol"]["name"]) for c in comparisons] == [
        (split, rule) for split in ("test", "val") for rule in ("radius-25", "radius-1")
    ]
    expected = netvlad.evaluate(quick_model, val, protocol="radius-1").recalls.at[1]
    assert comparisons[3]["models"][0]["measures"]["recall"]["1"]["value"] == pytest.approx(
        expected
    )
    # Once for both rules, and a second time not at all.
    assert out.err.count("describing the queries") == 2
    again = evaluate("--split", "test", *rules, "--model", MODEL, "--keep", tmp_path)
    assert "taken from" in again.err


def test_the_report(evaluate, described, tmp_path):
    report = tmp_path / "out"
    out = evaluate("--model", MODEL, *pair(described / "mixed"), "--output", report).out
    assert f"Look at {report / 'index.html'}" in out
    page = (report / "index.html").read_text()
    assert MODEL in page
    assert "radius-25" in page
    with (report / "queries.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 12
    assert json.loads((report / "results.json").read_text())["provenance"]["command"]
    assert (report / "table.tex").exists()
    assert (report / "results.csv").exists()


def test_a_report_that_cannot_be_written_is_refused_before_the_work(evaluate, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SystemExit):
        evaluate("--model", MODEL, "--output", tmp_path / "taken")
    told = capsys.readouterr().err
    assert "taken: cannot be written: File exists" in told
    assert "describing" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--model is missing"),
        (("--model", "nothing-such"), "nothing-such: no such run folder"),
        (("--model", MODEL, "--protocol", "no/such"), "no protocol called no/such"),
        (("--model", MODEL, "--protocol", "sf-xl/v1"), "sf-xl/v1 is for sf-xl or utm-names"),
        (("--model", MODEL, "--name", "a", "--name", "b"), "--name is there 2 times for 1 models"),
        (("--model", MODEL, "--model", MODEL), "tell them apart with --name"),
        (("--model", MODEL, "--split", "a", "--split", "b"), "--split is there 2 times for 1"),
        (("--model", MODEL, "--split", "nowhere"), "nowhere.csv: no such file"),
        (("--model", MODEL, "--place-label", "house"), "no label house"),
        (("--descriptors", "absent.npy", "absent.npy"), "absent.npy: cannot be read"),
        (("--model", MODEL, "--protocol", "pitts30k/dvgl-480x640"), "the loader cannot do"),
        (("--model", MODEL, "--sequence-length", "4"), "give an odd number of frames"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(evaluate, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        evaluate(*arguments)
    assert stopped.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last


def test_descriptors_that_do_not_fit(evaluate, described, tmp_path, capsys):
    np.save(tmp_path / "few.npy", np.zeros((5, 1280), np.float32))
    np.save(tmp_path / "flat.npy", np.zeros(5, np.float32))
    np.save(tmp_path / "narrow.npy", np.zeros((12, 3), np.float32))
    good = described / "good/db.npy"
    for name, message in (
        ("few.npy", "12"),
        ("flat.npy", "descriptors are an (n, D) matrix of floats"),
        ("narrow.npy", "give two of the same model"),
    ):
        with pytest.raises(SystemExit):
            evaluate("--descriptors", good, tmp_path / name)
        assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_test_is_the_same_for_one_model(evaluate, described, tiny_data, tmp_path, capsys):
    where = ["--dataset", "csv", "--data-dir", str(tiny_data), "--split", "test"]
    rules = ["--protocol", "radius-1"]
    report = ["--output", str(tmp_path / "out")]
    main(["test", "--model", MODEL, *where, *rules, "--json", *report])
    (tested,) = json.loads(capsys.readouterr().out)["comparisons"]
    (comparison,) = json.loads(evaluate("--model", MODEL, *rules, "--json").out)["comparisons"]
    for of_test, of_evaluate in zip(tested["models"], comparison["models"], strict=True):
        assert of_test["measures"] == of_evaluate["measures"]
    assert tested["protocol"]["name"] == "radius-1"
    assert tested["data_fingerprint"] == comparison["data_fingerprint"]
    (reported,) = json.loads((tmp_path / "out/results.json").read_text())["comparisons"]
    assert reported["models"][0]["fingerprint"] == comparison["models"][0]["fingerprint"]
    with pytest.raises(SystemExit):
        main(["test", "--model", MODEL, *where, "--arch", "vgg16"])
    assert "--arch beside --model" in capsys.readouterr().err


def test_sequences_take_part_beside_single_images(evaluate, described):
    out = evaluate(*pair(described / "good"), "--sequence-length", "3", "--json").out
    (comparison,) = json.loads(out)["comparisons"]
    assert [model["name"] for model in comparison["models"]] == ["good", "good, sequences of 3"]
