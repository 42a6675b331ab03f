from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import netvlad
from netvlad.models import ModelSpec, build_model
from netvlad.types import Note, Progress


@pytest.fixture(scope="module")
def model():
    return build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")


@pytest.fixture(scope="module")
def images(tiny_data):
    return netvlad.open_dataset("csv", tiny_data, "test").queries


def test_rows_are_what_the_model_says_of_each_image(model, images):
    described = netvlad.describe(model, images, batch_size=5, threads=2)
    assert described.values.shape == (12, 112)
    assert described.readable.all()
    for index in (0, 7):
        alone = model.describe(images.path(index))
        np.testing.assert_allclose(described.values[index], alone, atol=1e-5)


def test_mixed_sizes_keep_their_order(model, images, tmp_path):
    for index in range(6):
        with Image.open(images.path(index)) as picture:
            picture.resize((60 + 20 * (index % 3), 50)).save(tmp_path / f"{index}.png")
    mixed = netvlad.ImageSet(tmp_path, tuple(f"{i}.png" for i in range(6)))
    described = netvlad.describe(model, mixed, batch_size=2)
    for index in range(6):
        alone = model.describe(mixed.path(index))
        np.testing.assert_allclose(described.values[index], alone, atol=1e-5)


def test_an_unusable_image_gets_a_zero_row_and_is_reported(model, images):
    events = []
    broken = replace(images, names=("gone.jpg", *images.names[1:]))
    described = netvlad.describe(model, broken, report=events.append)
    assert not described.readable[0]
    assert not described.values[0].any()
    assert described.readable[1:].all()
    (trouble,) = described.unreadable
    assert trouble.index == 0
    assert any(isinstance(e, Note) and "gone.jpg" in e.text for e in events)
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert (last.done, last.total) == (12, 12)


def test_half_precision_is_close_and_comes_back_whole(model, images):
    exact = netvlad.describe(model, images).values
    rough = netvlad.describe(model, images, precision="bf16").values
    assert rough.dtype == np.float32
    assert (exact * rough).sum(1).min() > 0.999


def test_the_model_stays_in_the_mode_it_was_in(model, images):
    model.train()
    netvlad.describe(model, images.subset([0]))
    assert model.training
    model.eval()
