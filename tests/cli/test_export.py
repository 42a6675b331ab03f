"""``netvlad export`` and the names that ``--model`` takes, in this process."""

import numpy as np
import pytest
import torch

from netvlad.cli.main import main
from netvlad.errors import CheckpointError, SettingsError
from netvlad.loading import load_model
from netvlad.models import BACKBONES, ModelSpec, build_model
from netvlad.models.checkpoints import Checkpoint, write_checkpoint
from netvlad.models.fingerprints import model_fingerprint


@pytest.fixture
def run(tmp_path):
    """A run folder whose latest and best checkpoints differ."""
    for epoch, pointer in ((1, "best"), (2, "latest")):
        torch.manual_seed(epoch)
        spec = ModelSpec(arch="alexnet", pooling="max", resize=(40, 48))
        model = build_model(spec, weights=None)
        checkpoint = Checkpoint(model.spec, model.state_dict())
        write_checkpoint(tmp_path / "run", f"e{epoch}", checkpoint, (pointer,))
    return tmp_path / "run"


def one_line(error):
    assert error.count("\n") == 1
    assert error.startswith("netvlad: ")
    return error


def test_a_run_becomes_a_file_of_either_format(run, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 48), dtype=np.uint8)
    with torch.no_grad():
        expected = load_model(str(run), ckpt="best")(torch.from_numpy(images)).numpy()
    onnx, pt2 = tmp_path / "m.onnx", tmp_path / "m.pt2"
    command = ["export", "--model", str(run), "--ckpt", "best"]
    main([*command, "--output", str(onnx)])
    main([*command, "--output", str(pt2), "--format", "torch-export"])
    (found,) = onnxruntime.InferenceSession(onnx).run(None, {"images": images})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = torch.export.load(pt2).module()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    output = capsys.readouterr().out
    assert output.count("checked against torch on 4 images: largest difference") == 2
    assert model_fingerprint(load_model(str(run), ckpt="best")) in output
    assert "(batch, 3, 40, 48) uint8 RGB" in output


def test_models_by_name(run):
    assert load_model(str(run)).spec.pooling == "max"
    assert model_fingerprint(load_model(str(run))) != model_fingerprint(
        load_model(run, ckpt="best")
    )
    model = load_model("efficientnet-lite0")
    assert (model.spec.arch, model.spec.pooling) == ("efficientnet-lite0", "avg")
    assert not model.training
    published = build_model(model.spec, weights="imagenet")
    assert model_fingerprint(model) == model_fingerprint(published)
    assert load_model("efficientnet-lite0-gem").spec.pooling == "gem"


def test_names_that_are_no_models(run, tmp_path):
    with pytest.raises(SettingsError, match=r"fit centres with `netvlad cluster`.*lite0-avg"):
        load_model("efficientnet-lite0-netvlad")
    for name in ("resnet50", "vgg16-median", "vgg16-", "-avg", "nowhere/run"):
        with pytest.raises(SettingsError, match="no such run folder") as caught:
            load_model(name)
        assert all(arch in str(caught.value) for arch in BACKBONES)
    with pytest.raises(CheckpointError, match="is not a run folder"):
        load_model(str(tmp_path))
    file = run / "checkpoints/e2/model.safetensors"
    with pytest.raises(CheckpointError, match="is a file; name the run folder"):
        load_model(str(file))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "resnet50"], "resnet50: no such run folder"),
        (["--model", "vgg16-netvlad"], "netvlad cluster"),
        (["--model", "vgg16", "--format", "tflite"], "tflite"),
        ([], "--model"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["export", "--output", str(tmp_path / "m.onnx"), *arguments])
    assert caught.value.code == 2
    assert message in one_line(capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_an_index_names_the_model_it_was_made_with(run, tmp_path, tiny_data):
    photos, output = str(tiny_data / "test"), str(tmp_path / "my.index")
    main(["index", "build", photos, "--model", str(run), "--index", output])
    assert model_fingerprint(load_model(output)) == model_fingerprint(load_model(str(run)))
