"""What all aggregators share: the shape of their input and the precision they compute in."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from netvlad.errors import ModelError


class Aggregator(nn.Module, ABC):
    """Turns (N, D, H, W) local features into (N, output_dim) descriptors of unit L2 norm.

    Aggregation is cheap beside the convolutions and sensitive to rounding (sums over thousands of
    cells, norms), so it runs in float32 even inside an autocast region; float64 stays float64.

    Attributes:
        dim: D, the depth of the map.
        output_dim: length of the descriptor; D unless told otherwise.
    """

    def __init__(self, dim: int, output_dim: int | None = None) -> None:
        super().__init__()
        if dim < 1:
            raise ModelError(f"an aggregator needs at least 1 channel, got {dim}")
        self.dim = dim
        self.output_dim = dim if output_dim is None else output_dim

    def forward(self, features: Tensor) -> Tensor:
        """Aggregate (N, dim, H, W) of any floating type.

        Gives (N, output_dim) float32, L2-normalised (float64 for float64 features).

        Raises:
            ModelError: the features have another shape.
        """
        if features.ndim != 4 or features.shape[1] != self.dim:
            raise ModelError(
                f"expected features of shape (N, {self.dim}, H, W), got {tuple(features.shape)}"
            )
        with torch.autocast(features.device.type, enabled=False):
            if features.dtype in (torch.float16, torch.bfloat16):
                features = features.float()
            return self.aggregate(features)

    @abstractmethod
    def aggregate(self, features: Tensor) -> Tensor:
        """The method itself, on (N, dim, H, W) float32 or float64 features."""

    def parts(self, features: Tensor, towards: Tensor) -> tuple[Tensor, Tensor | None] | None:
        """Take descriptors apart into a sum over cells, where the method is such a sum.

        That is so once the norms the sum is divided by are taken as the constants they turned out
        to be. Without such a sum (a maximum, a power mean) the answer is None. ``features`` are
        (N, dim, H, W) float32 or float64; ``towards``, (N, output_dim) of any length, are what the
        shares of each map are taken with.

        Gives (N, H, W) float64 shares, the inner product of each cell's part with ``towards``,
        which over H and W sum to that of the whole descriptor; and (N, H, W) int64, the cluster
        that each cell is assigned to most, None without clusters.
        """
        return None
