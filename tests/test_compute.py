import subprocess
import sys

import pytest
import torch

from netvlad.compute import Compute
from netvlad.errors import SettingsError


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"precision": "fp8"}, "choose one of 32, bf16, 16"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": -1}, "at least 1 and 0"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong, words):
    with pytest.raises(SettingsError, match=words):
        Compute(**wrong)


@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_devices(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert Compute().torch_device() == torch.device("cuda" if gpus else "cpu")
    assert Compute("cpu").torch_device() == torch.device("cpu")
    for number, name in enumerate(("cuda:0", "cuda:1")):
        if number < gpus:
            assert Compute(name).torch_device() == torch.device(name)
        else:
            with pytest.raises(SettingsError, match="no GPU found"):
                Compute(name).torch_device()
    with pytest.raises(SettingsError, match="choose auto, cpu or cuda"):
        Compute("gpu").torch_device()


class Lying:
    """A network that says where it lies."""

    def __init__(self, device):
        self.device = torch.device(device)

    def to(self, device):
        return Lying(device)


@pytest.mark.parametrize(
    "wanted, lies, goes",
    [
        ("auto", "cpu", "cuda"),
        ("auto", "cuda:1", "cuda:1"),
        ("cpu", "cuda:1", "cpu"),
        ("cuda:0", "cuda:1", "cuda:0"),
    ],
)
def test_where_a_model_goes(monkeypatch, wanted, lies, goes):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Compute(wanted).place(Lying(lies)).device == torch.device(goes)


@pytest.mark.parametrize(
    "precision, kind", [("32", torch.float32), ("bf16", torch.bfloat16), ("16", torch.float16)]
)
def test_precision_is_the_type_of_products(precision, kind):
    a = torch.ones(2, 2)
    with Compute(precision=precision).autocast(a.device):
        assert (a @ a).dtype == kind


def test_the_record_brings_no_torch():
    code = "import sys, netvlad.compute as c; c.Compute(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
