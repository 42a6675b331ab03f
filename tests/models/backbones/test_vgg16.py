import pytest
import torch
from torch import nn

from netvlad.errors import ModelError
from netvlad.models import IMAGENET, vgg16

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def test_layers_carry_torchvisions_numbers() -> None:
    backbone = vgg16()
    expected = {f"{index}.{kind}" for index in CONVOLUTIONS for kind in ("weight", "bias")}
    assert set(backbone.state_dict()) == expected
    assert isinstance(backbone[-1], nn.Conv2d)
    assert [index for index, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)] == [
        4, 9, 16, 23,
    ]  # fmt: skip
    assert (backbone.name, backbone.channels, backbone.stride) == ("vgg16", 512, 16)
    assert backbone.preprocessing == IMAGENET


def test_everything_before_conv5_1_is_frozen() -> None:
    backbone = vgg16()
    trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert trained == [f"{index}.{kind}" for index in (24, 26, 28) for kind in ("weight", "bias")]
    assert backbone.cut == len(backbone.trunk) == 24
    assert backbone.tail.get_submodule("24") is backbone[24]
    assert len(list(vgg16(cut=0).trunk.parameters())) == 0
    assert all(weight.requires_grad for weight in vgg16(cut=0).parameters())


def test_smallest_image() -> None:
    backbone = vgg16()
    size = backbone.minimum_size
    assert backbone(torch.rand(1, 3, size, size)).shape == (1, 512, 1, 1)
    with pytest.raises(RuntimeError):
        backbone(torch.rand(1, 3, size - 1, size))


def test_a_tail_that_starts_with_relu_leaves_the_trunks_output_alone() -> None:
    backbone = vgg16(cut=1)
    features = backbone.trunk(torch.rand(1, 3, 16, 16))
    kept = features.clone()
    backbone.tail(features)
    torch.testing.assert_close(features, kept)


def test_impossible_cut() -> None:
    with pytest.raises(ModelError, match="cut is 30"):
        vgg16(cut=30)
