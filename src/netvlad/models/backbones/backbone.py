"""What every backbone is: named layers in a row, cut into a frozen and a trained part."""

from collections import OrderedDict

from torch import nn

from netvlad.errors import ModelError
from netvlad.models.preprocessing import Preprocessing


class Backbone(nn.Sequential):
    """Layers in a row from normalised images (B, 3, H, W) to a map (B, channels, H', W').

    The names of the children are the keys under which weights are stored.

    Attributes:
        name: what the registry calls it.
        channels: depth D of the output map.
        stride: pixels from one cell of the output map to the next.
        cut: how many leading children are frozen (the trunk); 0 trains everything.
        minimum_size: smallest image side, in pixels, that gives a map of at least 1×1.
        preprocessing: how its weights expect pixels.
    """

    def __init__(
        self,
        layers: "OrderedDict[str, nn.Module]",
        *,
        name: str,
        channels: int,
        stride: int,
        cut: int,
        minimum_size: int,
        preprocessing: Preprocessing,
    ) -> None:
        """Freeze the first ``cut`` of ``layers``; a ModelError where there are not so many."""
        super().__init__(layers)
        if not 0 <= cut <= len(layers):
            raise ModelError(
                f"{name}: cut is {cut}, but only 0 to {len(layers)} layers can be frozen"
            )
        self.name, self.channels, self.stride, self.cut = name, channels, stride, cut
        self.minimum_size, self.preprocessing = minimum_size, preprocessing
        self.trunk.requires_grad_(False)
        first_trained = next(iter(self.tail), None)
        if isinstance(first_trained, nn.ReLU):
            # Somebody may keep the trunk's output: the tail must not write into it.
            first_trained.inplace = False

    @property
    def trunk(self) -> nn.Sequential:
        """The frozen front part: the first ``cut`` children (shared, not copied)."""
        return nn.Sequential(OrderedDict(list(self.named_children())[: self.cut]))

    @property
    def tail(self) -> nn.Sequential:
        """The trained rest: the children from ``cut`` on (shared, not copied)."""
        return nn.Sequential(OrderedDict(list(self.named_children())[self.cut :]))
