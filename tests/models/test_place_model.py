from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from netvlad.errors import ImageError, ModelError
from netvlad.models import AveragePooling, ModelSpec, PlaceModel, build_model, vgg16


@pytest.fixture(scope="module")
def model() -> PlaceModel:
    torch.manual_seed(0)
    return build_model(ModelSpec(arch="efficientnet-lite0", num_clusters=4), weights="imagenet")


def some_images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_forward_is_tail_after_trunk(model: PlaceModel) -> None:
    images = some_images(2, 3, 48, 64)
    features = model.trunk(images)
    assert features.shape == (2, 40, 6, 8)
    assert not features.requires_grad
    output = model(images)
    torch.testing.assert_close(output, model.tail(features))
    assert output.shape == (2, model.descriptor_dim) == (2, 448)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.norm(dim=1), torch.ones(2))


def test_uint8_and_float_images_agree(model: PlaceModel) -> None:
    images = some_images(2, 3, 40, 40)
    torch.testing.assert_close(model(images), model(images.float()))


@pytest.mark.parametrize("arch", ["vgg16", "alexnet", "efficientnet-lite0"])
def test_memory_formats_agree(arch: str) -> None:
    spec = ModelSpec(arch=arch, num_clusters=4)
    models = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        models.append(build_model(spec, weights=None, channels_last=channels_last))
    images = some_images(2, 3, 50, 70)
    with torch.no_grad():
        outputs = [model(images) for model in models]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-4, rtol=0)
    assert list(models[0].state_dict()) == list(models[1].state_dict())


@pytest.mark.parametrize("arch", ["vgg16", "efficientnet-lite0"])
def test_bfloat16_autocast(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(ModelSpec(arch=arch, num_clusters=4), weights=None)
    images = some_images(2, 3, 48, 64)
    with torch.no_grad():
        exact = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = model.trunk(images)
            output = model.tail(features)
    assert features.dtype == torch.bfloat16
    assert output.dtype == torch.float32
    assert (output * exact).sum(dim=1).min() > 0.99


def test_half_precision_features_may_come_back_from_a_cache(model: PlaceModel) -> None:
    images = some_images(2, 3, 48, 64)
    output = model.tail(model.trunk(images).half())
    assert (output * model(images)).sum(dim=1).min() > 0.999


def test_frozen_parts_stay_in_evaluation_mode(model: PlaceModel) -> None:
    model.train()
    try:
        assert model.training
        assert model.pool.training
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert not any(norm.training for norm in norms)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        loss = model(some_images(2, 3, 48, 64))[:, 0].sum()
        loss.backward()
        after = model.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)
    finally:
        model.eval()
        model.zero_grad()


