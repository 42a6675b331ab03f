"""The NetVLAD layer alone, timed on both sides by the same code."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.original.layer import OriginalNetVLAD
from benchmarks.setting import CELLS, CHANNELS, NUM_CLUSTERS, SEED
from benchmarks.timing import median_seconds
from netvlad.models import NetVLAD

TOLERANCE = 1e-5


def layers(
    num_clusters: int = NUM_CLUSTERS, dim: int = CHANNELS, *, device: str = "cpu"
) -> dict[str, nn.Module]:
    """Our layer and the original's, with the same parameters."""
    torch.manual_seed(SEED)
    ours = NetVLAD(num_clusters, dim)
    original = OriginalNetVLAD(num_clusters, dim)
    original.load_state_dict(ours.state_dict())
    return {"ours": ours.to(device), "original": original.to(device)}


def features(images: int, dim: int = CHANNELS, *, device: str = "cpu") -> Tensor:
    """Maps (images, dim, 15, 20) as VGG16 gives them for 240×320 pixels, contiguous."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(images, dim, *CELLS, generator=generator).to(device)


def forward(layer: nn.Module, maps: Tensor) -> Callable[[], object]:
    """A pass without gradients."""

    def work() -> Tensor:
        with torch.inference_mode():
            described: Tensor = layer(maps)
        return described

    return work


def forward_backward(layer: nn.Module, maps: Tensor) -> Callable[[], object]:
    """A pass with gradients of all parameters and of the input."""
    inputs = maps.detach().requires_grad_()
    with torch.no_grad():
        weights = torch.randn_like(layer(maps[:1])).expand(len(maps), -1)

    def work() -> None:
        layer.zero_grad()
        inputs.grad = None
        layer(inputs).backward(weights)

    return work


def time_layer(
    layer: nn.Module, maps: Tensor, *, backward: bool, repeats: int, device: str = "cpu"
) -> float:
    """Median seconds of a pass; both sides come through here."""
    work = (forward_backward if backward else forward)(layer, maps)
    return median_seconds(work, repeats=repeats, warm_up=2, device=device)


@torch.no_grad()
def largest_difference(maps: Tensor, pair: dict[str, nn.Module]) -> float:
    """How far our output is from the original's, at most."""
    ours, original = (pair[side](maps) for side in ("ours", "original"))
    return float((ours - original).abs().max())
