"""EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946; the Lite variant drops squeeze-and-excitation
and swish): small, fast on a CPU, easy to quantise.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.errors import ModelError
from netvlad.models.backbones.backbone import Backbone
from netvlad.models.preprocessing import CENTRED

# TensorFlow's batch normalisation, in which the weights were trained (momentum 0.99 there).
_NORM_EPSILON = 1e-3
_NORM_MOMENTUM = 0.01
_STEM_CHANNELS = 32
_FIRST_TRAINED_STAGE = 4


@dataclass(frozen=True)
class _Stage:
    expand: int
    channels: int
    repeats: int
    stride: int
    kernel: int


# Table 1 of the paper; the Lite variant keeps the widths and depths.
_STAGES = (
    _Stage(expand=1, channels=16, repeats=1, stride=1, kernel=3),
    _Stage(expand=6, channels=24, repeats=2, stride=2, kernel=3),
    _Stage(expand=6, channels=40, repeats=2, stride=2, kernel=5),
    _Stage(expand=6, channels=80, repeats=3, stride=2, kernel=3),
    _Stage(expand=6, channels=112, repeats=3, stride=1, kernel=5),
    _Stage(expand=6, channels=192, repeats=4, stride=2, kernel=5),
    _Stage(expand=6, channels=320, repeats=1, stride=1, kernel=3),
)


class SamePaddedConv2d(nn.Conv2d):
    """A convolution without bias whose output has ⌈size / stride⌉ cells, as TensorFlow pads it.

    With stride 2 the padding depends on the size of the input, and an odd remainder goes to the
    right and the bottom.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (B, C, H, W) into (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        return self.convolve(features, self.weight, None)

    def convolve(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with other weights, and a bias."""
        stride = self.stride[0]
        if stride == 1:
            padding = self.kernel_size[0] // 2
            return F.conv2d(features, weight, bias, padding=padding, groups=self.groups)
        top, bottom = self._padding(features.shape[2])
        left, right = self._padding(features.shape[3])
        if top == bottom and left == right:
            padded, inside = features, (top, left)
        else:
            padded, inside = F.pad(features, (left, right, top, bottom)), (0, 0)
        return F.conv2d(padded, weight, bias, stride=stride, padding=inside, groups=self.groups)

    def _padding(self, size: int) -> tuple[int, int]:
        stride, kernel = self.stride[0], self.kernel_size[0]
        cells = -(-size // stride)
        total = max((cells - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class Convolution(nn.Sequential):
    """Convolution, batch normalisation, and perhaps an activation.

    While the normalisation keeps its statistics it is a scale and a shift, which are folded into
    the weights on every call: exact up to rounding, gradients included, and no large map is read
    and written once more.
    """

    conv: SamePaddedConv2d
    norm: nn.BatchNorm2d

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        if self.norm.training or self.norm.running_var is None:
            output: Tensor = self.norm(self.conv(features))
        else:
            output = self.conv.convolve(features, *self.folded())
        for activation in list(self)[2:]:
            output = activation(output)
        return output

    def folded(self) -> tuple[Tensor, Tensor]:
        """The weights and the bias of the convolution that does what both layers do."""
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = self.conv.weight * scale[:, None, None, None]
        return weight, norm.bias - norm.running_mean * scale


class InvertedResidual(nn.Sequential):
    """Expand, filter each channel, project (Sandler et al., arXiv 1801.04381, section 3.3)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, expand: int, stride: int, kernel: int
    ) -> None:
        width = in_channels * expand
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expand != 1:
            layers["expand"] = _convolution(in_channels, width, 1)
        layers["depthwise"] = _convolution(width, width, kernel, stride=stride, groups=width)
        layers["project"] = _convolution(width, out_channels, 1, activation=False)
        super().__init__(layers)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        output = features
        for layer in self:
            output = layer(output)
        return features + output if self.adds_input else output


def efficientnet_lite0(
    *, cut: int | None = None, last_stage: int = 5, name: str = "efficientnet-lite0"
) -> Backbone:
    """Build EfficientNet-Lite0 up to and including one of its seven stages.

    Children are ``stem``, ``stage1``, ``stage2``, ... Without training, the map after the fifth
    stage tells places apart better than the last one.

    Args:
        cut: leading children to freeze; by default everything before ``stage4`` (or before the
            last stage, where that comes earlier).
        last_stage: 1 to 7; the channels of the output are 16, 24, 40, 80, 112 (the default), 192
            or 320 and its stride 2, 4, 8, 16, 16 (the default), 32 or 32.
        name: what the registry calls this variant.

    Raises:
        ModelError: ``last_stage`` or ``cut`` is out of range.
    """
    if not 1 <= last_stage <= len(_STAGES):
        raise ModelError(f"{name}: last_stage is {last_stage}, expected 1 to {len(_STAGES)}")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["stem"] = _convolution(3, _STEM_CHANNELS, 3, stride=2)
    channels, total_stride = _STEM_CHANNELS, 2
    for number, stage in enumerate(_STAGES[:last_stage], start=1):
        layers[f"stage{number}"] = _build_stage(channels, stage)
        channels = stage.channels
        total_stride *= stage.stride
    return Backbone(
        layers,
        name=name,
        channels=channels,
        stride=total_stride,
        cut=min(last_stage, _FIRST_TRAINED_STAGE) if cut is None else cut,
        minimum_size=1,
        preprocessing=CENTRED,
    )


def translate_published_key(key: str) -> str:
    """Turn a key of the published weights into a key of this backbone.

    ``_conv_stem.weight`` becomes ``stem.conv.weight`` and ``_blocks.2._bn1.bias``, in the second
    block of the second stage, ``stage2.1.depthwise.norm.bias``. Other keys stay as they are.
    """
    head, _, rest = key.partition(".")
    if head == "_conv_stem":
        return f"stem.conv.{rest}"
    if head == "_bn0":
        return f"stem.norm.{rest}"
    if head != "_blocks":
        return key
    number, layer, parameter = rest.split(".", 2)
    stage, block = _BLOCK_PLACES[int(number)]
    return f"stage{stage}.{block}.{_PUBLISHED_LAYERS[layer]}.{parameter}"


_PUBLISHED_LAYERS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
# The published numbering runs through all stages.
_BLOCK_PLACES = tuple(
    (number, block)
    for number, stage in enumerate(_STAGES, start=1)
    for block in range(stage.repeats)
)


def _build_stage(in_channels: int, stage: _Stage) -> nn.Sequential:
    blocks = [(in_channels, stage.stride)] + [(stage.channels, 1)] * (stage.repeats - 1)
    return nn.Sequential(
        *(
            InvertedResidual(
                channels, stage.channels, expand=stage.expand, stride=stride, kernel=stage.kernel
            )
            for channels, stride in blocks
        )
    )


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> Convolution:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = SamePaddedConv2d(
        in_channels, out_channels, kernel, stride=stride, groups=groups
    )
    layers["norm"] = nn.BatchNorm2d(out_channels, eps=_NORM_EPSILON, momentum=_NORM_MOMENTUM)
    if activation:
        layers["activation"] = nn.ReLU6(inplace=True)
    return Convolution(layers)
