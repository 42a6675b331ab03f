from pathlib import Path

import pytest
import torch

from netvlad.errors import ModelError, WeightsError
from netvlad.models import AGGREGATORS, BACKBONES, ModelSpec, build_model


@pytest.mark.parametrize("arch", BACKBONES)
@pytest.mark.parametrize("pooling", AGGREGATORS)
def test_every_combination(arch: str, pooling: str) -> None:
    model = build_model(ModelSpec(arch=arch, pooling=pooling, num_clusters=3), weights=None)
    assert model.encoder.name == arch
    assert not model.training
    with torch.no_grad():
        output = model(torch.zeros(1, 3, 40, 40, dtype=torch.uint8))
    assert output.shape == (1, model.descriptor_dim)
    assert torch.isfinite(output).all()


def test_a_built_model_knows_its_cut_and_can_be_built_again() -> None:
    model = build_model(ModelSpec(arch="alexnet"), weights=None)
    assert model.spec.cut == 10
    again = build_model(model.spec, weights=None)
    again.load_state_dict(model.state_dict())
    assert again.spec == model.spec
    assert build_model(ModelSpec(arch="alexnet", cut=8), weights=None).encoder.cut == 8


def test_every_record_says_where_weights_come_from_and_their_licence() -> None:
    for name, record in BACKBONES.items():
        assert record.name == name
        weights = record.weights["imagenet"]
        assert weights.licence
        assert weights.sha256_prefix in weights.file_name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec(arch="resnet9"), "resnet9.*vgg16, alexnet, efficientnet-lite0"),
        (ModelSpec(pooling="median"), "median.*netvlad, max, avg, gem"),
        (ModelSpec(cut=99), "cut is 99"),
    ],
)
def test_unknown_names(spec: ModelSpec, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(spec, weights=None)


def test_from_scratch_takes_no_weights() -> None:
    with pytest.raises(ModelError, match="from scratch"):
        build_model(ModelSpec(from_scratch=True), weights="imagenet")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth: there is no such file.*imagenet, none"):
        build_model(ModelSpec(arch="alexnet"), weights=tmp_path / "absent.pth")