def test_batch_norm_may_be_trained() -> None:
    spec = ModelSpec(arch="efficientnet-lite0", pooling="avg", freeze_batch_norm=False)
    model = build_model(spec, weights=None).train()
    norms = [m for m in model.encoder.tail.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    assert norms
    assert not any(m.training for m in model.encoder.trunk.children())


def test_from_scratch_everything_is_trained() -> None:
    model = build_model(
        ModelSpec(arch="efficientnet-lite0", pooling="gem", from_scratch=True), weights="none"
    ).train()
    assert model.spec.cut == 0
    assert len(model.trainable_parameters()) == len(list(model.parameters()))
    assert all(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    model(some_images(2, 3, 33, 33))[:, 0].sum().backward()
    first = next(model.encoder.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_trainable_parameters_are_the_tail_and_the_aggregator(model: PlaceModel) -> None:
    expected = [*model.encoder.tail.parameters(), *model.pool.parameters()]
    trained = model.trainable_parameters()
    assert len(trained) == len(expected)
    assert all(a is b for a, b in zip(trained, expected, strict=True))


def test_state_keys_are_those_of_pytorch_netvlad() -> None:
    keys = set(build_model(ModelSpec(vladv2=True), weights=None).state_dict())
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    expected = {f"encoder.{i}.{kind}" for i in convolutions for kind in ("weight", "bias")}
    assert keys == expected | {"pool.centroids", "pool.conv.weight", "pool.conv.bias"}


def test_whatever_an_image_is_its_descriptor_is_the_same(model: PlaceModel, tmp_path: Path) -> None:
    pixels = some_images(40, 56, 3).numpy()
    path = tmp_path / "a picture.png"
    Image.fromarray(pixels).save(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = model(tensor[None])[0].detach().numpy()
    for image in (path, str(path), Image.fromarray(pixels), pixels, tensor):
        descriptor = model.describe(image)
        assert descriptor.shape == (448,)
        assert descriptor.dtype == np.float32
        np.testing.assert_allclose(descriptor, expected, atol=1e-5)
    several = (
        [path, str(path), Image.fromarray(pixels), pixels, tensor],
        (path,),
        pixels[None],
        torch.stack([tensor, tensor]),
    )
    for images in several:
        descriptors = model.describe(images)
        assert descriptors.shape == (len(images), 448)
        np.testing.assert_allclose(descriptors, np.tile(expected, (len(images), 1)), atol=1e-5)


def test_mixed_sizes_keep_their_order(model: PlaceModel) -> None:
    sizes = [(40, 56), (48, 48), (40, 56), (33, 70), (40, 56), (48, 48)]
    images = [some_images(*size, 3).numpy() + np.uint8(i) for i, size in enumerate(sizes)]
    expected = np.stack([model.describe(image) for image in images])
    np.testing.assert_allclose(model.describe(images, batch_size=2), expected, atol=1e-5)


def test_nothing_to_describe(model: PlaceModel) -> None:
    assert model.describe([]).shape == (0, 448)


def test_resize_applies_to_every_kind_of_image(tmp_path: Path) -> None:
    spec = ModelSpec(arch="efficientnet-lite0", pooling="avg", resize=(32, 48))
    model = build_model(spec, weights="imagenet")
    pixels = some_images(100, 90, 3).numpy()
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    small = np.asarray(Image.fromarray(pixels).resize((48, 32), Image.Resampling.BILINEAR))
    descriptors = model.describe([path, Image.fromarray(pixels), pixels, small])
    np.testing.assert_allclose(descriptors, np.tile(descriptors[3], (4, 1)), atol=1e-6)


def test_pillow_images_are_turned_upright_and_made_rgb(model: PlaceModel, tmp_path: Path) -> None:
    pixels = some_images(40, 56, 3).numpy()
    turned, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    exif = turned.getexif()
    exif[0x0112] = 6
    transparent = Image.fromarray(np.dstack([pixels, pixels[..., 0]]))
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    for name, image in (
        ("turned.png", turned),
        ("grey.png", grey),
        ("transparent.png", transparent),
        ("deep.png", deep),
    ):
        image.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as opened:
            from_pillow = model.describe(opened)
        np.testing.assert_allclose(from_pillow, model.describe(tmp_path / name), atol=1e-6)


def test_describing_leaves_the_mode_alone(model: PlaceModel) -> None:
    image = some_images(3, 40, 40)
    model.train()
    model.describe(image)
    assert model.training
    with pytest.raises(ModelError):
        model.describe(image.float())
    assert model.training
    model.eval()
    model.describe(image)
    assert not model.training


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3)), "float64"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((3, 8, 8), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\)"),
        (np.zeros((1, 1, 8, 8, 3), np.uint8), "batch"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"\(3, H, W\)"),
        (torch.zeros(3, 8, 8), "float32"),
        (np.zeros((0, 8, 3), np.uint8), "at least"),
        (3, "a int"),
        ([3], "a int"),
        (None, "NoneType"),
        ([np.zeros((2, 8, 8, 3), np.uint8)], r"\(2, 8, 8, 3\)"),
    ],
)
def test_what_is_no_image_is_refused(model: PlaceModel, image: object, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        model.describe(image)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_files_that_are_no_images_are_named(model: PlaceModel, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        model.describe(tmp_path / "missing.jpg")


def test_images_too_small(tmp_path: Path) -> None:
    model = build_model(ModelSpec(arch="alexnet", pooling="max"), weights=None)
    assert model.minimum_size == 31
    with pytest.raises(ModelError, match="20×40 pixels"):
        model(some_images(1, 3, 20, 40))
    with pytest.raises(ModelError, match="20×40 pixels"):
        model.describe(some_images(3, 20, 40))
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"small\.png.*at least 31×31"):
        model.describe(tmp_path / "small.png")


def test_batches_of_a_wrong_shape(model: PlaceModel) -> None:
    for images in (some_images(3, 8, 8), some_images(1, 4, 8, 8)):
        with pytest.raises(ModelError, match=r"\(B, 3, H, W\)"):
            model(images)
    with pytest.raises(ModelError, match="int64"):
        model(torch.zeros(1, 3, 8, 8, dtype=torch.int64))


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match=r"512 channels .* takes 256"):
        PlaceModel(vgg16(), AveragePooling(256), ModelSpec(pooling="avg"))
