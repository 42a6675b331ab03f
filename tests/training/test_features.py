from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad.compute import Compute
from netvlad.datasets import open_dataset
from netvlad.models import ModelSpec, build_model
from netvlad.training.features import TrunkFeatures
from netvlad.types import ImageSet


@pytest.fixture(scope="module")
def model():
    return build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")


@pytest.fixture(scope="module")
def images(tiny_data):
    return open_dataset("csv", tiny_data, "test").queries


@pytest.fixture
def mixed(images, tmp_path):
    """Six images of three sizes; number 4 is text."""
    for index in range(6):
        with Image.open(images.path(index)) as picture:
            picture.resize((60 + 20 * (index % 3), 50)).save(tmp_path / f"{index}.png")
    (tmp_path / "4.png").write_text("no image")
    return ImageSet(tmp_path, tuple(f"{i}.png" for i in range(6)))


def groups_of(features, groups, **options):
    """What a stream gives: per group, image -> map."""
    return [
        {
            int(i): f.float()
            for part in parts
            for i, f in zip(part.indices, part.features, strict=True)
        }
        for parts in features.stream([np.array(group, np.int64) for group in groups], **options)
    ]


def prepared(model, images, folder, **options):
    features = TrunkFeatures(model, images, cache=folder, compute=Compute(threads=2), **options)
    features.prepare(stage="x")
    return features


def test_cached_and_computed_outputs_agree_up_to_half_precision(model, images, tmp_path):
    cached, fresh = (
        prepared(model, images, tmp_path),
        TrunkFeatures(model, images, compute=Compute(threads=2)),
    )
    groups = [[3, 0, 7], [], [7], list(range(12))]
    for one, other in zip(groups_of(cached, groups), groups_of(fresh, groups), strict=True):
        assert one.keys() == other.keys()
        for index in one:
            torch.testing.assert_close(one[index], other[index], rtol=1e-3, atol=1e-3)
    one = cached.describe(stage="x")
    other = fresh.describe(stage="x")
    assert np.linalg.norm(one - other, axis=1).max() < 1e-3
    expected = model.describe([images.path(i) for i in range(12)])
    np.testing.assert_allclose(other, expected, atol=1e-5)


def test_mixed_sizes_and_unusable_images(model, mixed, tmp_path):
    cached = prepared(model, mixed, tmp_path / "cache")
    fresh = TrunkFeatures(model, mixed, compute=Compute(threads=0))
    assert not cached.readable[4]
    assert cached.readable.sum() == 5
    groups = [[5, 4, 0, 3], [4], [1, 2]]
    one, other = groups_of(cached, groups), groups_of(fresh, groups)
    assert [sorted(group) for group in one] == [[0, 3, 5], [], [1, 2]]
    assert [sorted(group) for group in other] == [[0, 3, 5], [], [1, 2]]
    assert (fresh.readable == cached.readable).all()
    described = cached.describe(stage="x")
    assert not described[4].any()
    for index in (0, 1, 2, 3, 5):
        np.testing.assert_allclose(described[index], model.describe(mixed.path(index)), atol=1e-3)


def test_a_copy_on_the_device_gives_the_same(model, images, mixed, tmp_path):
    features = prepared(model, images, tmp_path / "one")
    groups = [[3, 0, 7], [1]]
    read = groups_of(features, groups)
    assert not features.keep_on_device(10)
    assert features.keep_on_device(10**9)
    for one, other in zip(read, groups_of(features, groups), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[i], other[i]) for i in one)
    assert not prepared(model, mixed, tmp_path / "two").keep_on_device(10**9)


def test_changed_images_are_computed_from_the_changed_images(model, images, tmp_path):
    features = prepared(model, images, tmp_path)
    calls = []

    def black(batch):
        calls.append(len(batch))
        return torch.zeros_like(batch)

    (changed,) = groups_of(features, [[2, 5]], change=black)
    assert calls == [2]
    torch.testing.assert_close(changed[2], changed[5])
    (plain,) = groups_of(features, [[2, 5]])
    assert (plain[2] - changed[2]).abs().max() > 0.1


def test_without_a_frozen_trunk_nothing_is_kept(images, tmp_path):
    model = build_model(
        ModelSpec(arch="efficientnet-lite0", pooling="avg", from_scratch=True), weights=None
    )
    features = prepared(model, images, tmp_path)
    assert features.cache is None
    assert list(tmp_path.iterdir()) == []


def test_descriptors_that_would_not_fit_are_kept_in_half_precision(
    model, images, tmp_path, monkeypatch
):
    full = prepared(model, images, tmp_path).describe(stage="x")
    notes = []
    features = prepared(model, images, tmp_path, report=notes.append)
    memory = replace_available(12 * 112 * 4 * 2 - 1)
    monkeypatch.setattr("netvlad.training.features.psutil.virtual_memory", lambda: memory)
    half = features.describe(stage="x")
    assert (full.dtype, half.dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(half, full, atol=1e-3)
    assert any("half precision" in getattr(note, "text", "") for note in notes)


def replace_available(value):
    class Memory:
        available = value

    return Memory()


def test_a_moved_data_set_finds_its_cache(model, images, tmp_path):
    first = prepared(model, images, tmp_path)
    linked = tmp_path / "elsewhere"
    linked.symlink_to(images.root)
    again = prepared(model, replace(images, root=linked), tmp_path)
    assert again.cache.folder == first.cache.folder
