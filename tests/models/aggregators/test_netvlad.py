from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from netvlad.errors import ClusterError, ModelError
from netvlad.models import NetVLAD


def slow_netvlad(layer: NetVLAD, features: Tensor) -> Tensor:
    """Equation 4 of the paper, cell by cell and cluster by cluster."""
    rows = []
    for feature_map in features:
        cells = [cell / cell.norm() for cell in feature_map.flatten(1).T]
        bias = torch.zeros(layer.num_clusters) if layer.conv.bias is None else layer.conv.bias
        weights = layer.conv.weight[:, :, 0, 0]
        assigned = [torch.softmax(weights @ x + bias.to(x.dtype), dim=0) for x in cells]
        blocks = []
        for k in range(layer.num_clusters):
            residual = sum(
                a[k] * (x - layer.centroids[k]) for a, x in zip(assigned, cells, strict=True)
            )
            blocks.append(residual / residual.norm())
        row = torch.cat(blocks)
        rows.append(row / row.norm())
    return torch.stack(rows)


def clusters(k: int, dim: int, m: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(k + dim)
    descriptors = F.normalize(torch.randn(m, dim, generator=generator), dim=1)
    centres = torch.stack([part.mean(dim=0) for part in descriptors.chunk(k)])
    return centres, descriptors


@pytest.mark.parametrize("vladv2", [False, True])
@pytest.mark.parametrize("shape", [(2, 6, 3, 5), (1, 6, 1, 1)])
def test_equals_the_equation_written_out(vladv2: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = NetVLAD(4, 6, vladv2)
    layer.init_from_clusters(*clusters(4, 6))
    features = torch.randn(shape)
    output = layer(features)
    assert output.shape == (shape[0], layer.output_dim) == (shape[0], 24)
    torch.testing.assert_close(output, slow_netvlad(layer, features), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(output.norm(dim=1), torch.ones(shape[0]))


def test_is_what_pytorch_netvlad_computes(shared: Path) -> None:
    golden = np.load(shared / "golden/netvlad_layer.npz")
    layer = NetVLAD(8, 16)
    layer.init_from_clusters(
        torch.from_numpy(golden["cluster_centres"]),
        torch.from_numpy(golden["training_descriptors"]),
    )
    assert layer.alpha == pytest.approx(float(golden["alpha"]), rel=1e-5)
    for name, value in (
        ("conv_weight", layer.conv.weight),
        ("centroids", layer.centroids),
        ("output", layer(torch.from_numpy(golden["features"]))),
    ):
        np.testing.assert_allclose(value.detach().numpy(), golden[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("vladv2", [False, True])
def test_gradients(vladv2: bool) -> None:
    torch.manual_seed(0)
    layer = NetVLAD(3, 4, vladv2).double()
    features = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(layer.parameters())
    names = [name for name, _ in layer.named_parameters()]

    def run(features: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, state, (features,))

    assert torch.autograd.gradcheck(run, (features, *parameters))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_v2_assigns_by_distance(dtype: torch.dtype) -> None:
    """The assignment is softmax(−alpha‖x − c‖²), which the original misses (its fault 3)."""
    layer = NetVLAD(8, 16, vladv2=True)
    centres, descriptors = clusters(8, 16)
    layer.init_from_clusters(centres, descriptors)
    assert layer.alpha is not None
    if dtype == torch.float64:
        layer = layer.double()
        layer.init_from_clusters(centres, descriptors)
    squared = torch.cdist(descriptors.double(), centres.double()).square()
    expected = torch.softmax(-layer.alpha * squared, dim=1)
    assigned = layer.conv(descriptors.to(dtype)[:, :, None, None]).softmax(dim=1)[:, :, 0, 0]
    assert (assigned - expected).abs().max() < 1e-6


def test_alpha_makes_the_nearest_centre_a_hundred_times_heavier() -> None:
    centres, descriptors = clusters(8, 16)
    squared, _ = torch.cdist(descriptors.double(), centres.double()).square().sort(dim=1)
    layer = NetVLAD(8, 16, vladv2=True)
    layer.init_from_clusters(centres, descriptors)
    assert layer.alpha == pytest.approx(
        -np.log(0.01) / (squared[:, 1] - squared[:, 0]).mean().item()
    )


@pytest.mark.parametrize("vladv2", [False, True])
def test_state_keys_are_those_of_pytorch_netvlad(vladv2: bool) -> None:
    layer = NetVLAD(5, 6, vladv2)
    layer.init_from_clusters(*clusters(5, 6))
    shapes = {key: tuple(value.shape) for key, value in layer.state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {"centroids": (5, 6), "conv.weight": (5, 6, 1, 1)}
    if vladv2:
        expected["conv.bias"] = (5,)
    assert shapes == expected


@pytest.mark.parametrize("vladv2", [False, True])
def test_a_single_cluster(vladv2: bool) -> None:
    layer = NetVLAD(1, 6, vladv2)
    layer.init_from_clusters(*clusters(1, 6))
    assert layer.alpha == pytest.approx(-np.log(0.01))
    features = torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(layer(features), slow_netvlad(layer, features))


def test_bfloat16_autocast_stays_close() -> None:
    torch.manual_seed(0)
    layer = NetVLAD(8, 16)
    layer.init_from_clusters(*clusters(8, 16))
    features = torch.randn(2, 16, 5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(features.bfloat16())
    assert output.dtype == torch.float32
    assert (output - layer(features)).abs().max() < 0.02


def test_memory_format_does_not_matter() -> None:
    layer = NetVLAD(8, 16)
    features = torch.randn(2, 16, 5, 7)
    channels_last = features.to(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(channels_last), layer(features))


def test_blank_features_give_finite_gradients() -> None:
    layer = NetVLAD(3, 4)
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize(
    ("centres", "descriptors", "message"),
    [
        ((7, 6), (50, 6), r"\(7, 6\) do not fit a NetVLAD layer of shape \(5, 6\)"),
        ((5, 4), (50, 4), r"\(5, 4\) do not fit a NetVLAD layer of shape \(5, 6\)"),
        ((5, 6), (50, 4), r"\(50, 4\) do not fit a NetVLAD layer with 6 channels"),
        ((5, 6), (0, 6), r"\(0, 6\)"),
        ((5, 6), (6,), r"\(6,\)"),
    ],
)
def test_shapes_that_disagree_are_named(
    centres: tuple[int, ...], descriptors: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        NetVLAD(5, 6).init_from_clusters(torch.randn(centres), torch.randn(descriptors))


def test_equal_centres_are_refused() -> None:
    with pytest.raises(ClusterError, match="cannot be told apart"):
        NetVLAD(2, 3).init_from_clusters(torch.ones(2, 3), torch.randn(9, 3))


def test_centres_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ClusterError, match="NaN"):
        NetVLAD(2, 3).init_from_clusters(torch.full((2, 3), torch.nan), torch.randn(9, 3))


def test_wrong_use_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="at least 1 cluster"):
        NetVLAD(0, 6)
    with pytest.raises(ModelError, match=r"\(N, 6, H, W\), got \(2, 5, 3, 3\)"):
        NetVLAD(4, 6)(torch.randn(2, 5, 3, 3))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_compiles_into_one_graph(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = NetVLAD(8, 16)
    features = torch.randn(2, 16, 5, 7).to(memory_format=memory_format)
    # The graph is what can break; generating code for it takes a compiler and half a minute.
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(features), layer(features))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = compiled(features.bfloat16())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, layer(features), atol=2e-2, rtol=0)


class _LargestTensor(TorchDispatchMode):
    """Watches what every operation, forwards and backwards, puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return output


def test_nothing_as_large_as_all_residuals_is_ever_made() -> None:
    n, k, d, h, w = 3, 8, 32, 9, 11
    layer = NetVLAD(k, d)
    features = torch.randn(n, d, h, w, requires_grad=True)
    with _LargestTensor() as watched:
        layer(features).sum().backward()
    assert n * d * h * w <= watched.numel < n * k * d * h * w / 7
