"""PCA whitening learned from descriptors, and put to use."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError
from netvlad.models.place_model import PlaceModel
from netvlad.models.whitening import PartialWhitening, Whitening, whitening_settings
from netvlad.storage import drop_pages

SAMPLE = 20_000
POWER = 0.5

DIRECTIONS, PARTIAL_SAMPLE = 64, 4096
"""Of a partial whitening: m, and the most descriptors that it is learned from."""

_BLOCK_BYTES = 64 << 20  # of float64
# Variance below this share of the largest is float32's rounding: no direction of the data.
_SMALLEST_VARIANCE = 1e-10
# What a partial whitening takes the others down to: a smaller share of the largest would take them
# away altogether, and a smaller variance is half-precision rounding of copies of one photo.
_LEAST_SHARE, _LEAST_VARIANCE = 1e-4, 1e-6

Floats = NDArray[np.floating[Any]]


def fit_whitening(
    descriptors: Floats,
    dim: int,
    *,
    power: float = POWER,
    sample: int | None = SAMPLE,
    seed: int = 123,
) -> Whitening:
    """Learn a PCA whitening (Jégou and Chum, ECCV 2012, section 3) from descriptors.

    With m their mean and λ_i, v_i the largest eigenvalues and their eigenvectors of the covariance,
    row i of the projection is v_i / λ_i^(power / 2). ``power=1`` is the paper's full whitening:
    before the final normalisation all components have variance 1. ``power=0`` is PCA alone. In
    between (attenuated whitening, Mukundan et al., arXiv 1811.11147) the last components, mostly
    noise where descriptors are few, are raised less.

    The eigenvectors come from the D×D covariance, or, of fewer descriptors than dimensions, from
    their N×N inner products. Time grows with N·D·min(N, D): about half a minute on one core for
    10,000 × 3,584, and a second for 300 × 32,768.

    Args:
        descriptors: (N, D) of any floating type, perhaps memory-mapped. Zero rows (images that
            could not be used) do not count.
        dim: d, how many components to keep.
        power: from 0 (no whitening) to 1 (full whitening), see above.
        sample: learn from at most so many random rows; None takes all. They are held in memory as
            float32.
        seed: governs the sample.

    Returns:
        A whitening from D to d components, on the CPU. Each direction's component of largest
        magnitude is positive, so equal data gives equal signs.

    Raises:
        SettingsError: ``power`` or ``sample`` is out of range, or the descriptors span fewer than
            ``dim`` directions; the message gives the largest possible.
        DataError: the descriptors are no matrix, or not finite.
    """
    if not 0 <= power <= 1:
        raise SettingsError(f"whitening power is {power}; choose 0 (PCA alone) to 1 (full)")
    if dim < 1 or (sample is not None and sample < 2):
        raise SettingsError(
            f"whitening to {dim} dimensions from a sample of {sample}; at least 1 and 2 are needed"
        )
    rows = _sampled(descriptors, sample, seed)
    _check_dim(dim, min(max(len(rows) - 1, 0), rows.shape[1]), len(rows))
    mean, variances, directions = _leading(rows, dim)
    _check_dim(dim, int((variances > variances[0] * _SMALLEST_VARIANCE).sum()), len(rows))
    whitening = Whitening(rows.shape[1], dim)
    whitening.mean.copy_(torch.from_numpy(mean))
    whitening.projection.copy_(
        torch.from_numpy(directions / variances[:, None] ** (power / 2)).to(torch.float32)
    )
    return whitening


def fit_partial_whitening(
    descriptors: Floats,
    directions: int = DIRECTIONS,
    *,
    sample: int | None = PARTIAL_SAMPLE,
    seed: int = 123,
) -> PartialWhitening | None:
    """Learn a partial whitening from descriptors, see
    :class:`~netvlad.models.whitening.PartialWhitening`.

    Args:
        descriptors: (N, D) as for :func:`fit_whitening`, perhaps with copies among them.
        directions: m; less where there are fewer than 4·m descriptors, or they vary in fewer
            directions.
        sample: as for :func:`fit_whitening`. A few hundred tell the leading directions.
        seed: governs the sample.

    Returns:
        None where there are fewer than four descriptors, or all are alike.

    Raises:
        DataError: the descriptors are no matrix, or not finite.
    """
    rows = _sampled(descriptors, sample, seed)
    count = min(directions, len(rows) // 4, rows.shape[1])
    if count < 1:
        return None
    mean, variances, leading = _leading(rows, count)
    varying = variances > max(variances[0] * _LEAST_SHARE, _LEAST_VARIANCE)
    if not varying.any():
        return None
    variances, leading = variances[varying], leading[varying]
    whitening = PartialWhitening(rows.shape[1], len(variances))
    shrunk = 1 - np.sqrt(variances[-1] / variances)
    whitening.mean.copy_(torch.from_numpy(mean))
    whitening.projection.copy_(torch.from_numpy(leading * np.sqrt(shrunk)[:, None]))
    return whitening


def with_whitening(model: PlaceModel, whitening: Whitening | None) -> PlaceModel:
    """The model followed by a whitening, in place of any it has; None leaves the model without.

    The result shares backbone and aggregator with ``model``, and its mode; the whitening, learned
    from descriptors of the model's aggregator (not from whitened ones), is copied to its device.

    Raises:
        ModelError: the whitening takes descriptors of another length.
    """
    whitened = PlaceModel(
        model.encoder,
        model.pool,
        replace(model.spec, **whitening_settings(whitening)),
        whitening=None if whitening is None else copy.deepcopy(whitening).train(model.training),
        channels_last=model.channels_last,
    )
    return whitened.to(model.device)


@torch.inference_mode()
def whiten_rows(whitening: Whitening, block: Floats) -> Floats:
    """Whiten stored descriptors (B, D) of any floating type, block by block as the caller reads.

    Gives (B, d), L2-normalised, of the block's type; zero rows (no descriptor) stay zero.

    Raises:
        ModelError: the block has another shape.
    """
    rows = torch.from_numpy(np.asarray(block, dtype=np.float32).copy())
    whitened = whitening(rows.to(whitening.mean.device, whitening.mean.dtype)).cpu()
    whitened[~rows.any(dim=1)] = 0
    values: Floats = whitened.numpy().astype(block.dtype)
    return values


@torch.inference_mode()
def unwhiten_rows(whitening: PartialWhitening, block: Floats) -> NDArray[np.float32]:
    """The descriptors (B, D) that :func:`whiten_rows` made these of; zero rows stay zero."""
    rows = torch.from_numpy(np.asarray(block, dtype=np.float32).copy())
    plain = whitening.undone(rows.to(whitening.mean.device)).cpu()
    plain[~rows.any(dim=1)] = 0
    undone: NDArray[np.float32] = plain.numpy()
    return undone


def _sampled(descriptors: Floats, sample: int | None, seed: int) -> NDArray[np.float32]:
    """Rows to learn from, (n, D) float32, without the zero rows, in their order."""
    if descriptors.ndim != 2:
        raise DataError(f"expected descriptors of shape (N, D), got {descriptors.shape}")
    total, dimensions = descriptors.shape
    chosen = np.arange(total)
    if sample is not None and sample < total:
        chosen = np.sort(np.random.default_rng(seed).choice(total, size=sample, replace=False))
    rows = np.empty((len(chosen), dimensions), np.float32)
    kept = 0
    step = max(_BLOCK_BYTES // (8 * max(dimensions, 1)), 1)
    for start in range(0, len(chosen), step):
        block = descriptors[chosen[start : start + step]].astype(np.float32)
        drop_pages(descriptors)
        if not np.isfinite(block).all():
            row = chosen[start + int(np.argmin(np.isfinite(block).all(axis=1)))]
            raise DataError(f"descriptor {row} holds a value that is not finite; compute it again")
        block = block[block.any(axis=1)]
        rows[kept : kept + len(block)] = block
        kept += len(block)
    return rows[:kept]


def _leading(
    rows: NDArray[np.float32], dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The mean (D,), the ``dim`` largest variances (d,) and their directions (d, D)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    variances, directions = _principal(rows, mean, dim)
    largest = np.abs(directions).argmax(axis=1)[:, None]
    return mean, variances, directions * np.sign(np.take_along_axis(directions, largest, axis=1))


def _principal(
    rows: NDArray[np.float32], mean: NDArray[np.float64], dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ``dim`` largest variances (d,), falling, and their directions (d, D), of unit length."""
    count, dimensions = rows.shape
    if count > dimensions:
        variances, vectors = _largest(_products(rows, mean, over=0) / (count - 1), dim)
        return variances, vectors
    # (Xᵀ u) / ‖Xᵀ u‖ is an eigenvector of XᵀX for each eigenvector u of XXᵀ, of the same value.
    variances, vectors = _largest(_products(rows, mean, over=1) / (count - 1), dim)
    directions = np.empty((dim, dimensions))
    for columns in _slices(dimensions, count):
        directions[:, columns] = vectors @ (rows[:, columns] - mean[columns])
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    return variances, directions / np.maximum(norms, np.finfo(np.float64).tiny)


