"""VGG16 up to conv5_3 (Simonyan and Zisserman, arXiv 1409.1556, configuration D)."""

from collections import OrderedDict

from torch import nn

from netvlad.models.backbones.backbone import Backbone
from netvlad.models.preprocessing import IMAGENET

# Output channels of the 3×3 convolutions, block by block; a 2×2 max pool lies between blocks.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_CONV5_1 = 24


def vgg16(*, cut: int | None = None) -> Backbone:
    """Build VGG16 up to and including conv5_3, without its ReLU and the last pool.

    NetVLAD aggregates this map (Arandjelović et al., arXiv 1511.07247, section 5). Children carry
    torchvision's numbers, ``0`` to ``28``; it has 512 channels and stride 16. ``cut`` leading
    children are frozen, by default 24, everything before conv5_1; a ModelError where that is out
    of range.
    """
    layers: list[nn.Module] = []
    channels = 3
    for number, block in enumerate(_BLOCKS):
        if number > 0:
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        for width in block:
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            layers.append(nn.ReLU(inplace=True))
            channels = width
    layers.pop()  # The ReLU after conv5_3.
    return Backbone(
        OrderedDict((str(index), layer) for index, layer in enumerate(layers)),
        name="vgg16",
        channels=channels,
        stride=16,
        cut=_CONV5_1 if cut is None else cut,
        minimum_size=16,
        preprocessing=IMAGENET,
    )
