import pytest
import torch

from netvlad.errors import ModelError
from netvlad.models import CENTRED, IMAGENET, Preprocessing


def test_equals_the_usual_three_steps() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = (values.float() / 255 - mean) / std
    torch.testing.assert_close(IMAGENET(values), expected, atol=1e-6, rtol=0)


def test_floating_point_is_in_the_units_of_uint8() -> None:
    values = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    torch.testing.assert_close(CENTRED(values.float()), CENTRED(values))
    assert CENTRED(values.double()).dtype == torch.float64
    assert CENTRED(torch.full((1, 3, 1, 1), 255.0)).max() == 1.0


def test_impossible_values() -> None:
    with pytest.raises(ModelError, match="positive"):
        Preprocessing((0, 0, 0), (1, 0, 1))
    with pytest.raises(ModelError, match="3 means"):
        Preprocessing((0, 0), (1, 1))  # type: ignore[arg-type]
