"""Exported files against the model, in the programs they are made for.

Tracing takes seconds, so each model is written once, in one format, and looked at from all sides.
"""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad.errors import ModelError, SettingsError
from netvlad.export import files, metadata, write_onnx, write_torch_export
from netvlad.export.module import ExportableModel, SamePadding, smallest_side
from netvlad.fitting.whitening import fit_partial_whitening, with_whitening
from netvlad.models import AGGREGATORS, BACKBONES, ModelSpec, build_model
from netvlad.models.backbones.efficientnet_lite0 import SamePaddedConv2d
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.whitening import Whitening

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def some_model(arch, pooling="netvlad", **settings):
    torch.manual_seed(0)
    spec = ModelSpec(arch=arch, pooling=pooling, num_clusters=3, **settings)
    return build_model(spec, weights="imagenet" if arch == "efficientnet-lite0" else None)


def whitened(model, dim):
    generator = torch.Generator().manual_seed(1)
    whitening = Whitening(model.descriptor_dim, dim)
    whitening.mean.copy_(torch.rand(whitening.dim, generator=generator) / whitening.dim)
    whitening.projection.copy_(torch.randn(dim, whitening.dim, generator=generator))
    return with_whitening(model, whitening)


def whitened_in_part(model):
    random = np.random.default_rng(1)
    rows = random.normal(size=(40, model.descriptor_dim)).astype(np.float32)
    return with_whitening(model, fit_partial_whitening(rows, 5))


def some_images(*shape):
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def in_torch(model, images):
    with torch.inference_mode():
        return model(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """Dynamic padding, the loop over a batch's length, and whitening: all that is hard."""
    model = whitened(some_model("efficientnet-lite0", vladv2=True), 7).train()
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    agreement = write_onnx(model, path)
    assert model.training
    return model.eval(), path, agreement


def test_a_partial_whitening_is_exported(tmp_path):
    model = whitened_in_part(some_model("efficientnet-lite0"))
    assert write_onnx(model, tmp_path / "model.onnx").largest_difference < 1e-5
    images = some_images(2, 3, 40, 50)
    (found,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"images": images})
    np.testing.assert_allclose(found, in_torch(model, images), atol=1e-5)


def test_onnxruntime_gives_the_descriptors_of_any_batch_and_size(lite):
    model, path, agreement = lite
    session = onnxruntime.InferenceSession(path)
    # Sizes of all residues that four strides of 2 can meet, the smallest included.
    for size in ((1, 3, 32, 33), (4, 3, 35, 62), (2, 3, 100, 57), (1, 3, 64, 64)):
        images = some_images(*size)
        (found,) = session.run(None, {"images": images})
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, in_torch(model, images), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert agreement.images == 12
    assert agreement.largest_difference < 1e-5
    assert agreement.smallest_cosine > 0.99999


def test_the_snippet_of_the_manual_describes_a_photo(lite, tmp_path, monkeypatch, capsys):
    manual = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
    (snippet,) = [
        code for code in re.findall(r"```python\n(.*?)```", manual, re.S) if "onnx" in code
    ]
    model, path, _ = lite
    shutil.copy(path, tmp_path / "model.onnx")
    Image.fromarray(some_images(600, 400, 3)).save(tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet, names)
    said = capsys.readouterr().out.splitlines()
    assert said == [metadata(model)["input"], f"(1, {model.descriptor_dim})"]
    expected = in_torch(model, np.ascontiguousarray(names["images"]))
    np.testing.assert_allclose(names["descriptors"], expected, atol=1e-4)


def test_the_file_says_what_it_is(lite):
    model, path, _ = lite
    content = onnx.load(path)
    (given,), (found,) = content.graph.input, content.graph.output
    assert (given.name, found.name) == ("images", "descriptors")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert found.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    axes = [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]
    said = {entry.key: entry.value for entry in content.metadata_props}
    assert said == metadata(model)
    assert (said["arch"], said["pooling"], said["dim"]) == ("efficientnet-lite0", "netvlad", "7")
    assert said["fingerprint"] == model_fingerprint(model)
    assert ModelSpec.from_json(json.loads(said["spec"])) == model.spec
    assert json.loads(said["mean"]) == [127.0] * 3
    assert json.loads(said["std"]) == [128.0] * 3
    assert "Apache-2.0" in said["licence"]
    assert (said["image_size"], said["minimum_side"]) == ("any", "32")
    # Where the package lies on this machine is not the reader's business.
    assert b"netvlad/export/module.py" not in path.read_bytes()


