import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from netvlad.errors import CheckpointError, ModelError
from netvlad.fitting.whitening import fit_partial_whitening, with_whitening
from netvlad.loading import load_model
from netvlad.models import AveragePooling, ModelSpec, PlaceModel, build_model, vgg16
from netvlad.models.checkpoints import Checkpoint, write_checkpoint
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.whitening import Whitening

SPEC = ModelSpec(arch="efficientnet-lite0", pooling="avg")


def some_whitening(dim=112, output_dim=5):
    generator = torch.Generator().manual_seed(2)
    whitening = Whitening(dim, output_dim)
    whitening.mean.copy_(torch.rand(dim, generator=generator) / dim)
    whitening.projection.copy_(torch.randn(output_dim, dim, generator=generator))
    return whitening


@pytest.fixture(scope="module")
def plain():
    return build_model(SPEC, weights="imagenet")


@pytest.fixture(scope="module")
def whitened(plain):
    return with_whitening(plain, some_whitening())


IMAGES = torch.randint(
    0, 256, (3, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def formula(whitening, x):
    """The definition, in float64 numpy."""
    m, P = (t.double().numpy() for t in (whitening.mean, whitening.projection))
    y = (x.astype(np.float64) - m) @ P.T
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def test_the_formula():
    whitening = some_whitening()
    x = torch.randn(4, 112)
    output = whitening(x)
    assert (whitening.dim, whitening.output_dim) == (112, 5)
    assert output.dtype == torch.float32
    np.testing.assert_allclose(output.numpy(), formula(whitening, x.numpy()), atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(whitening(x), output)
    with pytest.raises(ModelError, match=r"\(N, 112\)"):
        whitening(x[:, :5])
    with pytest.raises(ModelError, match=r"whitening_dim is 113.*1 to 112"):
        Whitening(112, 113)


def test_a_model_whitens_what_its_aggregator_gives(plain, whitened):
    with torch.no_grad():
        expected = formula(whitened.whitening, plain(IMAGES).numpy())
        np.testing.assert_allclose(whitened(IMAGES).numpy(), expected, atol=1e-5)
        features = whitened.trunk(IMAGES)
        np.testing.assert_allclose(whitened.tail(features).numpy(), expected, atol=1e-5)
    assert whitened.descriptor_dim == 5
    assert whitened.describe(IMAGES).shape == (3, 5)
    assert whitened.spec == replace(plain.spec, whitening_dim=5)
    assert set(whitened.state_dict()) - set(plain.state_dict()) == {
        "whitening.mean",
        "whitening.projection",
    }


def test_it_is_not_trained(plain, whitened):
    assert len(whitened.trainable_parameters()) == len(plain.trainable_parameters())


def test_a_checkpoint_keeps_it(whitened, tmp_path):
    write_checkpoint(tmp_path, "e1", Checkpoint(whitened.spec, whitened.state_dict()))
    loaded = load_model(tmp_path)
    assert model_fingerprint(loaded) == model_fingerprint(whitened)
    assert loaded.spec == whitened.spec
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES), whitened(IMAGES))
    record = tmp_path / "checkpoints/e1/checkpoint.json"
    content = json.loads(record.read_text())
    del content["model"]["whitening_dim"]
    record.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="do not fit its settings"):
        load_model(tmp_path)


def test_a_checkpoint_keeps_a_partial_one(plain, tmp_path):
    rows = torch.nn.functional.normalize(torch.randn(40, 112) + 1, dim=1).numpy()
    partly = with_whitening(plain, fit_partial_whitening(rows, 6))
    assert partly.spec == replace(plain.spec, whitened_directions=6)
    assert partly.descriptor_dim == 112
    write_checkpoint(tmp_path, "e1", Checkpoint(partly.spec, partly.state_dict()))
    loaded = load_model(tmp_path)
    assert model_fingerprint(loaded) == model_fingerprint(partly) != model_fingerprint(plain)
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES), partly(IMAGES))
        assert not torch.allclose(loaded(IMAGES), plain(IMAGES), atol=1e-2)
        # Built from a spec it changes nothing but the mean's place, which is zero.
        blank = build_model(partly.spec, weights="imagenet")
        torch.testing.assert_close(blank(IMAGES), plain(IMAGES))
    with pytest.raises(ModelError, match="drop one"):
        replace(partly.spec, whitening_dim=5)


def test_models_without_it_are_what_they_were(plain):
    # Stored descriptors are recognised by a fingerprint over the JSON: no new field may appear.
    assert set(plain.spec.to_json()) == {
        "arch",
        "pooling",
        "num_clusters",
        "vladv2",
        "from_scratch",
        "cut",
        "freeze_batch_norm",
        "resize",
    }
    assert ModelSpec.from_json(plain.spec.to_json()).whitening_dim is None
    assert not any("whitening" in key for key in plain.state_dict())


def test_fingerprints_tell_whitenings_apart(plain, whitened):
    other = some_whitening()
    other.mean[0] += 1e-3
    prints = {model_fingerprint(m) for m in (plain, whitened, with_whitening(plain, other))}
    assert len(prints) == 3


def test_built_from_a_spec_it_keeps_the_first_dimensions(plain):
    model = build_model(replace(SPEC, whitening_dim=7), weights="imagenet")
    with torch.no_grad():
        first = torch.nn.functional.normalize(plain(IMAGES)[:, :7], dim=1)
        torch.testing.assert_close(model(IMAGES), first)
    with pytest.raises(ModelError, match="whitening_dim is 113"):
        build_model(replace(SPEC, whitening_dim=113), weights=None)


def test_parts_that_do_not_fit():
    spec = ModelSpec(pooling="avg", whitening_dim=5)
    with pytest.raises(ModelError, match=r"has no dimensions but .* whitening_dim is 5"):
        PlaceModel(vgg16(), AveragePooling(512), spec)
    with pytest.raises(ModelError, match="takes 112 dimensions but the avg aggregator gives 512"):
        PlaceModel(vgg16(), AveragePooling(512), spec, whitening=some_whitening())