def _products(
    rows: NDArray[np.float32], mean: NDArray[np.float64], *, over: int
) -> NDArray[np.float64]:
    """The centred rows' XᵀX (``over`` rows, 0) or XXᵀ (over columns, 1), in float64, blockwise."""
    size = rows.shape[1 - over]
    total = np.zeros((size, size))
    for part in _slices(rows.shape[over], size):
        if over == 0:
            block = rows[part] - mean
            total += block.T @ block
        else:
            block = rows[:, part] - mean[part]
            total += block @ block.T
    return total


def _slices(length: int, other: int) -> list[slice]:
    """Pieces of an axis; one, times ``other`` float64 values, takes about 64 MiB."""
    step = max(_BLOCK_BYTES // (8 * other), 1)
    return [slice(start, start + step) for start in range(0, length, step)]


def _largest(
    matrix: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest eigenvalues of a symmetric matrix, falling, and the eigenvectors as rows."""
    import scipy.linalg  # noqa: PLC0415 - a quarter of a second, which only learning needs

    size = len(matrix)
    values, vectors = scipy.linalg.eigh(
        matrix, subset_by_index=[size - count, size - 1], overwrite_a=True, check_finite=False
    )
    return values[::-1], np.ascontiguousarray(vectors.T[::-1])


def _check_dim(dim: int, possible: int, count: int) -> None:
    if dim > possible:
        remedy = f"choose at most {possible}" if possible else "give more descriptors"
        raise SettingsError(
            f"whitening to {dim} dimensions: the {count} descriptors span {possible} directions; "
            f"{remedy}"
        )
