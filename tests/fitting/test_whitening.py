import time

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from netvlad.errors import DataError, ModelError, SettingsError
from netvlad.fitting import whitening as module
from netvlad.fitting.whitening import (
    fit_partial_whitening,
    fit_whitening,
    unwhiten_rows,
    whiten_rows,
    with_whitening,
)
from netvlad.models import ModelSpec, build_model


def some_descriptors(count, dimensions, seed=0):
    """Correlated rows with variances that fall, a mean, and unit length."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(dimensions, dimensions)))[0]
    rows = random.normal(size=(count, dimensions)) * 0.9 ** np.arange(dimensions)
    rows = rows @ basis + random.normal(size=dimensions)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def aligned(rows, like):
    """``rows`` with the sign of each column as in ``like``: PCA does not determine it."""
    return rows * np.sign((rows * like).sum(axis=0))


@pytest.mark.parametrize("shape", [(200, 30), (30, 30), (20, 50)])
@pytest.mark.parametrize("block_bytes", [1 << 26, 8 * 7 * 20])
def test_full_whitening_is_scikit_learns(shape, block_bytes, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", block_bytes)
    rows = some_descriptors(*shape)
    whitening = fit_whitening(rows, 10, power=1)
    expected = unit(PCA(10, whiten=True, svd_solver="full").fit_transform(rows.astype(np.float64)))
    with torch.no_grad():
        output = whitening(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(aligned(output, expected), expected, atol=2e-4)


@pytest.mark.parametrize("shape", [(200, 30), (20, 50)])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_power_is_the_exponent_of_the_deviations(shape, power):
    rows = some_descriptors(*shape)
    P = fit_whitening(rows, 8, power=power).projection.double().numpy()
    # P C Pᵀ is diag(λ^(1 − power)) for orthonormal directions of the covariance C.
    C = np.cov(rows.astype(np.float64).T)
    variances = np.linalg.eigvalsh(C)[::-1][:8]
    expected = np.diag(variances ** (1 - power))
    np.testing.assert_allclose(P @ C @ P.T, expected, atol=1e-4 * expected.max())
    np.testing.assert_allclose(P @ P.T, np.diag(variances**-power), atol=1e-4 * variances[-1] ** -1)


def test_the_whole_space_with_power_zero_keeps_distances():
    rows = some_descriptors(100, 12)
    whitening = fit_whitening(rows, 12, power=0)
    centred = (rows - rows.mean(axis=0)).astype(np.float64)
    P = whitening.projection.double().numpy()
    np.testing.assert_allclose(P @ P.T, np.eye(12), atol=1e-6)
    np.testing.assert_allclose((centred @ P.T) @ P, centred, atol=1e-6)


def test_too_many_dimensions_name_the_largest_possible():
    random = np.random.default_rng(3)
    flat = random.normal(size=(100, 4)) @ random.normal(size=(4, 30))
    for rows, possible in (
        (some_descriptors(10, 40), 9),
        (some_descriptors(100, 12), 12),
        (flat.astype(np.float32), 4),
        (flat.astype(np.float32)[:20], 4),
    ):
        with pytest.raises(SettingsError, match=f"choose at most {possible}$"):
            fit_whitening(rows, possible + 1)
        assert fit_whitening(rows, possible).output_dim == possible
    with pytest.raises(SettingsError, match="span 0 directions; give more descriptors"):
        fit_whitening(some_descriptors(1, 5), 1)
    with pytest.raises(SettingsError, match="span 0 directions"):
        fit_whitening(np.ones((5, 3), np.float32), 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_any_floating_type_mapped_or_not(dtype, tmp_path):
    rows = some_descriptors(300, 20).astype(dtype)
    expected = fit_whitening(rows.astype(np.float32), 6)
    np.save(tmp_path / "d.npy", rows)
    for given in (rows, np.load(tmp_path / "d.npy", mmap_mode="r")):
        whitening = fit_whitening(given, 6)
        assert torch.equal(whitening.projection, expected.projection)
        assert torch.equal(whitening.mean, expected.mean)


def test_rows_without_a_descriptor_do_not_count():
    rows = some_descriptors(50, 10)
    holes = np.insert(rows, [0, 7, 50], np.float32(0), axis=0)
    assert torch.equal(fit_whitening(holes, 4).projection, fit_whitening(rows, 4).projection)
    holes[9, 2] = np.nan
    with pytest.raises(DataError, match="descriptor 9 holds"):
        fit_whitening(holes, 4)


def test_a_sample_is_the_same_for_the_same_seed():
    rows = some_descriptors(400, 10)
    first, again, other = (fit_whitening(rows, 4, sample=100, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.projection, again.projection)
    assert not torch.equal(first.projection, other.projection)
    chosen = np.random.default_rng(1).choice(400, size=100, replace=False)
    np.testing.assert_allclose(first.mean.numpy(), rows[chosen].mean(axis=0), atol=1e-6)


def test_settings_out_of_range():
    rows = some_descriptors(20, 5)
    for options in ({"power": 1.5}, {"power": -0.1}, {"sample": 1}):
        with pytest.raises(SettingsError, match="whitening"):
            fit_whitening(rows, 3, **options)
    with pytest.raises(SettingsError, match="at least 1"):
        fit_whitening(rows, 0)
    with pytest.raises(DataError, match=r"\(N, D\)"):
        fit_whitening(rows[0], 3)


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 1e-5), (np.float16, 2e-3)])
def test_stored_rows_are_whitened_in_blocks(dtype, accuracy):
    rows = some_descriptors(40, 12).astype(dtype)
    rows[3] = 0
    whitening = fit_whitening(rows, 5)
    blocks = [whiten_rows(whitening, rows[i : i + 7]) for i in range(0, 40, 7)]
    output = np.concatenate(blocks)
    assert output.dtype == dtype
    assert not output[3].any()
    P = whitening.projection.double().numpy()
    expected = unit((rows.astype(np.float64) - whitening.mean.double().numpy()) @ P.T)
    expected[3] = 0
    np.testing.assert_allclose(output, expected, atol=accuracy)


def test_putting_it_into_a_model_leaves_the_model_alone():
    spec = ModelSpec(arch="efficientnet-lite0", pooling="avg")
    model = build_model(spec, weights=None, channels_last=False).train()
    rows = some_descriptors(200, 112)
    whitened = with_whitening(model, fit_whitening(rows, 16))
    assert (model.descriptor_dim, whitened.descriptor_dim) == (112, 16)
    assert model.training
    assert whitened.training
    assert not whitened.channels_last
    assert not any(layer.training for layer in whitened.encoder.trunk.children())
    assert with_whitening(whitened, fit_whitening(rows, 8)).descriptor_dim == 8
    assert with_whitening(whitened, None).spec == model.spec
    with pytest.raises(ModelError, match=r"takes 16 dimensions.*gives 112"):
        with_whitening(model, fit_whitening(rows[:, :16], 4))


def test_long_descriptors_of_few_images_are_quick():
    rows = np.random.default_rng(0).standard_normal((100, 32_768), dtype=np.float32)
    started = time.perf_counter()
    assert fit_whitening(rows, 64).projection.shape == (64, 32_768)
    # Its 32,768 × 32,768 covariance alone would take 8 GB and minutes.
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("shape", [(300, 40), (60, 200)])
def test_partial_whitening_takes_the_leading_directions_down_to_one_variance(shape):
    x = some_descriptors(*shape)
    whitening = fit_partial_whitening(x, 12)
    variances, vectors = np.linalg.eigh(np.cov(x.astype(np.float64).T))
    variances, vectors = variances[::-1], vectors[:, ::-1]
    expected = x - x.mean(axis=0, dtype=np.float64)
    for i in range(12):
        share = 1 - np.sqrt(variances[11] / variances[i])
        expected = expected - share * np.outer(expected @ vectors[:, i], vectors[:, i])
    found = whiten_rows(whitening, x)
    np.testing.assert_allclose(found, unit(expected), atol=1e-5)
    np.testing.assert_allclose(unwhiten_rows(whitening, found), x, atol=1e-5)
    assert (whitening.output_dim, whitening.directions) == (shape[1], 12)


def test_partial_whitening_leaves_alone_what_its_photos_do_not_show():
    x = np.concatenate([some_descriptors(200, 20), np.zeros((200, 5), np.float32)], axis=1)
    other = np.zeros((1, 25), np.float32)
    other[0, 22] = 1
    centred = other - x.mean(axis=0)
    whitened = whiten_rows(fit_partial_whitening(x, 8), other)[0]
    # Of a photo of elsewhere the full whitening to 20 dimensions would leave nothing.
    assert whitened[22] > unit(centred)[0, 22]


def test_few_descriptors_tell_few_directions_and_zeros_do_not_count():
    x = some_descriptors(40, 60)
    assert fit_partial_whitening(x).directions == 10
    assert fit_partial_whitening(x[:3]) is None
    broken = np.concatenate([x[:9], np.zeros((31, 60), np.float32)])
    assert fit_partial_whitening(broken).directions == 2
    blank = np.zeros((1, 60), np.float32)
    assert not whiten_rows(fit_partial_whitening(x), blank).any()
    assert not unwhiten_rows(fit_partial_whitening(x), blank).any()


def test_copies_of_a_few_photos_are_whitened_in_as_many_directions_as_they_span():
    few = some_descriptors(5, 60)
    copies = np.repeat(few, 8, axis=0)
    whitening = fit_partial_whitening(copies)
    assert whitening.directions == 4
    np.testing.assert_allclose(
        unwhiten_rows(whitening, whiten_rows(whitening, copies)), copies, atol=1e-5
    )
    assert fit_partial_whitening(np.repeat(few[:1], 40, axis=0)) is None
    rounded = np.repeat(few[:1], 40, axis=0).astype(np.float16)
    rounded[::2] = np.nextafter(rounded[::2], np.float16(1))
    assert fit_partial_whitening(rounded) is None
