"""NetVLAD: a vector of locally aggregated descriptors that can be trained (arXiv 1511.07247)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.errors import ClusterError, ModelError
from netvlad.models.aggregators.aggregator import Aggregator

# At the start the nearest centre weighs about 100 times as much as the second nearest, on average.
_SECOND_TO_FIRST = 0.01
_SMALLEST_NORM = 1e-12  # of F.normalize


class NetVLAD(Aggregator):
    """Sums, per cluster, how the local features differ from its centre.

    Arandjelović et al., equation 4: V[k] = Σ_i a_k(x_i) (x_i − c_k) with the soft assignment
    a = softmax_k(w_k·x + b_k), then intra-normalisation and L2 (their section 3.1). The centres and
    the assignment's weights are separate parameters.

    Attributes:
        centroids: (K, D) the centres c_k.
        conv: the 1×1 convolution with weights w_k (K, D, 1, 1) and, with ``vladv2``, biases b_k
            (K).
        num_clusters: K.
        vladv2: whether the assignment has a bias, as in the paper; without it (the default)
            clusters compete by the angle to their centre alone.
        alpha: sharpness of the assignment as :meth:`init_from_clusters` chose it; None before.
    """

    def __init__(self, num_clusters: int, dim: int, vladv2: bool = False) -> None:
        """Build the layer with random centres; a ModelError where a number is below 1."""
        if num_clusters < 1:
            raise ModelError(f"NetVLAD needs at least 1 cluster, got {num_clusters}")
        super().__init__(dim, output_dim=num_clusters * dim)
        self.num_clusters = num_clusters
        self.vladv2 = vladv2
        self.alpha: float | None = None
        self.centroids = nn.Parameter(F.normalize(torch.randn(num_clusters, dim), dim=1))
        self.conv = nn.Conv2d(dim, num_clusters, kernel_size=1, bias=vladv2)

    def aggregate(self, features: Tensor) -> Tensor:
        """Aggregate (N, D, H, W) into (N, K·D), cluster after cluster, L2-normalised."""
        residuals = self._residuals(*self._assigned(features))
        return F.normalize(F.normalize(residuals, dim=2).flatten(1), dim=1)

    def parts(self, features: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
        """Each cell's part is a_k(x_i) (x_i − c_k) / (‖V_k‖ n), cluster after cluster.

        Here n is the norm of the intra-normalised whole: √K, or less where a cluster is empty.
        """
        # The assignment in the precision that made the descriptor; the long sums in float64.
        cells, scale, a = (tensor.double() for tensor in self._assigned(features))
        residuals = self._residuals(cells, scale, a)
        within = torch.linalg.vector_norm(residuals, dim=2).clamp_min(_SMALLEST_NORM)  # (N, K)
        normalised = (residuals / within[:, :, None]).flatten(1)
        whole = torch.linalg.vector_norm(normalised, dim=1).clamp_min(_SMALLEST_NORM)
        directions = towards.double().reshape(residuals.shape)
        directions = directions / (within * whole[:, None])[:, :, None]
        of_cells = torch.bmm(cells * scale, directions.transpose(1, 2))  # (N, H·W, K)
        of_centres = (directions * self.centroids).sum(dim=2)[:, None]
        shares = (a * (of_cells - of_centres)).sum(dim=2)
        shape = (len(features), *features.shape[2:])
        return shares.reshape(shape), a.argmax(dim=2).reshape(shape)

    def _assigned(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cells (N, H·W, D), their inverse norms (N, H·W, 1), their assignment (N, H·W, K)."""
        cells = features.flatten(2).transpose(1, 2)  # a view
        # x/‖x‖ is never written down: the norms scale the assignment's scores and its weights.
        scale = 1 / torch.linalg.vector_norm(cells, dim=2, keepdim=True).clamp_min(_SMALLEST_NORM)
        weight = self.conv.weight.flatten(1).T.expand(len(cells), -1, -1)
        scores = torch.bmm(cells, weight) * scale
        if self.conv.bias is not None:
            scores = scores + self.conv.bias
        return cells, scale, scores.softmax(dim=2)

    def _residuals(self, cells: Tensor, scale: Tensor, a: Tensor) -> Tensor:
        """V (N, K, D), not normalised, from what :meth:`_assigned` returned."""
        # Σ a(x − c) = Σ a·x − c·Σ a: one matrix product, and no (N, K, D, H·W) in memory.
        residuals = torch.bmm((a * scale).transpose(1, 2), cells)
        return residuals - a.sum(dim=1)[:, :, None] * self.centroids

    @torch.no_grad()
    def init_from_clusters(self, centres: Tensor, descriptors: Tensor) -> None:
        """Set all parameters from k-means, so that the layer starts as a VLAD.

        Without a bias (v1) the assignment is softmax(alpha·ĉ_k·x) with ĉ = c/‖c‖, and alpha is
        −ln 0.01 over the mean difference between the largest and the second largest ĉ·x. With a
        bias (v2, equation 3 of the paper) it is softmax(−alpha‖x − c_k‖²), and alpha is −ln 0.01
        over the mean of d₂² − d₁², the squared distances to the two nearest centres. A single
        cluster always has weight 1; its alpha is −ln 0.01, as for a mean difference of 1.

        Args:
            centres: (K, D) cluster centres, as k-means gives them.
            descriptors: (M, D) local features the centres were computed from, L2-normalised.

        Raises:
            ClusterError: a shape does not fit the layer, or the descriptors do not tell the
                centres apart (no finite alpha).
        """
        self._check_clusters(centres, descriptors)
        # Once per training: the accuracy of float64 costs nothing.
        c = centres.to(self.centroids.device, torch.float64)
        x = descriptors.to(self.centroids.device, torch.float64)
        if self.vladv2:
            closeness = 2 * x @ c.T - c.square().sum(dim=1)  # ‖x‖² − ‖x − c‖²
            self.alpha = _sharpness(closeness)
            weight = 2 * self.alpha * c
        else:
            directions = F.normalize(c, dim=1)
            self.alpha = _sharpness(x @ directions.T)
            weight = self.alpha * directions
        self.centroids.copy_(c)
        self.conv.weight.copy_(weight[:, :, None, None])
        if self.conv.bias is not None:
            self.conv.bias.copy_(-self.alpha * c.square().sum(dim=1))

    def _check_clusters(self, centres: Tensor, descriptors: Tensor) -> None:
        expected = (self.num_clusters, self.dim)
        if tuple(centres.shape) != expected:
            raise ClusterError(
                f"cluster centres of shape {tuple(centres.shape)} do not fit a NetVLAD layer of "
                f"shape {expected} (clusters, channels)"
            )
        if descriptors.ndim != 2 or descriptors.shape[1] != self.dim or len(descriptors) == 0:
            raise ClusterError(
                f"training descriptors of shape {tuple(descriptors.shape)} do not fit a NetVLAD "
                f"layer with {self.dim} channels"
            )
        if not (torch.isfinite(centres).all() and torch.isfinite(descriptors).all()):
            raise ClusterError("cluster centres or training descriptors contain NaN or infinity")


def _sharpness(closeness: Tensor) -> float:
    """Alpha from (M, K) closeness of each descriptor to each centre, larger is closer."""
    if closeness.shape[1] == 1:
        return -math.log(_SECOND_TO_FIRST)
    nearest = closeness.topk(2, dim=1).values
    gap = (nearest[:, 0] - nearest[:, 1]).mean().item()
    if gap <= 0:
        raise ClusterError(
            "cluster centres cannot be told apart by the training descriptors: every descriptor "
            "is equally close to its two nearest centres; cluster again with fewer clusters"
        )
    return -math.log(_SECOND_TO_FIRST) / gap