def test_torch_export_with_a_fixed_size(tmp_path):
    model = some_model("alexnet", "gem", resize=(64, 80))
    path = tmp_path / "model.pt2"
    assert write_torch_export(model, path).images == 4
    extra = {"netvlad.json": ""}
    program = torch.export.load(path, extra_files=extra)
    said = json.loads(extra["netvlad.json"])
    assert said == metadata(model)
    assert said["image_size"] == "64x80"
    assert "resize photos to 64x80" in said["input"]
    images = some_images(5, 3, 64, 80)
    found = program.module()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, in_torch(model, images), atol=1e-5)


def test_torch_export_of_vgg16_netvlad_with_any_size(tmp_path, monkeypatch):
    # VGG16 takes seconds for each of the usual pictures.
    monkeypatch.setattr(files, "_IMAGE_SIZES", ((32, 48), (49, 35)))
    model = some_model("vgg16")
    write_torch_export(model, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for size in ((1, 3, 40, 33), (3, 3, 32, 70)):
        images = some_images(*size)
        found = program(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(found, in_torch(model, images), atol=1e-5)


@pytest.mark.parametrize("arch", BACKBONES)
@pytest.mark.parametrize("pooling", AGGREGATORS)
def test_what_is_traced_is_the_same_function(arch, pooling):
    model = some_model(arch, pooling)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    module = ExportableModel(model)
    for size in ((2, 3, 48, 65), (1, 3, 51, 34)):
        images = some_images(*size)
        found = module(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(found, in_torch(model, images), atol=2e-6)
    assert any(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_without_branches_is_tensorflows(kernel):
    reference = SamePaddedConv2d(2, 4, kernel, stride=2)
    plain = torch.nn.Conv2d(2, 4, kernel, stride=2, bias=False)
    plain.load_state_dict(reference.state_dict())
    for size in ((8, 8), (7, 9), (8, 5), (1, 2)):
        features = torch.randn(1, 2, *size)
        with torch.no_grad():
            found, expected = plain(SamePadding(kernel)(features)), reference(features)
        torch.testing.assert_close(found, expected)


def test_a_longest_side_leaves_sizes_free():
    said = metadata(some_model("alexnet", "max", resize=256))
    assert said["image_size"] == "any"
    assert "at most 256 pixels" in said["input"]
    assert said["minimum_side"] == "47"


def test_test_images_are_of_several_sizes_and_kinds():
    model = some_model("alexnet", "max")
    batches = list(files._test_batches(model))
    assert {len(batch) for batch in batches} == {1, 3}
    assert len({batch.shape[2:] for batch in batches}) == 3
    assert min(min(batch.shape[2:]) for batch in batches) >= smallest_side(model)
    # Neighbouring pixels of a picture are alike, those of noise are not.
    steps = np.abs(np.diff(batches[-1].astype(float), axis=3)).mean(axis=(1, 2, 3))
    assert steps[0] < 30
    assert steps[1] > 60


@pytest.mark.parametrize("error", [3e-4, np.nan])
def test_a_file_that_differs_is_refused(error):
    model = some_model("alexnet", "max").train()

    def run(images):
        descriptors = in_torch(model, images)
        descriptors[-1, 5] += error
        return descriptors

    with pytest.raises(ModelError, match=r"differs from torch by (3\.0e-04|nan)"):
        files.require_agreement(model, run)
    assert model.training
    with pytest.raises(ModelError, match="of shape"):
        files.require_agreement(model, lambda images: in_torch(model, images)[:, :5])


def test_nothing_is_left_of_a_file_that_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match="it was not kept"):
        write_torch_export(some_model("alexnet", "max", resize=(32, 32)), tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(SettingsError, match=r"onnxscript: pip install 'netvlad\[export\]'"):
        write_onnx(some_model("alexnet", "max"), tmp_path / "m.onnx")
