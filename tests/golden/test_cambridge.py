"""Whole evaluations against what pytorch-NetVlad's own code computed: `make test-golden`."""

import json

import numpy as np
import pytest
import torch

from netvlad.datasets import open_dataset
from netvlad.evaluation import evaluate
from netvlad.fitting import read_clusters
from netvlad.images import Batch, load_batches
from netvlad.models import ModelSpec, build_model

pytestmark = [pytest.mark.golden, pytest.mark.timeout(1800)]
NAMES = {
    "netvlad": (
        "cambridge_val_vgg16_netvlad64",
        "netvlad, 64 centres from vgg16_pitts30k_64_desc_cen.hdf5",
    ),
    "avg": ("cambridge_val_vgg16_avg", "avg"),
    "max": ("cambridge_val_vgg16_max", "max"),
}


@pytest.fixture(scope="module")
def dataset(shared):
    return open_dataset("pitts30k", shared / "data/cambridge", "val")


@pytest.fixture(scope="module")
def descriptors(shared, dataset):
    """Val described once, the map of each image pooled three ways."""
    weights = shared / "weights/vgg16_hed_fp16.pth"
    models = {p: build_model(ModelSpec(pooling=p), weights=weights) for p in NAMES}
    clusters = read_clusters(shared / "weights/vgg16_pitts30k_64_desc_cen.hdf5")
    models["netvlad"].pool.init_from_clusters(
        torch.from_numpy(clusters.centroids), torch.from_numpy(clusters.descriptors)
    )
    encoder = models["netvlad"]
    found = {p: [] for p in NAMES}
    for images in (dataset.database, dataset.queries):
        sides = {
            p: np.zeros((len(images), m.descriptor_dim), np.float32) for p, m in models.items()
        }
        with torch.inference_mode():
            for batch in load_batches(images, batch_size=8):
                assert isinstance(batch, Batch)
                maps = encoder.encoder.tail(encoder.trunk(batch.images))
                for pooling, model in models.items():
                    sides[pooling][batch.indices] = model.pool(maps).numpy()
        for pooling in NAMES:
            found[pooling].append(sides[pooling])
    return found


@pytest.mark.parametrize("pooling", NAMES)
def test_equals_pytorch_netvlad(shared, dataset, descriptors, pooling):
    file, name = NAMES[pooling]
    golden = np.load(shared / f"golden/{file}.npz")
    database, queries = descriptors[pooling]
    np.testing.assert_allclose(database[:8], golden["database_descriptors_first_8"], atol=1e-4)
    np.testing.assert_allclose(queries[:8], golden["query_descriptors_first_8"], atol=1e-4)
    evaluation = evaluate((database, queries), dataset)
    same = np.mean(evaluation.matches.indices == golden["predictions"])
    assert same >= 0.995
    recalls = json.loads((shared / "golden/recalls.json").read_text())[
        "cambridge val, vgg16_hed_fp16"
    ]
    for n, value in recalls[name].items():
        # Within one query; what is stored there has four digits.
        assert abs(evaluation.recalls.at[int(n)] - value) <= 1 / len(dataset.queries) + 5e-5
