"""Global pooling: every channel becomes one number, and the vector is scaled to unit length."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.models.aggregators.aggregator import Aggregator

_SMALLEST_NORM = 1e-12  # of F.normalize


class MaxPooling(Aggregator):
    """The largest response of each channel (MAC; Tolias et al., arXiv 1511.05879, equation 2)."""

    def aggregate(self, features: Tensor) -> Tensor:
        """Pool (N, D, H, W) into (N, D), L2-normalised."""
        return F.normalize(features.amax(dim=(2, 3)), dim=1)


class AveragePooling(Aggregator):
    """The mean response of each channel (SPoC; Babenko and Lempitsky, arXiv 1510.07493)."""

    def aggregate(self, features: Tensor) -> Tensor:
        """Pool (N, D, H, W) into (N, D), L2-normalised."""
        return F.normalize(features.mean(dim=(2, 3)), dim=1)

    def parts(self, features: Tensor, towards: Tensor) -> tuple[Tensor, None]:
        """Each cell's part is x_i / ‖Σ_j x_j‖: the mean's divisor H·W cancels."""
        cells = features.flatten(2).double()  # (N, D, H·W)
        norm = torch.linalg.vector_norm(cells.mean(dim=2), dim=1).clamp_min(_SMALLEST_NORM)
        direction = towards.double() / (cells.shape[2] * norm[:, None])
        shares = torch.bmm(direction[:, None], cells).squeeze(1)
        return shares.reshape(len(features), *features.shape[2:]), None


class GeneralisedMeanPooling(Aggregator):
    """The generalised mean of each channel (GeM; Radenović et al., arXiv 1711.02512, equation 3).

    ``p = 1`` is the average and ``p → ∞`` the maximum; ``p`` is learned, one for all channels.
    Responses below ``epsilon``, negative ones included, count as ``epsilon``.
    """

    def __init__(self, dim: int, p: float = 3.0, epsilon: float = 1e-6) -> None:
        super().__init__(dim)
        self.p = nn.Parameter(torch.full((1,), p))
        self.epsilon = epsilon

    def aggregate(self, features: Tensor) -> Tensor:
        """Pool (N, D, H, W) into (N, D), L2-normalised."""
        powers = features.clamp(min=self.epsilon).pow(self.p)
        return F.normalize(powers.mean(dim=(2, 3)).pow(1 / self.p), dim=1)
