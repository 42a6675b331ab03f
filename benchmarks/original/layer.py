"""The original's NetVLAD layer: one pass over all local features for each cluster."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OriginalNetVLAD(nn.Module):
    """V[k] = Σ_i a[k, i] (x_i − c_k), cluster by cluster in a Python loop.

    For each cluster the residuals of all features are laid out as an (N, 1, D, H·W) tensor,
    weighted in place and summed over the cells.

    Attributes:
        centroids: (K, D).
        conv: the 1×1 convolution of the soft assignment, without a bias.
    """

    def __init__(self, num_clusters: int, dim: int) -> None:
        super().__init__()
        self.centroids = nn.Parameter(F.normalize(torch.randn(num_clusters, dim)))
        self.conv = nn.Conv2d(dim, num_clusters, kernel_size=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Aggregate (N, D, H, W) into (N, K·D), cluster after cluster, L2-normalised."""
        images, channels = features.shape[:2]
        x = F.normalize(features, dim=1)
        assignment = self.conv(x).softmax(dim=1).flatten(2)
        cells = x.flatten(2)[:, None]
        clusters = len(self.centroids)
        vlad = features.new_zeros(images, clusters, channels)
        for k in range(clusters):
            residual = cells - self.centroids[k].view(1, 1, channels, 1)
            residual *= assignment[:, k, None, None, :]
            vlad[:, k : k + 1] = residual.sum(dim=-1)
        return F.normalize(F.normalize(vlad, dim=2).flatten(1), dim=1)
