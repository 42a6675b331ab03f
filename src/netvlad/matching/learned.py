"""Learned local features, DISK and ALIKED, matched by LightGlue: kornia's modules, our weights.

DISK: Tyszkiewicz, Fua and Trulls, NeurIPS 2020. ALIKED: Zhao et al., IEEE TIM 2023. LightGlue:
Lindenberger, Sarlin and Pollefeys, ICCV 2023.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netvlad.errors import SettingsError, WeightsError
from netvlad.matching.features import LocalFeatures, Pairs, no_pairs, shrunk
from netvlad.models.weights import WeightsRecord, locate_published, read_torch_file
from netvlad.storage import fingerprint
from netvlad.types import Reporter, silent

MAX_SIDE = 640
"""Photos are shrunk until their longer side has this many pixels: those of most data sets have
640 × 480. Nothing was measured to choose it."""

MAX_POINTS = 1000
"""Features kept of a photo: those with the highest score."""

FORMAT = 1
"""Of the cached files. Another number, as every change of the features needs, forgets them."""

_DIMENSION = 128
_LEAST_SIDE = 32  # of the coarsest layer's pixels there must be several
_STATISTICS = ("running_mean", "running_var")
_SHOWN_KEYS = 3
_APACHE = "Apache-2.0"
_HUB = "https://huggingface.co/kornia"

# The copies that kornia 0.9 tries first, under the names it keeps them by in torch's cache. It
# checks no hash of any of them, and no SHA-256 of them is known here.
DISK, DISK_LIGHTGLUE, ALIKED, ALIKED_LIGHTGLUE = (
    WeightsRecord(
        file_name=name,
        url=f"{_HUB}/{page}",
        sha256_prefix="",
        licence=licence,
        description=description,
        entry=entry,
    )
    for name, page, entry, licence, description in (
        ("depth-save.pth", "disk/resolve/main/depth-save.pth", "extractor", _APACHE, "DISK"),
        (
            "disk_lightglue_v0-1_arxiv-pth",
            "lightglue/resolve/main/disk_lightglue.pth",
            "",
            _APACHE,
            "LightGlue for DISK",
        ),
        ("aliked-n16.pth", "aliked/resolve/main/aliked-n16.pth", "", "BSD-3-Clause", "ALIKED"),
        (
            "aliked_lightglue_v0-1_arxiv-pth",
            "lightglue/resolve/main/aliked_lightglue.pth",
            "",
            _APACHE,
            "LightGlue for ALIKED",
        ),
    )
)


class _Found(Protocol):
    """What kornia's detectors return for one picture."""

    keypoints: Tensor
    descriptors: Tensor


Detect = Callable[[Tensor], _Found]
"""From a picture (1, 3, H, W) in [0, 1] to its points (n, 2) and descriptors (n, 128)."""


