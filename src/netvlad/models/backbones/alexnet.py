"""AlexNet up to conv5, in its one-column form (Krizhevsky, arXiv 1404.5997)."""

from collections import OrderedDict

from torch import nn

from netvlad.models.backbones.backbone import Backbone
from netvlad.models.preprocessing import IMAGENET

_CONV5 = 10


def alexnet(*, cut: int | None = None) -> Backbone:
    """Build AlexNet up to and including conv5, without its ReLU and the last pool.

    Children carry torchvision's numbers, ``0`` to ``10``; it has 256 channels and stride 16.
    ``cut`` leading children are frozen, by default 10, everything before conv5; a ModelError where
    that is out of range.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
    ]
    return Backbone(
        OrderedDict((str(index), layer) for index, layer in enumerate(layers)),
        name="alexnet",
        channels=256,
        stride=16,
        cut=_CONV5 if cut is None else cut,
        # 31 pixels leave 7 after conv1, 3 after the first pool and 1 after the second.
        minimum_size=31,
        preprocessing=IMAGENET,
    )
