"""The commands as a user types them."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import torch

from netvlad.cli.main import main
from netvlad.loading import load_model
from netvlad.models import write_pytorch_netvlad_run
from netvlad.models.checkpoints import read_checkpoint

TRAINING = [
    "--epochs",
    "3",
    "--cache-refresh-rate",
    "5",
    "--batch-size",
    "2",
    "--negatives",
    "3",
    "--negative-pool",
    "8",
    "--lr",
    "0.01",
    "--schedule",
    "step",
    "--patience",
    "0",
]
# One thread: the tests must not depend on how many cores there are, nor fight over them.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def netvlad_process(*arguments, folder, expect=0):
    """A command in a process of its own, for what only a whole process shows."""
    done = subprocess.run(
        [sys.executable, "-m", "netvlad", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def netvlad(*arguments, folder, expect=0):
    """A command in this process: it saves the seconds that torch takes to be imported."""
    code = 0
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code or 0
    assert code == expect, err.getvalue()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def figures_of(done):
    """The figures of the one model in what ``test --json`` printed, which is JSON and no more."""
    (one,) = json.loads(done.stdout)["comparisons"]
    (model,) = one["models"]
    recalls = {n: found["value"] for n, found in model["measures"]["recall"].items()}
    return one | model | {"recalls": recalls}


@pytest.fixture(scope="module")
def data(tiny_data):
    return (
        "--dataset",
        "csv",
        "--data-dir",
        tiny_data,
        "--arch",
        "efficientnet-lite0",
        "--num-clusters",
        "4",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    """A working folder in which the clusters have been computed and a model trained."""
    folder = tmp_path_factory.mktemp("work")
    netvlad("cluster", *data, folder=folder)
    netvlad("train", *data, *TRAINING, folder=folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    (run,) = [f for f in (folder / "runs").iterdir() if f.name.endswith("_netvlad")]
    return run


def test_cluster_writes_where_train_and_test_look(folder, tiny_data):
    file = folder / "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5"
    with h5py.File(file) as content:
        assert content["centroids"].shape == (4, 112)
        assert content["descriptors"].shape == (720, 112)
    assert not list(tiny_data.rglob("*.hdf5"))  # nothing is written beside the data


def test_a_trained_model_is_clustered_anew(folder, run):
    done = netvlad("cluster", "--resume", run, "--num-clusters", "3", folder=folder)
    assert "efficientnet-lite0_csv_3_desc_cen.hdf5: 3 clusters of 720 features" in done.stdout
    done = netvlad("cluster", "--pooling", "avg", folder=folder, expect=2)
    assert "--pooling avg needs no clusters" in done.stderr


def test_train_leaves_a_run_folder(run):
    assert run.name.endswith("_efficientnet-lite0_netvlad")
    stored = json.loads((run / "settings.json").read_text())
    assert (stored["num_clusters"], stored["epochs"], stored["optim"]) == (4, 3, stored["optim"])
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "checkpoints/latest.json").is_file()
    assert (run / "checkpoints/best.json").is_file()


def test_curves_have_the_original_tags(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(run))
    curves.Reload()
    tags = set(curves.Tags()["scalars"])
    assert tags >= {"Train/Loss", "Train/nNeg", "Train/AvgLoss", "Train/LearningRate"}
    assert tags >= {f"Val/Recall@{n}" for n in (1, 5, 10, 20)}
    assert len(curves.Scalars("Val/Recall@5")) == 3


def test_test_writes_figures_and_predictions(folder, run):
    done = netvlad(
        "test",
        "--resume",
        run,
        "--split",
        "test",
        "--json",
        "--predictions",
        "out/p.npy",
        folder=folder,
    )
    figures = figures_of(done)
    assert list(figures["recalls"])[:4] == ["1", "5", "10", "20"]
    assert all(0 <= value <= 1 for value in figures["recalls"].values())
    assert (figures["num_queries"], figures["num_database"]) == (12, 24)
    assert figures["queries_without_positives"] == 0
    assert figures["descriptor_dim"] == 448
    assert set(figures["seconds"]) == {"describe", "search"}
    predictions = np.load(folder / "out/p.npy")
    assert predictions.shape == (12, 20)
    assert np.issubdtype(predictions.dtype, np.integer)
    # Places are 100 m apart, images of one place 3 m: recall@1 can be read off the predictions.
    assert figures["recalls"]["1"] == pytest.approx(
        np.mean(predictions[:, 0] // 2 == np.arange(12))
    )
    assert "R@1" not in done.stderr
    assert "R@1" in netvlad("test", "--resume", run, "--split", "test", folder=folder).stdout


def test_off_the_shelf_needs_clusters_and_says_so(tmp_path, data):
    done = netvlad("test", *data, folder=tmp_path, expect=2)
    assert done.stderr.strip().splitlines()[-1] == (
        "netvlad: runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5: no cluster file; make it "
        "with `netvlad cluster` or name one with --clusters"
    )
    assert done.stdout == ""


def test_training_makes_the_clusters_it_lacks(folder, data, tiny_data, tmp_path):
    arguments = ("train", *data, *TRAINING[2:], "--epochs", "1")
    done = netvlad(*arguments, folder=tmp_path)
    name = "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5"
    assert f"{name}: no cluster file yet" in done.stderr
    with h5py.File(tmp_path / name) as made, h5py.File(folder / name) as by_hand:
        np.testing.assert_array_equal(made["centroids"], by_hand["centroids"])
        assert made.attrs["data_dir"] == str(tiny_data)
        assert dict(made.attrs) == dict(by_hand.attrs)
    # Another data set of the same layout finds that file too, and says whose it is.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(tiny_data)
    moved = [elsewhere if argument == tiny_data else argument for argument in arguments]
    done = netvlad(*moved, folder=tmp_path)
    assert f"has centres of the images in {tiny_data}, not in {elsewhere}" in done.stderr


def test_killed_and_resumed_ends_with_the_same_weights(folder, run, data):
    arguments = [
        "train",
        *map(str, data),
        *TRAINING,
        "--runs-dir",
        "killed",
        "--clusters",
        "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "netvlad", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    killed = None
    while killed is None and time.monotonic() < deadline:
        found = list((folder / "killed").glob("*/checkpoints/latest.json"))
        killed = found[0].parents[1] if found else None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert killed is not None
    stood = read_checkpoint(killed).progress["state"]
    assert not stood["finished"]
    # As many threads as the killed one had, which the last bits of a sum depend on.
    done = netvlad_process("train", "--resume", killed, folder=folder)
    assert f"run folder: {killed}" in done.stderr
    for which in ("latest", "best"):
        whole, resumed = read_checkpoint(run, which), read_checkpoint(killed, which)
        assert whole.weights.keys() == resumed.weights.keys()
        for name, value in whole.weights.items():
            assert torch.equal(value, resumed.weights[name]), name


def test_what_is_typed_wins_over_what_is_stored_and_is_said(folder, run):
    done = netvlad("train", "--resume", run, "--lr", "0.5", folder=folder)
    assert "--lr 0.5 was typed; the run had 0.01" in done.stderr
    assert json.loads((run / "settings.json").read_text())["lr"] == 0.5
    done = netvlad("train", "--resume", run, "--num-clusters", "8", folder=folder, expect=2)
    assert "--num-clusters 8: the model of" in done.stderr


def test_a_finished_run_goes_on_when_asked_for_more_epochs(folder, run):
    before = len(read_checkpoint(run).progress["state"]["history"])
    netvlad("train", "--resume", run, "--epochs", before + 1, folder=folder)
    assert len(read_checkpoint(run).progress["state"]["history"]) == before + 1


def test_two_runs_in_one_folder_are_refused(folder, run):
    from netvlad.storage import locked

    with locked(run, "training"):
        done = netvlad("train", "--resume", run, folder=folder, expect=2)
    assert "another process is training here" in done.stderr


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_of_pytorch_netvlad_is_tested_and_resumed(tmp_path, tiny_data, prefix):
    from netvlad.models import ModelSpec, build_model

    torch.manual_seed(0)
    model = build_model(ModelSpec(arch="alexnet", num_clusters=4), weights="none")
    theirs = tmp_path / "theirs"
    write_pytorch_netvlad_run(
        theirs,
        model,
        epoch=2,
        recalls={1: 0.1, 5: 0.2},
        best_score=0.2,
        settings={"nEpochs": 3, "lr": 0.002, "seed": 5},
    )
    if prefix:  # as several GPUs wrote it
        file = theirs / "checkpoints/checkpoint.pth.tar"
        content = torch.load(file, weights_only=True)
        content["state_dict"] = {
            k.replace("encoder.", "encoder.module.").replace("pool.", "pool.module."): v
            for k, v in content["state_dict"].items()
        }
        torch.save({**content, "parallel": True}, file)
    where = ("--dataset", "csv", "--data-dir", tiny_data)
    done = netvlad("test", *where, "--resume", theirs, "--json", folder=tmp_path)
    assert figures_of(done)["descriptor_dim"] == 4 * 256
    before = sorted(p.name for p in theirs.rglob("*"))
    netvlad("train", *where, "--resume", theirs, "--negatives", "2", folder=tmp_path)
    assert sorted(p.name for p in theirs.rglob("*")) == before  # their folder stays as it was
    (ours,) = (tmp_path / "runs").glob("*_netvlad")
    stored = json.loads((ours / "settings.json").read_text())
    assert (stored["lr"], stored["seed"], stored["epochs"]) == (0.002, 5, 3)
    trained = load_model(ours).state_dict()
    assert torch.equal(trained["encoder.0.weight"], model.state_dict()["encoder.0.weight"])


def test_interrupting_says_how_to_go_on(folder, data):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "netvlad",
            "train",
            *map(str, data),
            "--epochs",
            "500",
            *TRAINING[2:],
            "--runs-dir",
            "interrupted",
            "--clusters",
            "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5",
        ],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in a shell's background inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while not list((folder / "interrupted").glob("*/checkpoints/latest.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume it with: netvlad train --resume interrupted/" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "pits30k"], "pitts30k"),
        (["--data-dir", "nowhere"], "nowhere"),
        (["--arch", "resnet"], "choose one of vgg16, alexnet, efficientnet-lite0"),
        (["--pooling", "mean"], "choose one of netvlad, max, avg, gem"),
        (["--resize", "640by480"], "expected HEIGHTxWIDTH"),
        (["--weights", "none.pth", "--pooling", "avg"], "none.pth"),
        (["--clusters", "none.hdf5"], "none.hdf5: no cluster file"),
        (["--split", "dev"], "dev"),
        (["--resume", "nowhere"], "nowhere: does not exist"),
        (["--device", "cuda", "--pooling", "avg"], "no GPU found"),
    ],
)
def test_bad_input_is_one_line(folder, data, arguments, expected):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    # What is tried replaces the good value of the same flag.
    good = [
        x
        for pair in zip(data[::2], data[1::2], strict=True)
        if pair[0] not in arguments
        for x in pair
    ]
    last = (
        netvlad("test", *good, *arguments, expect=2, folder=folder).stderr.strip().splitlines()[-1]
    )
    assert last.startswith("netvlad: ")
    assert expected in last


def test_a_wrong_flag_is_one_line(folder, data):
    for arguments in (["--lr", "fast"], ["--epochs", "1", "--epochs", "2"]):
        said = netvlad("train", *data, *arguments, expect=2, folder=folder).stderr
        assert len(said.strip().splitlines()) == 1
        assert said.startswith("netvlad: ")
    # Once in a process of its own: the exit status and the whole of stderr.
    done = netvlad_process("train", *data, "--epoks", "3", folder=folder, expect=2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("netvlad: ")


def test_a_setting_out_of_range_names_itself(folder, data):
    said = netvlad("train", *data, "--lr", "-1", expect=2, folder=folder).stderr
    assert said.strip().endswith("lr is -1.0; it must be above 0")
    assert (
        "choose one of sgd, adam, adamw"
        in netvlad("train", *data, "--optim", "lion", expect=2, folder=folder).stderr
    )


def test_unreadable_images_are_said_counted_and_survived(folder, data, tmp_path):
    import shutil

    source = Path(data[3])
    broken = tmp_path / "data"
    shutil.copytree(source, broken)
    first = sorted((broken / "test").iterdir())
    first[0].write_text("not an image")  # database
    (broken / "test/00_2.jpg").write_bytes(first[2].read_bytes()[:300])  # query
    arguments = ["test", *data[:3], broken, *data[4:], "--split", "test"]
    figures = figures_of(netvlad(*arguments, "--json", folder=folder))
    done = netvlad(*arguments, folder=folder)
    assert (figures["unreadable_queries"], figures["unreadable_database"]) == (1, 1)
    assert figures["num_queries"] == 12
    assert "00_0.jpg" in done.stderr
    assert "00_2.jpg" in done.stderr
    assert "1 unreadable query, counted as missed" in done.stdout
    done = netvlad(*arguments, "--strict", folder=folder, expect=1)
    assert "2 images could not be used" in done.stderr


def test_help_teaches(folder):
    assert "cluster" in netvlad("--help", folder=folder).stdout
    for command in ("cluster", "train", "test"):
        said = netvlad(command, "--help", folder=folder).stdout
        assert "--threads" in said
        assert "netvlad" in said
    assert netvlad("--version", folder=folder).stdout.strip()


def test_the_trunk_cache_is_shared_listed_and_cleared(folder, run, data, tmp_path):
    listed = netvlad("cache", "info", folder=folder).stdout
    assert listed.count("efficientnet-lite0-") == 2  # train and val
    assert "36" in listed
    arguments = ("train", *data, *TRAINING[2:], "--epochs", "1", "--runs-dir", tmp_path / "r")
    clusters = ("--clusters", "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5")
    done = netvlad(*arguments, *clusters, "--trunk-cache", "runs/cache", folder=folder)
    assert "36 images, 0.00 GB, taken from" in done.stderr
    assert "Frozen trunk, training images: 36 images in" not in done.stderr
    assert not (tmp_path / "r/cache").exists()
    name = next(word for word in listed.split() if word.startswith("efficientnet-lite0-"))
    done = netvlad("cache", "clear", name, "--runs-dir", "runs", folder=folder)
    assert f"removed {name}" in done.stderr
    assert netvlad("cache", "info", folder=folder).stdout.count("efficientnet-lite0-") == 1
    done = netvlad("cache", "clear", "nothing", folder=folder, expect=2)
    assert "no trunk cache called nothing" in done.stderr
    netvlad("cache", "clear", folder=folder)
    assert "no trunk caches in" in netvlad("cache", "info", folder=folder).stdout


def test_training_without_a_cache_leaves_none_and_stays_without(folder, data, tmp_path):
    clusters = ("--clusters", "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5")
    runs = tmp_path / "r"
    arguments = ("train", *data, *TRAINING[2:], "--epochs", "1", "--runs-dir", runs, *clusters)
    netvlad(*arguments, "--trunk-cache", "off", folder=folder)
    (run,) = runs.iterdir()
    netvlad("train", "--resume", run, "--epochs", "2", folder=folder)
    assert [f.name for f in runs.iterdir()] == [run.name]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from-scratch", "--pooling", "avg"], "no trunk cache: every layer"),
        (["--augment", "images"], "serves refreshes and validation only"),
    ],
)
def test_where_the_cache_would_be_wrong_it_is_left_and_that_is_said(
    folder, data, tmp_path, arguments, expected
):
    clusters = ("--clusters", "runs/centroids/efficientnet-lite0_csv_4_desc_cen.hdf5")
    done = netvlad(
        "train",
        *data,
        *TRAINING[2:],
        *("--epochs", "1", "--runs-dir", tmp_path / "r", *clusters, *arguments),
        folder=folder,
    )
    assert expected in done.stderr


def test_a_test_that_was_killed_goes_on(folder, run, tiny_data, tmp_path):
    arguments = ("test", "--resume", run, "--split", "test", "--keep", tmp_path / "d")
    figures = []
    for _ in range(2):
        figures.append(figures_of(netvlad(*arguments, "--json", folder=folder))["recalls"])
    assert figures[0] == figures[1]
    assert np.load(tmp_path / "d/database.npy").shape == (24, 448)
    done = netvlad(*arguments, "--storage", "16", folder=folder, expect=2)
    assert "database.npy: holds descriptors of another model" in done.stderr
