"""A model run over an :class:`~netvlad.types.ImageSet`."""

from netvlad.descriptors.describe import describe
from netvlad.descriptors.passes import Sink, fill
from netvlad.descriptors.rows import Descriptors
from netvlad.descriptors.saliency import CellShares, cell_shares

__all__ = [
    "CellShares",
    "Descriptors",
    "Sink",
    "cell_shares",
    "describe",
    "fill",
]
