"""PCA whitening, whole or partial: descriptors in which what all photos share weighs less."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.errors import ModelError


class Whitening(nn.Module):
    """Maps descriptors x to y = P(x − m) / ‖P(x − m)‖ (Jégou and Chum, ECCV 2012, section 3).

    Like aggregation it is cheap and sensitive to rounding, so it runs in float32 even inside an
    autocast region. ``netvlad.fitting.whitening.fit_whitening`` learns it; a new one keeps the
    first components.

    Attributes:
        mean: (D,) m, the mean descriptor.
        projection: (d, D) P, a row for each principal direction, divided by a power of its
            deviation.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, dim: int, output_dim: int) -> None:
        """Make room for D to d components; a ModelError where d is below 1 or above D."""
        super().__init__()
        if not 1 <= output_dim <= dim:
            raise ModelError(
                f"whitening_dim is {output_dim}, but descriptors of {dim} dimensions can be "
                f"whitened to 1 to {dim}"
            )
        # Buffers: it is computed, not trained by gradients.
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("projection", torch.eye(output_dim, dim))

    @property
    def dim(self) -> int:
        """D, the length of the descriptors it takes."""
        return self.projection.shape[1]

    @property
    def output_dim(self) -> int:
        """d, the length of the descriptors it gives."""
        return self.projection.shape[0]

    def forward(self, descriptors: Tensor) -> Tensor:
        """Whiten (N, D) descriptors into (N, d), L2-normalised.

        Raises:
            ModelError: the descriptors have another shape.
        """
        if descriptors.ndim != 2 or descriptors.shape[1] != self.dim:
            raise ModelError(
                f"expected descriptors of shape (N, {self.dim}) to whiten, "
                f"got {tuple(descriptors.shape)}"
            )
        with torch.autocast(descriptors.device.type, enabled=False):
            return self.project(descriptors)

    def project(self, descriptors: Tensor) -> Tensor:
        """The formula itself, on (N, D) descriptors of the buffers' type."""
        return F.normalize(self.linear(descriptors - self.mean), dim=1)

    def linear(self, centred: Tensor) -> Tensor:
        """What is done to (N, D) centred descriptors before their length is made one: (N, d)."""
        return centred @ self.projection.T.to(centred.dtype)

    def adjoint(self, whitened: Tensor) -> Tensor:
        """The transpose of :meth:`linear`, from (N, d) to (N, D)."""
        return whitened @ self.projection.to(whitened.dtype)


class PartialWhitening(Whitening):
    """Takes the leading m directions down to the level of the m-th, and leaves all others alone.

    y = c − PᵀP c, L2-normalised, with c = x − m. With λ_i, v_i the largest eigenvalues of the
    descriptors' covariance and their eigenvectors, row i of P is v_i √(1 − √(λ_m / λ_i)): component
    i of c shrinks to √(λ_m / λ_i) of itself, so that these m have one variance. The idea is that of
    removing them (all-but-the-top, Mu and Viswanath, ICLR 2018). Descriptors keep their length and
    what the photos that it was learned from do not show, so photos of elsewhere lose nothing.
    ``netvlad.fitting.whitening.fit_partial_whitening`` learns it; a new one changes nothing.

    Attributes:
        mean: (D,) m.
        projection: (m, D) P.
    """

    def __init__(self, dim: int, directions: int) -> None:
        """Make room for so many directions; a ModelError where they are below 1 or above D."""
        super().__init__(dim, directions)
        self.projection.zero_()

    @property
    def directions(self) -> int:
        """m, how many directions it takes down."""
        return self.projection.shape[0]

    @property
    def output_dim(self) -> int:
        """D, the length of the descriptors it takes and gives."""
        return self.dim

    def linear(self, centred: Tensor) -> Tensor:
        """(1 − PᵀP) c, of (N, D) as :meth:`Whitening.linear`."""
        return centred - super().adjoint(super().linear(centred))

    def adjoint(self, whitened: Tensor) -> Tensor:
        """The same: the matrix is symmetric."""
        return self.linear(whitened)

    def undone(self, whitened: Tensor) -> Tensor:
        """The (N, D) descriptors of unit length that gave these, up to rounding."""
        shrink = 1 - self.projection.square().sum(dim=1)  # √(λ_m / λ_i), never 0
        within = super().linear(whitened) / shrink
        direction = whitened + within @ self.projection
        # x = m + n z has length 1: a quadratic in n, whose other solution is negative.
        a, b = direction.square().sum(dim=1), direction @ self.mean
        n = (-b + (b.square() + a * (1 - self.mean.square().sum())).clamp_min(0).sqrt()) / a
        return F.normalize(self.mean + n[:, None] * direction, dim=1)


def whitening_settings(whitening: Whitening | None) -> dict[str, Any]:
    """What a :class:`~netvlad.models.ModelSpec` says of a whitening, by field."""
    if isinstance(whitening, PartialWhitening):
        return {"whitening_dim": None, "whitened_directions": whitening.directions}
    dim = None if whitening is None else whitening.output_dim
    return {"whitening_dim": dim, "whitened_directions": None}
