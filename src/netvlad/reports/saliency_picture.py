"""A photo with what made its descriptor laid over it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netvlad.descriptors import cell_shares
from netvlad.errors import ImageError
from netvlad.images import read_image
from netvlad.models import Describer
from netvlad.models.image_inputs import one_image
from netvlad.reports.pictures import MAX_URI, Picture, fitted_picture

COLOURS = (
    *((54, 36, 155), (169, 7, 145), (238, 44, 104)),
    *((255, 125, 90), (255, 188, 110), (251, 244, 155)),
)
"""sRGB from the smallest share to the largest, at even steps: for the picture and for a legend.
Their lightness (CIELAB L*) rises evenly too, so that the order survives grey print."""

# Of a photo's cells: half stay clear, and one cell does not hide the rest.
_CLEAR_PERCENTILE = 50
_FULL_PERCENTILE = 98
_MOST_OPAQUE = 0.75
_GREYED = 0.5
_DIMMED = 0.88


def saliency_picture(
    path: Path | str,
    model: Describer,
    longer_side: int,
    towards: NDArray[np.float32] | None = None,
) -> Picture | None:
    """A photo, its colours subdued, under a glow where its cells contributed to the similarity.

    The glow shows the positive part of :func:`netvlad.descriptors.cell_shares`. Its colour and
    opacity are relative to the photo itself: none up to the median of its cells, full from their
    98th percentile on. So about half of every photo stays clear, and the glows of two photos do
    not compare.

    Args:
        path: the file.
        model: whose descriptor is explained.
        longer_side: of the picture, at most so many pixels; a smaller photo stays as it is.
        towards: (D,) the descriptor to which the similarity is explained; None takes the photo's
            own.

    Returns:
        the picture, in at most :data:`~netvlad.reports.pictures.MAX_URI` characters; None when the
        file cannot be read or is too small, or the model's descriptor is no sum over cells.

    Raises:
        ModelError: ``towards`` is not a descriptor of the model.
    """
    try:
        pixels = one_image(path, resize=model.resize, minimum_size=model.minimum_size)
        photo = Image.fromarray(read_image(path, resize=longer_side))
    except ImageError:
        return None
    found = cell_shares(model, pixels, towards)
    if found is None:
        return None
    return fitted_picture(_overlaid(photo, found.shares), MAX_URI)


def _overlaid(photo: Image.Image, shares: NDArray[np.float64]) -> Image.Image:
    """The subdued photo with the glow of ``shares`` (h, w), stretched over all of it."""
    pixels = np.asarray(photo, dtype=np.float32)
    grey = np.asarray(photo.convert("L"), dtype=np.float32)[..., None]
    subdued = _DIMMED * (pixels + _GREYED * (grey - pixels))
    strength = _strength(shares, photo.size)
    opacity = _MOST_OPAQUE * strength[..., None]
    blended = subdued + opacity * (_coloured(strength) - subdued)
    return Image.fromarray(np.rint(blended).astype(np.uint8))


def _strength(shares: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Shares (h, w) as 0..1 at every pixel of a picture of ``size`` (width, height)."""
    positive = np.maximum(shares, 0)
    clear, full = np.percentile(positive, (_CLEAR_PERCENTILE, _FULL_PERCENTILE))
    if full <= clear:  # hardly any cell stands out: at most 2 in 100
        full = positive.max()
    # Cells alike but for rounding must not glow.
    spread = full - clear if full - clear > 1e-6 * full else np.inf
    relative = (positive - clear) / spread
    cells = Image.fromarray(np.clip(relative, 0, 1).astype(np.float32))
    smooth = np.asarray(cells.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return smooth.clip(0, 1)  # bicubic curves overshoot


def _coloured(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of each strength in 0..1: (H, W) to (H, W, 3)."""
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(strength, steps, channel) for channel in zip(*COLOURS, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)
