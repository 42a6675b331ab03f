from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from netvlad.descriptors import cell_shares
from netvlad.errors import ModelError
from netvlad.fitting.whitening import with_whitening
from netvlad.models import ExternalModel, ModelSpec, NetVLAD, build_model
from netvlad.models.whitening import PartialWhitening, Whitening

SPEC = ModelSpec(arch="efficientnet-lite0", num_clusters=4)
NETVLAD_V1 = SPEC
NETVLAD_V2 = replace(SPEC, vladv2=True)
AVERAGE = replace(SPEC, pooling="avg")


def built(spec, whitened=None):
    torch.manual_seed(0)
    model = build_model(spec, weights=None if spec.from_scratch else "imagenet")
    if isinstance(model.pool, NetVLAD):
        # As sharp as an assignment is once its clusters were fitted.
        model.pool.conv.weight.data *= 20
    if whitened:
        whitening = whitened(model.descriptor_dim, 9)
        whitening.mean.copy_(0.5 * torch.randn(whitening.dim) / whitening.dim**0.5)
        whitening.projection.copy_(torch.randn(9, whitening.dim) / whitening.dim**0.5)
        model = with_whitening(model, whitening)
    return model.eval()


def some_image(seed=0, height=96, width=128):
    """Coloured tiles under noise."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 200, (height // 16, width // 16, 3))
    noise = random.integers(0, 56, (height, width, 3))
    return (np.kron(tiles, np.ones((16, 16, 1), np.int64)) + noise).astype(np.uint8)


def slow_parts(model, image):
    """u_i of each cell, (H'·W', D), the constant part (D,), and the map's shape; in numpy."""
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.no_grad():
        features = model.encoder.tail(model.trunk(batch))[0].double().numpy()
    cells = features.reshape(len(features), -1).T
    if isinstance(model.pool, NetVLAD):
        parts, _ = slow_netvlad_parts(model.pool, cells)
    else:
        parts = cells / np.linalg.norm(cells.sum(axis=0))
    constant = np.zeros(parts.shape[1])
    if model.whitening is not None:
        m, P = (t.double().numpy() for t in (model.whitening.mean, model.whitening.projection))
        A = np.eye(len(m)) - P.T @ P if isinstance(model.whitening, PartialWhitening) else P
        length = np.linalg.norm(A @ (parts.sum(axis=0) - m))
        parts, constant = parts @ A.T / length, -A @ m / length
    return parts, constant, features.shape[1:]


def slow_netvlad_parts(layer, cells):
    w = layer.conv.weight[:, :, 0, 0].detach().double().numpy()
    b = np.zeros(len(w)) if layer.conv.bias is None else layer.conv.bias.detach().numpy()
    c = layer.centroids.detach().double().numpy()
    blocks = np.zeros((len(cells), *c.shape))
    nearest = []
    for i, cell in enumerate(cells):
        x = cell / np.linalg.norm(cell)
        e = np.exp(w @ x + b)
        nearest.append(int(np.argmax(e)))
        for k in range(len(c)):
            blocks[i, k] = e[k] / e.sum() * (x - c[k])
    for k in range(len(c)):
        blocks[:, k] /= np.linalg.norm(blocks[:, k].sum(axis=0))
    parts = blocks.reshape(len(cells), -1)
    return parts / np.linalg.norm(parts.sum(axis=0)), nearest


@pytest.mark.parametrize("whitened", [None, Whitening, PartialWhitening])
@pytest.mark.parametrize("spec", [NETVLAD_V1, NETVLAD_V2, AVERAGE])
def test_shares_are_the_cells_parts_of_the_cosine(spec, whitened):
    model = built(spec, whitened)
    image, other = some_image(0), some_image(1)
    own, towards = model.describe([image, other])
    parts, constant, size = slow_parts(model, image)
    assert size == (6, 8)
    np.testing.assert_allclose(parts.sum(axis=0) + constant, own, atol=1e-5)
    for found, target in (
        (cell_shares(model, image), own),
        (cell_shares(model, image, towards), towards),
    ):
        assert found.shares.shape == size
        assert found.shares.dtype == np.float64
        np.testing.assert_allclose(found.shares.ravel(), parts @ target, atol=1e-5)
        assert found.constant == pytest.approx(constant @ target, abs=1e-5)
        assert found.shares.sum() + found.constant == pytest.approx(own @ target, abs=1e-5)
        assert (found.constant != 0) == (whitened is not None)


def test_cells_know_their_cluster():
    model, image = built(NETVLAD_V2), some_image()
    with torch.no_grad():
        features = model.encoder(model.preprocessing(torch.tensor(image).permute(2, 0, 1)[None]))
    _, nearest = slow_netvlad_parts(model.pool, features[0].flatten(1).T.double().numpy())
    found = cell_shares(model, image).cluster_of_cells
    assert found.dtype == np.int64
    assert found.ravel().tolist() == nearest
    assert len(set(nearest)) > 1
    assert cell_shares(built(AVERAGE), image).cluster_of_cells is None


def test_images_are_resized_as_for_describing():
    model = built(NETVLAD_V1).resized((64, 80))
    image, other = some_image(0), some_image(1)
    own, towards = model.describe([image, other])
    # Half precision, as descriptor files may have it.
    stored = towards.astype(np.float16)
    stored.setflags(write=False)
    found = cell_shares(model, image, stored)
    assert found.shares.shape == (4, 5)
    assert found.shares.sum() == pytest.approx(own @ stored.astype(np.float64), abs=1e-5)


def test_what_is_no_sum_over_cells_has_no_shares():
    image = some_image()
    for pooling in ("max", "gem"):
        assert cell_shares(built(replace(SPEC, pooling=pooling)), image) is None
        assert cell_shares(built(replace(SPEC, pooling=pooling), whitened=Whitening), image) is None
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    assert cell_shares(ExternalModel(pooled, name="pooled"), image) is None


def test_the_model_stays_in_its_mode():
    # Batch normalisation that trains would see the image's own statistics, and move its average.
    model = built(replace(SPEC, from_scratch=True, freeze_batch_norm=False))
    image = some_image()
    expected = cell_shares(model, image).shares
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    np.testing.assert_array_equal(cell_shares(model, image).shares, expected)
    assert model.training
    assert model.encoder[-1].training
    model.eval()
    cell_shares(model, image)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_wrong_input():
    model, image = built(AVERAGE), some_image()
    for towards in (np.zeros(5, np.float32), np.zeros((1, 112), np.float32)):
        with pytest.raises(ModelError, match=r"towards has shape .*\(112,\)"):
            cell_shares(model, image, towards)
    with pytest.raises(ModelError, match="uint8"):
        cell_shares(model, image.astype(np.float32))


def test_the_only_texture_counts_most():
    image = np.full((128, 128, 3), 128, np.uint8)
    image[:64, 64:] = some_image(3, 64, 64)
    model = built(SPEC)
    local = model.local_features(torch.from_numpy(image).permute(2, 0, 1)[None])[0].T
    # Centres: the most even cell, and three of the texture.
    model.pool.init_from_clusters(local[[56, 4, 14, 22]], local)
    shares = cell_shares(model, image).shares
    textured = np.zeros(shares.shape, bool)
    textured[:4, 4:] = True
    assert shares[textured].mean() > 3 * shares[~textured].mean()
