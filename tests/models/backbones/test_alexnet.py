import pytest
import torch

from netvlad.models import alexnet


def test_layers_carry_torchvisions_numbers() -> None:
    backbone = alexnet()
    shapes = {key: tuple(value.shape) for key, value in backbone.state_dict().items()}
    assert {key: shape for key, shape in shapes.items() if key.endswith("weight")} == {
        "0.weight": (64, 3, 11, 11),
        "3.weight": (192, 64, 5, 5),
        "6.weight": (384, 192, 3, 3),
        "8.weight": (256, 384, 3, 3),
        "10.weight": (256, 256, 3, 3),
    }


def test_only_conv5_is_trained() -> None:
    backbone = alexnet()
    trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert trained == ["10.weight", "10.bias"]


def test_smallest_image() -> None:
    backbone = alexnet()
    size = backbone.minimum_size
    assert backbone(torch.rand(1, 3, size, size)).shape == (1, 256, 1, 1)
    with pytest.raises(RuntimeError):
        backbone(torch.rand(1, 3, size - 1, size))
