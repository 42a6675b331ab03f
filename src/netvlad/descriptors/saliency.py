"""Which cells of a photo's feature map made its descriptor what it is."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netvlad.errors import ModelError
from netvlad.models import Describer, PlaceModel
from netvlad.models.describer import evaluating
from netvlad.models.image_inputs import one_image
from netvlad.models.whitening import Whitening

_SMALLEST_NORM = 1e-12  # of F.normalize


@dataclass(frozen=True, eq=False)
class CellShares:
    """What each cell of a feature map contributes to the cosine of two descriptors.

    Attributes:
        shares: (h, w) float64, in units of the cosine; negative where a cell makes the two less
            alike. ``shares.sum() + constant`` is the cosine.
        constant: what belongs to no cell: the mean that PCA whitening subtracts; 0 without
            whitening.
        cluster_of_cells: (h, w) int64, NetVLAD's cluster that each cell is assigned to most; None
            for aggregators without clusters.
    """

    shares: NDArray[np.float64]
    constant: float
    cluster_of_cells: NDArray[np.int64] | None


def cell_shares(
    model: Describer,
    pixels: NDArray[np.uint8],
    towards: NDArray[np.float32] | None = None,
) -> CellShares | None:
    """Split the cosine of an image's descriptor and another one over the cells of its feature map.

    NetVLAD before its normalisations is a sum over cells, V_k = Σ_i a_k(x_i) (x_i − c_k)
    (Arandjelović et al., arXiv 1511.07247, equation 4), and so is average pooling. With the norms
    that follow as the constants they turned out to be, the descriptor is d = Σ_i u_i, one vector
    per cell, and d·t = Σ_i u_i·t: the shares are exact, neither a gradient nor an approximation.
    They tell what the sum is made of, not what would happen without a cell: the norms, and through
    the receptive field the other cells, would change as well.

    PCA whitening maps d to A(d − m) / n, whose norm n is taken as a constant too; A d is shared
    out, while −A m belongs to no cell and is returned as ``constant``.

    Args:
        model: used in evaluation mode and left in the mode it was in.
        pixels: (H, W, 3) uint8 RGB; brought to the size at which the model describes.
        towards: (D,) another descriptor of the model; None takes the image's own, so that the
            shares and the constant sum to 1.

    Returns:
        The shares, for a map of h × w cells; None when the descriptor is no sum over cells (maximum
        and generalised mean pooling) or the model is not made of a backbone and an aggregator.

    Raises:
        ModelError: the pixels are no uint8 RGB image, or are too small; ``towards`` is not (D,).
    """
    if not isinstance(model, PlaceModel):
        return None
    if towards is not None and towards.shape != (model.descriptor_dim,):
        raise ModelError(
            f"towards has shape {towards.shape}; give one descriptor of this model, "
            f"({model.descriptor_dim},)"
        )
    image = one_image(pixels, resize=model.resize, minimum_size=model.minimum_size)
    with evaluating(model):
        return _shares(model, image, towards)


@torch.inference_mode()
def _shares(
    model: PlaceModel, image: NDArray[np.uint8], towards: NDArray[np.float32] | None
) -> CellShares | None:
    batch = torch.tensor(image).permute(2, 0, 1)[None]  # a copy: the array may be read-only
    features = model.encoder.tail(model.trunk(batch))
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    pooled = model.pool(features)[0].double()
    target = None if towards is None else torch.tensor(towards).to(pooled)
    if model.whitening is not None:
        direction, constant = _before_whitening(model.whitening, pooled, target)
    else:
        direction, constant = pooled if target is None else target, 0.0
    parts = model.pool.parts(features, direction[None])
    if parts is None:
        return None
    shares, clusters = parts
    cells = None if clusters is None else clusters[0].cpu().numpy()
    return CellShares(shares[0].cpu().numpy(), constant, cells)


def _before_whitening(
    whitening: Whitening, pooled: Tensor, towards: Tensor | None
) -> tuple[Tensor, float]:
    """What to multiply an unwhitened descriptor with, and what to add, for the whitened cosine.

    With n = ‖A(d − m)‖ it is t·A(d − m)/n = (Aᵀt/n)·d − (Aᵀt/n)·m. From (D,) d (``pooled``) and
    (D',) t (``towards``; None takes the whitened d itself) this gives (D,) Aᵀt/n, and −(Aᵀt/n)·m.
    """
    mean = whitening.mean.double()
    whitened = whitening.linear(pooled - mean)
    norm = torch.linalg.vector_norm(whitened).clamp_min(_SMALLEST_NORM)
    target = whitened / norm if towards is None else towards
    direction = whitening.adjoint(target) / norm
    return direction, -float(direction @ mean)
