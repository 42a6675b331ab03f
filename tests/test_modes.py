"""Whatever runs a model leaves the mode of each of its layers, and never learns from what it sees.

A layer that is in training mode would describe by the statistics of its batch and change its own.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import netvlad
from netvlad.compute import Compute
from netvlad.descriptors import cell_shares, describe
from netvlad.export.files import require_agreement
from netvlad.export.module import ExportableModel
from netvlad.fitting import compute_clusters
from netvlad.fitting.whitening import fit_whitening, with_whitening
from netvlad.models import ExternalModel, ModelSpec, build_model
from netvlad.training.features import TrunkFeatures
from netvlad.trunk_cache import open_trunk_cache

DIRECT = Compute(threads=0, batch_size=5)


@pytest.fixture
def data(tiny_data):
    return netvlad.open_dataset("csv", tiny_data, "test", utm_zone="31N")


@pytest.fixture
def model():
    """One whose tail has batch normalisation that would learn."""
    spec = ModelSpec(arch="efficientnet-lite0", pooling="avg", freeze_batch_norm=False)
    return build_model(spec, weights="imagenet")


def modes(*models):
    return [part.training for model in models for part in model.modules()]


def pixels():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def exported(model):
    module = ExportableModel(model)
    return lambda images: module(torch.from_numpy(images)).detach().numpy()


RUNS = {
    "model.describe": lambda model, data, folder: model.describe(pixels()),
    "describe": lambda model, data, folder: describe(model, data.queries, compute=DIRECT),
    "clusters": lambda model, data, folder: compute_clusters(
        model, data.database, 2, compute=DIRECT
    ),
    "trunk cache": lambda model, data, folder: open_trunk_cache(
        model, data.queries, folder, compute=DIRECT
    ),
    "features": lambda model, data, folder: TrunkFeatures(
        model, data.queries, compute=DIRECT
    ).describe(stage="x"),
    "whitening": lambda model, data, folder: with_whitening(
        model, fit_whitening(np.random.default_rng(0).random((20, model.descriptor_dim)), 3)
    ),
    "saliency": lambda model, data, folder: cell_shares(model, pixels()),
    "export": lambda model, data, folder: require_agreement(model, exported(model)),
    "index": lambda model, data, folder: netvlad.PlaceIndex.in_memory(model).add(
        pixels(), position=(52.0, 0.1)
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_every_layer_returns_to_its_mode_and_learns_nothing(run, model, data, tmp_path):
    twin = model.resized((64, 96))
    model.train()
    model.encoder.tail[0].eval()
    before, weights = modes(model, twin), copy.deepcopy(model.state_dict())
    RUNS[run](model, data, tmp_path)
    RUNS[run](twin, data, tmp_path)
    assert modes(model, twin) == before
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.parametrize("external", [False, True])
def test_a_twin_describes_the_same_whatever_mode_the_layers_were_put_in(external, model):
    if external:
        layers = nn.Sequential(nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4), nn.Flatten())
        model = ExternalModel(layers, name="x", resize=(64, 64))
    model.eval()
    twin = model.resized((64, 64))
    images = [pixels(), pixels()[::-1].copy()]
    expected = twin.describe(images)
    for switch in (model.train, twin.train, model.eval, twin.eval, twin.train, model.train):
        switch()
        assert model.training == twin.training == (switch.__name__ == "train")
        np.testing.assert_array_equal(twin.describe(images), expected)
        np.testing.assert_array_equal(model.resized((64, 64)).describe(images), expected)
        assert model.training == twin.training == (switch.__name__ == "train")
