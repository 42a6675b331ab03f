"""Learned matchers whose weights are made up: random features, and a LightGlue that can be computed
by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

NAMES = {
    "disk-lightglue": ("depth-save.pth", "disk_lightglue_v0-1_arxiv-pth"),
    "aliked-lightglue": ("aliked-n16.pth", "aliked_lightglue_v0-1_arxiv-pth"),
}
"""Where each is looked for in torch's cache: the detector's weights, and LightGlue's."""

SHARPNESS = {"disk-lightglue": 100.0, "aliked-lightglue": 20000.0}
"""What similarities are multiplied by before the softmax: random weights leave the descriptors of
ALIKED nearly alike."""


def blocks(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """Random coloured rectangles over each other: corners everywhere, none like another."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, dtype=np.uint8)
    for _ in range(height * width // 150):
        top, left = random.integers(0, height), random.integers(0, width)
        tall, wide = random.integers(4, 20, 2)
        picture[top : top + tall, left : left + wide] = random.integers(0, 256, 3)
    return picture


def save_weights(folder: Path, feature: Any, matcher: str, seed: int = 0) -> None:
    """Put weights for kornia's ``feature`` modules where they would be downloaded to."""
    folder.mkdir(parents=True, exist_ok=True)
    detector, lightglue = NAMES[matcher]
    torch.manual_seed(seed)
    if matcher == "disk-lightglue":
        torch.save({"extractor": feature.DISK().state_dict()}, folder / detector)
    else:
        torch.save(_aliked(feature).state_dict(), folder / detector)
    state = similarity_alone(feature, SHARPNESS[matcher])
    torch.save(_as_first_published(state), folder / lightglue)


def similarity_alone(feature: Any, sharpness: float) -> dict[str, torch.Tensor]:
    """A LightGlue whose layers add nothing: what is left is a softmax of similarities both ways."""
    state = feature.LightGlue(None, input_dim=128).state_dict()
    for name, value in state.items():
        if name != "confidence_thresholds":
            value.zero_()
        if name.endswith("final_proj.weight"):
            # Both sides are divided by 256^(1/4).
            value.copy_(torch.eye(256) * (16 * sharpness) ** 0.5)
        elif name.endswith(("matchability.bias", "token.0.bias")):
            value.fill_(20.0)  # all can be matched, and the first layer is sure
    state["input_proj.weight"] += torch.eye(256, 128)
    return state


def _aliked(feature: Any) -> torch.nn.Module:
    aliked: torch.nn.Module = feature.ALIKED("aliked-n16")
    pictures = torch.stack([torch.tensor(blocks(seed)) for seed in range(4)])
    with torch.no_grad():  # statistics of some pictures: else all descriptors are one
        for module in aliked.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        aliked(pictures.permute(0, 3, 1, 2).float() / 255)
    return aliked


def _as_first_published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Under the names of LightGlue's first files, without what the network computes itself."""
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "transformers":
            parts = [parts[2], parts[1], *parts[3:]]
        if name != "confidence_thresholds":
            renamed[".".join(parts)] = value
    return renamed