@dataclass(frozen=True, eq=False, repr=False)
class LightGlueMatcher:
    """Features of a network, matched by LightGlue.

    Attributes:
        detect: finds the features.
        lightglue: kornia's module, for features of that kind, in evaluation mode.
        format: names the features where they are kept, the weights they were found with included.
        device: where the networks lie.
        max_side: pixels of the longer side.
    """

    detect: Detect
    lightglue: nn.Module
    format: str
    device: str
    max_side: int = MAX_SIDE

    def extract(self, pixels: NDArray[np.uint8]) -> LocalFeatures:
        """Find and describe at most :data:`MAX_POINTS` points.

        Args:
            pixels: (H, W, 3) RGB; larger ones are shrunk to :attr:`max_side`.

        Returns:
            The features, descriptors in float16; none of a tiny picture.
        """
        small = shrunk(np.ascontiguousarray(pixels), self.max_side)
        size = (int(small.shape[0]), int(small.shape[1]))
        if min(size) < _LEAST_SIDE:
            nothing = np.zeros((0, _DIMENSION), np.float16)
            return LocalFeatures(np.zeros((0, 2), np.float32), nothing, size)
        # A copy: torch warns of arrays that may only be read, as Pillow's are.
        picture = torch.tensor(small, device=self.device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            found = self.detect(picture)
        return LocalFeatures(
            found.keypoints.float().cpu().numpy(),
            found.descriptors.half().cpu().numpy(),
            size,
        )

    def match(self, query: LocalFeatures, candidate: LocalFeatures) -> Pairs:
        """LightGlue's matches, each weighed by its confidence (above 0.1, kornia's default)."""
        if not len(query) or not len(candidate):
            return no_pairs()
        with torch.inference_mode():
            found = self.lightglue({"image0": self._side(query), "image1": self._side(candidate)})
        pairs, weights = found["matches"][0].cpu().numpy(), found["scores"][0].cpu().numpy()
        return pairs.astype(np.int64), weights.astype(np.float64)

    def _side(self, features: LocalFeatures) -> dict[str, Tensor]:
        descriptors = torch.from_numpy(features.descriptors.astype(np.float32))
        return {
            "keypoints": torch.from_numpy(features.points).to(self.device)[None],
            "descriptors": descriptors.to(self.device)[None],
            "image_size": torch.tensor([features.size[::-1]], device=self.device),
        }


def load_disk_lightglue(device: str, report: Reporter = silent) -> LightGlueMatcher:
    """DISK's features, as trained with depth maps, and the LightGlue trained for them.

    Args:
        device: where to compute.
        report: receives the progress of downloads.

    Raises:
        SettingsError: kornia is not installed.
        WeightsError: weights cannot be downloaded, or are not those of this network.
    """
    kornia = _kornia("disk-lightglue")
    disk = kornia.DISK()
    digest = _load_weights(disk, DISK, report)
    disk.to(device)
    return LightGlueMatcher(
        detect=lambda picture: disk(picture, n=MAX_POINTS, pad_if_not_divisible=True)[0],
        lightglue=_lightglue(kornia, DISK_LIGHTGLUE, device, report),
        format=f"disk {FORMAT} {digest}",
        device=device,
    )


def load_aliked_lightglue(device: str, report: Reporter = silent) -> LightGlueMatcher:
    """ALIKED's features, of its network n16, and the LightGlue trained for them.

    Args:
        device: where to compute.
        report: receives the progress of downloads.

    Raises:
        SettingsError: kornia is not installed.
        WeightsError: weights cannot be downloaded, or are not those of this network.
    """
    kornia = _kornia("aliked-lightglue")
    aliked = kornia.ALIKED("aliked-n16", max_num_keypoints=MAX_POINTS)
    digest = _load_weights(aliked, ALIKED, report)
    aliked.to(device)
    return LightGlueMatcher(
        detect=lambda picture: aliked(picture)[0],
        lightglue=_lightglue(kornia, ALIKED_LIGHTGLUE, device, report),
        format=f"aliked {FORMAT} {digest}",
        device=device,
    )


def _lightglue(kornia: Any, weights: WeightsRecord, device: str, report: Reporter) -> nn.Module:
    # With the name of a feature instead of None kornia would download by itself.
    lightglue: nn.Module = kornia.LightGlue(None, input_dim=_DIMENSION)
    _load_weights(lightglue, weights, report)
    return lightglue.to(device)


def _kornia(matcher: str) -> Any:
    """kornia's local features; imported here, because nothing else needs the package."""
    try:
        from kornia import feature  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"matcher {matcher}: kornia is not installed; pip install 'netvlad[matching]'"
        ) from error
    return feature


def _load_weights(module: nn.Module, weights: WeightsRecord, report: Reporter) -> str:
    """Load published weights into a network and put it into evaluation mode.

    Args:
        module: is changed in place.
        weights: which; the file in torch's cache, downloaded where it is not there.
        report: receives the progress of the download, and a note that its SHA-256 is not known.

    Returns:
        a fingerprint of the file.

    Raises:
        WeightsError: the file cannot be downloaded, is damaged, or holds another network's weights.
        StorageError: the download cannot be written.
    """
    path = locate_published(weights, report=report)
    content = read_torch_file(
        path, error=lambda reason: WeightsError(f"{reason}; delete it and try again")
    )
    if weights.entry and isinstance(content, Mapping):
        content = content.get(weights.entry)
    if not isinstance(content, Mapping):
        content = {}
    _fit(
        module,
        {_renamed(str(k)): v for k, v in content.items() if isinstance(v, Tensor)},
        path,
    )
    module.eval()
    return fingerprint(path.read_bytes())


def _renamed(key: str) -> str:
    """LightGlue's first files list its layers by kind; its modules count them."""
    return re.sub(r"^(self|cross)_attn\.(\d+)\.", r"transformers.\2.\1_attn.", key)


def _fit(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    needed = {name for name, _ in module.named_parameters()}
    # Other buffers are constants that the network computes itself; files may lack them.
    needed |= {name for name, _ in module.named_buffers() if name.endswith(_STATISTICS)}
    missing = sorted(needed - set(state))
    kind = type(module).__name__
    if missing:
        shown = ", ".join(missing[:_SHOWN_KEYS]) + (", ..." if len(missing) > _SHOWN_KEYS else "")
        raise WeightsError(
            f"{path}: does not fit {kind}: {len(missing)} of {len(needed)} weights are missing "
            f"({shown}); delete it and try again"
        )
    for name, value in module.state_dict().items():
        if name in state and state[name].shape != value.shape:
            raise WeightsError(
                f"{path}: does not fit {kind}: {name} has shape {tuple(state[name].shape)}, "
                f"expected {tuple(value.shape)}; delete it and try again"
            )
    module.load_state_dict(state, strict=False)
