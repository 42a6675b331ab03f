from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from netvlad.errors import WeightsError
from netvlad.models import BACKBONES, Backbone, alexnet, load_backbone_weights, read_tensors
from netvlad.models.weights import locate_published

PUBLISHED = BACKBONES["alexnet"].weights


@pytest.fixture(scope="module")
def source() -> Backbone:
    return alexnet()


class RunsCode:
    """A pickle that would leave a file behind if anybody ran it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


def load(path: Path) -> dict[str, Tensor]:
    backbone = alexnet()
    load_backbone_weights(backbone, path, published=PUBLISHED)
    return backbone.state_dict()


def assert_same(state: dict[str, Tensor], source: Backbone, atol: float = 0.0) -> None:
    for key, value in source.state_dict().items():
        assert state[key].dtype == torch.float32
        torch.testing.assert_close(state[key], value, atol=atol, rtol=0)


@pytest.mark.parametrize(
    "prefix",
    ["", "features.", "encoder.", "encoder.module.", "module.", "module.features.", "backbone."],
)
def test_prefixes(source: Backbone, tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "weights.pth"
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(
        state | {"classifier.0.weight": torch.ones(2), "pool.centroids": torch.ones(3)}, path
    )
    assert_same(load(path), source)


@pytest.mark.parametrize("container", ["state_dict", "model"])
def test_nested(source: Backbone, tmp_path: Path, container: str) -> None:
    path = tmp_path / "weights.tar"
    torch.save({container: source.state_dict(), "epoch": 3}, path)
    assert_same(load(path), source)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_half_precision(source: Backbone, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    state = {f"features.{key}": value.half() for key, value in source.state_dict().items()}
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    assert_same(load(path), source, atol=1e-3)


def test_published_keys_in_a_file(tmp_path: Path) -> None:
    """The package's file, copied elsewhere and given by name."""
    record = BACKBONES["efficientnet-lite0"]
    original = locate_published(record.weights["imagenet"])
    path = tmp_path / "mine.pth"
    path.write_bytes(original.read_bytes())
    backbone = record.build(None)
    load_backbone_weights(backbone, path, published={}, translate_key=record.translate_key)
    weight = torch.load(original, weights_only=True)["_conv_stem.weight"]
    torch.testing.assert_close(backbone.state_dict()["stem.conv.weight"], weight)


def test_hed_trunk(shared: Path) -> None:
    record = BACKBONES["vgg16"]
    backbone = record.build(None)
    path = shared / "weights/vgg16_hed_fp16.pth"
    load_backbone_weights(backbone, path, published=record.weights)
    expected = read_tensors(path)["features.28.weight"].float()
    torch.testing.assert_close(backbone.state_dict()["28.weight"], expected)


def test_missing_weights_are_listed(source: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    state = source.state_dict()
    torch.save({key: state[key] for key in ("0.weight", "0.bias", "3.weight")}, path)
    with pytest.raises(WeightsError, match=r"7 of 10 weights are missing \(3\.bias, .*\.\.\.\)"):
        load(path)


def test_wrong_shape_is_named_and_nothing_is_loaded(source: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**source.state_dict(), "10.bias": torch.ones(5)}, path)
    backbone = alexnet()
    before = backbone.state_dict()["0.weight"].clone()
    with pytest.raises(WeightsError, match=r"10\.bias has shape \(5,\), expected \(256,\)"):
        load_backbone_weights(backbone, path, published={})
    assert torch.equal(backbone.state_dict()["0.weight"], before)


@pytest.mark.parametrize("nested", [False, True])
def test_code_is_never_run(tmp_path: Path, nested: bool) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "it ran"
    content = RunsCode(trace)
    torch.save({"state_dict": {"0.weight": content}} if nested else content, path)
    with pytest.raises(WeightsError, match="refused, because it asks to run code") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pth", b"these are not weights"),
        ("empty.pth", b""),
        ("zip.pt", b"PK\x03\x04 and then nothing"),
        ("text.safetensors", b"these are not weights"),
        ("empty.safetensors", b""),
    ],
)
def test_files_that_hold_no_weights(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}.*(is not|damaged)") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [3, [1, 2], {}, {"epoch": 3}])
def test_other_content(tmp_path: Path, content: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="holds no weights"):
        load(path)


def test_truncated_file(source: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="damaged"):
        load(path)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="folder"):
        load(tmp_path)
