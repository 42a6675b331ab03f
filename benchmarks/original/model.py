"""The original's network: the whole VGG16 for every image, every time, then the layer."""

from torch import Tensor, nn

from benchmarks.original.layer import OriginalNetVLAD
from netvlad.models import NetVLAD, PlaceModel, vgg16


class OriginalModel(nn.Module):
    """VGG16 up to conv5_3 in the contiguous memory format, and the original's layer.

    The layers before conv5_1 are frozen, so gradients flow through conv5 alone; but nothing of what
    they computed is kept.
    """

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.encoder = vgg16()
        self.pool = OriginalNetVLAD(num_clusters, self.encoder.channels)

    def forward(self, images: Tensor) -> Tensor:
        """Describe normalised images (B, 3, H, W): (B, K·D) float32, L2-normalised."""
        descriptors: Tensor = self.pool(self.encoder(images))
        return descriptors


def like(ours: PlaceModel) -> OriginalModel:
    """The original's network with the weights of ``ours``: same keys, other way to compute."""
    assert isinstance(ours.pool, NetVLAD)
    model = OriginalModel(ours.pool.num_clusters)
    model.load_state_dict(ours.state_dict())
    return model.to(ours.device)
