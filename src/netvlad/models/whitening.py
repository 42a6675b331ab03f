"""PCA whitening: shorter descriptors, in which what all photos share weighs less."""

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
        return F.normalize((descriptors - self.mean) @ self.projection.T, dim=1)
