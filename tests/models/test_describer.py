"""A :class:`PlaceModel` is a describer like any other, and is known by what it always was."""

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad.descriptors import describe
from netvlad.errors import ModelError
from netvlad.models import ModelSpec, build_model
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import ImageSet


def test_fingerprints_are_those_of_stored_descriptors():
    # Noted when other modules became models: finished files and indexes are known by them. What
    # was stored then has the cut of then, before stage 5, which is no longer the usual one.
    spec = ModelSpec(arch="efficientnet-lite0", pooling="avg", cut=5)
    model = build_model(spec, weights="imagenet")
    assert model_fingerprint(model) == "3977af2848089466"
    assert model_fingerprint(model.resized((322, 322))) == "6a345e795b4307fb"


def test_a_resized_model_describes_another_size_with_the_same_layers(quick_model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    resized = quick_model.resized((48, 64))
    assert (quick_model.resize, resized.resize) == (None, (48, 64))
    assert resized.encoder is quick_model.encoder
    small = np.array(Image.fromarray(pixels).resize((64, 48), Image.Resampling.BILINEAR))
    with torch.no_grad():
        expected = quick_model(torch.from_numpy(small).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(resized.describe(tmp_path / "a.png"), expected, atol=1e-5)
    described = describe(resized, ImageSet(tmp_path, ("a.png",)))
    np.testing.assert_allclose(described.values[0], expected, atol=1e-5)
    assert not np.allclose(quick_model.describe(pixels), expected, atol=1e-2)
    with pytest.raises(ModelError, match="resize"):
        quick_model.resized((0, 3))
