"""A model run over an :class:`~netvlad.types.ImageSet`."""

from netvlad.descriptors.describe import Descriptors, describe
from netvlad.descriptors.passes import Sink, autocast, fill

__all__ = ["Descriptors", "Sink", "autocast", "describe", "fill"]
