"""The files that ``--model`` takes: Python files that register a model, and cluster files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import netvlad
from netvlad.cli.main import main
from netvlad.errors import ClusterError, SettingsError
from netvlad.fitting import Clusters, read_clusters, write_clusters
from netvlad.loading import load_model, load_place_model
from netvlad.models import AGGREGATORS, BACKBONES, ModelSpec, build_model
from netvlad.models.checkpoints import Checkpoint, write_checkpoint
from netvlad.models.fingerprints import model_fingerprint

ONE = """
import netvlad
from torch import nn

class Corners(nn.Module):
    def forward(self, images):
        return images[:, :, 0, :2].flatten(1)

@netvlad.register_model("corners", resize=(12, 16))
def corners():
    return Corners()
"""
TWO = (
    ONE
    + """
from beside import scale

@netvlad.register_model("raw", preprocessing=None)
def raw():
    return nn.Sequential(nn.AdaptiveAvgPool2d(scale), nn.Flatten())
"""
)


def raises(name, message, opening=load_model):
    with pytest.raises(SettingsError, match=message) as caught:
        opening(str(name))
    assert "\n" not in str(caught.value)


def test_describe_runs_a_python_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("my_model.py").write_text(ONE)
    random = np.random.default_rng(0)
    expected = []
    for number in range(3):
        # Every image is of its size already, so that nothing is interpolated.
        pixels = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
        floats = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        row = floats[0, :2].T.reshape(-1)
        expected.append(row / np.linalg.norm(row))
    main(["describe", "photos", "--model", "my_model.py", "--output", "d.npy"])
    np.testing.assert_allclose(np.load("d.npy"), expected, atol=1e-5)
    assert "d.npy: 3 photos × 6 float32" in capsys.readouterr().out
    # The same file again: nothing is computed. Changed code: another model.
    main(["describe", "photos", "--model", "my_model.py:corners", "--output", "d.npy"])
    assert "3 descriptors taken from d.npy" in capsys.readouterr().err
    Path("my_model.py").write_text(ONE.replace("0, :2", "1, :2"))
    with pytest.raises(SystemExit) as caught:
        main(["describe", "photos", "--model", "my_model.py", "--output", "d.npy"])
    assert caught.value.code == 2
    assert "holds descriptors of another model" in capsys.readouterr().err


def test_a_file_of_several_and_what_lies_beside_it(tmp_path):
    file = tmp_path / "zoo.py"
    file.write_text(TWO)
    (tmp_path / "beside.py").write_text("scale = 2\n")
    raises(file, r"zoo.py: registers corners, raw; choose one, such as .*zoo.py:corners$")
    raises(f"{file}:median", "zoo.py: registers no model 'median'; there is corners, raw$")
    model = load_model(f"{file}:raw")
    assert (model.name, model.descriptor_dim, model.training) == ("raw", 12, False)
    assert load_model(f"{file}:corners").resize == (12, 16)
    # Another file may use the same names.
    (tmp_path / "other").mkdir()
    shutil.copy(file, tmp_path / "other/zoo.py")
    (tmp_path / "other/beside.py").write_text("scale = 3\n")
    assert load_model(f"{file}:corners").resize == (12, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r'registers no model; put @netvlad.register_model\("NAME"\)'),
        ("x = 1\ny = x / 0\n", "bad.py, line 2: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef f(:\n", "bad.py, line 3: SyntaxError: invalid syntax"),
        ("import nothing_of_that_name\n", "line 1: ModuleNotFoundError: No module"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        (ONE.replace("Corners()", "Korners()"), "bad.py, line 11: NameError: name 'Korners'"),
        (ONE.replace("return Corners()", "return {}"), "model corners: is a dict"),
        (ONE.replace("(12, 16)", "(12, 0)"), r"model setting resize is \(12, 0\)"),
        (ONE + ONE.replace("def corners", "def again"), "line 20: model corners is registered"),
    ],
)
def test_a_python_file_that_fails_is_one_line(tmp_path, text, message):
    (tmp_path / "bad.py").write_text(text)
    raises(tmp_path / "bad.py", message)


def test_a_python_file_is_no_place_model_and_is_not_run(tmp_path, capsys):
    file = tmp_path / "my_model.py"
    file.write_text("raise SystemError\n")
    raises(file, "an index and an export keep a model as weights and settings", load_place_model)
    raises(tmp_path / "gone.py", "gone.py: no such file")
    out = str(tmp_path / "out")
    for command in (["export", "--output", out], ["index", "build", ".", "--index", out]):
        with pytest.raises(SystemExit) as caught:
            main([*command, "--model", str(file)])
        assert caught.value.code == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"netvlad: {file}: is code")
        assert "`netvlad describe` and `netvlad evaluate` take it" in error


def initialised(spec, clusters, state=None):
    model = build_model(spec, weights="imagenet" if state is None else None)
    if state is not None:
        model.encoder.load_state_dict(state)
    parts = torch.from_numpy(clusters.centroids), torch.from_numpy(clusters.descriptors)
    model.pool.init_from_clusters(*parts)
    return model


def test_a_cluster_file_is_netvlad_off_the_shelf(tiny_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--dataset", "csv", "--data-dir", str(tiny_data), "--arch", "efficientnet-lite0"]
    main(["cluster", *data, "--num-clusters", "4", "--output", "plain.hdf5"])
    main(["cluster", *data, "--num-clusters", "3", "--output", "v2.hdf5", "--vladv2", "--resize",
          "60x80"])  # fmt: skip
    for file, spec in (
        ("plain.hdf5", ModelSpec(arch="efficientnet-lite0", num_clusters=4)),
        (
            "v2.hdf5",
            ModelSpec(arch="efficientnet-lite0", num_clusters=3, vladv2=True, resize=(60, 80)),
        ),
    ):
        expected = initialised(spec, read_clusters(Path(file)))
        found = load_model(file)
        assert model_fingerprint(found) == model_fingerprint(expected)
        assert not found.training
    photos = str(tiny_data / "val")
    main(["describe", photos, "--model", "v2.hdf5"])
    names = Path("descriptors.txt").read_text().splitlines()
    rows = np.load("descriptors.npy")
    np.testing.assert_allclose(rows[:3], expected.describe(names[:3]), atol=1e-5)
    main(["index", "build", photos, "--model", "plain.hdf5", "--index", "my.index"])
    assert model_fingerprint(load_model("my.index")) == model_fingerprint(load_model("plain.hdf5"))


def test_centres_of_a_trained_backbone_need_it_as_it_was(tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {}
    for epoch, pointer in ((1, "best"), (2, "latest")):
        torch.manual_seed(epoch)
        spec = ModelSpec(arch="efficientnet-lite0", pooling="max", resize=(48, 64))
        trained = build_model(spec, weights=None)
        state[pointer] = {k: v.clone() for k, v in trained.encoder.state_dict().items()}
        write_checkpoint(
            tmp_path / "run",
            f"e{epoch}",
            Checkpoint(trained.spec, trained.state_dict()),
            (pointer,),
        )
    data = ["--dataset", "csv", "--data-dir", str(tiny_data), "--num-clusters", "3"]
    main(["cluster", *data, "--resume", "run", "--ckpt", "best", "--output", "c.hdf5"])
    spec = ModelSpec(arch="efficientnet-lite0", num_clusters=3, resize=(48, 64))
    expected = initialised(spec, read_clusters(Path("c.hdf5")), state["best"])
    monkeypatch.chdir("/")
    found = load_model(str(tmp_path / "c.hdf5"))
    assert model_fingerprint(found) == model_fingerprint(expected)
    shutil.copy(tmp_path / "run/checkpoints/latest.json", tmp_path / "run/checkpoints/best.json")
    with pytest.raises(ClusterError, match=r"c.hdf5: was made with other weights than .*run has"):
        load_model(str(tmp_path / "c.hdf5"))
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(ClusterError, match=r"c.hdf5: was made with the weights of .*run, which"):
        load_model(str(tmp_path / "c.hdf5"))


def made_clusters(dim=112, **made_by):
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Clusters(rows[:4].copy(), rows, made_by)


def test_a_cluster_file_of_pytorch_netvlad_is_known_by_its_name(tmp_path):
    clusters = made_clusters()
    file = tmp_path / "efficientnet-lite0_pitts30k_4_desc_cen.hdf5"
    write_clusters(file, clusters)
    expected = initialised(ModelSpec(arch="efficientnet-lite0", num_clusters=4), clusters)
    assert model_fingerprint(load_model(str(file))) == model_fingerprint(expected)


@pytest.mark.parametrize(
    ("name", "clusters", "message"),
    [
        ("centres.hdf5", made_clusters(), r"does not say which backbone .* \(nothing\); call it"),
        ("resnet_x_4_desc_cen.hdf5", made_clusters(), r"\(resnet\)"),
        ("c.hdf5", made_clusters(arch="dino"), r"\(dino\)"),
        ("c.hdf5", made_clusters(arch="vgg16", weights="none"), "made with random weights"),
        ("c.hdf5", made_clusters(arch="vgg16", weights="/gone.pth"), "weights of /gone.pth"),
        ("c.hdf5", made_clusters(60, arch="efficientnet-lite0"), r"c.hdf5: cluster centres of sh"),
        (
            "c.hdf5",
            made_clusters(arch="efficientnet-lite0", encoder="0" * 16),
            "other weights than imagenet has now",
        ),
    ],
)
def test_cluster_files_that_make_no_model(tmp_path, name, clusters, message):
    write_clusters(tmp_path / name, clusters)
    with pytest.raises(ClusterError, match=message) as caught:
        load_model(str(tmp_path / name))
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_cluster_file_that_is_none(tmp_path):
    (tmp_path / "text.hdf5").write_text("no clusters")
    for name, message in (("gone.hdf5", "no cluster file"), ("text.hdf5", "not a readable HDF5")):
        with pytest.raises(ClusterError, match=message):
            load_model(str(tmp_path / name))


@pytest.mark.parametrize("wrong", [None, 5, ["vgg16-avg"], torch.nn.Identity()])
def test_what_is_no_name_is_one_clear_line(wrong):
    with pytest.raises(SettingsError, match="give its name or path"):
        load_model(wrong)


def test_every_listed_model_is_one_that_can_be_named():
    for name in netvlad.list_models():
        arch, _, pooling = name.rpartition("-")
        assert arch in BACKBONES and pooling in AGGREGATORS and pooling != "netvlad"
    assert load_model("efficientnet-lite0-gem").spec.pooling == "gem"
