"""Anybody's module as a model: what it is handed, what is refused, and by what it is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import netvlad
from netvlad.errors import ModelError
from netvlad.models import ExternalModel, Preprocessing
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.registering import register_model, registered_while


class Means(nn.Module):
    """(B, 3): the mean of each channel; no parameters."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


class Gives(nn.Module):
    """Whatever ``make`` makes of the images."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, images):
        return self.make(images)

    def extra_repr(self):
        return repr(self.make)


def some_images(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def by_hand(images, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """What Means gives of (B, 3, H, W) uint8, with numpy in float64."""
    rows = (images.numpy() / 255.0).mean(axis=(2, 3))
    rows = (rows - np.array(mean)) / np.array(std)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_rows_are_the_modules_own_of_normalised_pixels():
    images = some_images(4, 3, 20, 30)
    found = ExternalModel(Means(), name="means")(images)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), by_hand(images), atol=1e-5)
    other = Preprocessing(mean=(51.0, 102.0, 0.0), std=(255.0, 25.5, 51.0))
    found = ExternalModel(Means(), name="means", preprocessing=other)(images)
    expected = by_hand(images, (0.2, 0.4, 0.0), (1.0, 0.1, 0.2))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_without_preprocessing_the_module_sees_bytes_as_floats():
    seen = []
    model = ExternalModel(
        Gives(lambda x: seen.append(x) or x.flatten(1)), name="raw", preprocessing=None
    )
    images = some_images(2, 3, 4, 5)
    model(images)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], images.float())


def test_describe_takes_files_of_any_size_in_order(tmp_path):
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (9 + i % 2, 12, 3), dtype=np.uint8) for i in range(5)]
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    model = ExternalModel(Means(), name="means")
    expected = [by_hand(torch.from_numpy(p).permute(2, 0, 1)[None])[0] for p in pixels]
    np.testing.assert_allclose(model.describe(paths, batch_size=2), expected, atol=1e-5)
    np.testing.assert_allclose(model.describe(pixels[3]), expected[3], atol=1e-5)
    described = netvlad.describe(model, netvlad.ImageSet(tmp_path, tuple(p.name for p in paths)))
    np.testing.assert_allclose(described.values, expected, atol=1e-5)
    assert model.training


def test_it_is_evaluated_like_any_model(tiny_data):
    dataset = netvlad.open_dataset("csv", tiny_data, "test")
    model = ExternalModel(Means(), name="means")
    rows = [
        model.describe([s.path(i) for i in range(len(s))])
        for s in (dataset.database, dataset.queries)
    ]
    nearest = (rows[1] @ rows[0].T).argmax(axis=1)
    # Places are 100 m apart and have two database images each, one after the other.
    right = np.mean(nearest // 2 == np.arange(12))
    assert netvlad.evaluate(model, dataset).recalls.at[1] == pytest.approx(right)
    assert 0 < right < 1


def test_the_length_is_found_once_and_at_the_right_size():
    calls = []

    def flat(images):
        calls.append(tuple(images.shape))
        return images.flatten(1)

    model = ExternalModel(Gives(flat), name="flat", resize=(4, 6))
    assert (model.descriptor_dim, model.descriptor_dim) == (72, 72)
    assert calls == [(1, 3, 4, 6)]
    assert model.resized((2, 2)).descriptor_dim == 12
    assert model.resize == (4, 6)
    assert ExternalModel(Means(), name="m", minimum_size=300).descriptor_dim == 3
    assert ExternalModel(Gives(None), name="m", descriptor_dim=7).descriptor_dim == 7
    # A batch norm in training mode would refuse a single row, and change.
    norm = nn.Sequential(Means(), nn.BatchNorm1d(3))
    model = ExternalModel(norm, name="norm")
    assert model.descriptor_dim == 3
    assert model.training
    assert norm[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: (x.mean((2, 3)), x), r"gave a tuple of 2 \(Tensor, Tensor\) instead of one"),
        (lambda x: {"tokens": x, "cls": x}, "gave a dict of tokens, cls instead of one tensor"),
        (lambda x: None, "gave None"),
        (lambda x: x, r"shape \(2, 3, 8, 8\) for 2 images, expected \(2, D\); pool or flatten"),
        (lambda x: x.mean((2, 3))[:1], r"shape \(1, 3\) for 2 images"),
        (lambda x: x.mean((1, 2, 3)), r"shape \(2,\) for 2 images"),
        (lambda x: x.mean((2, 3))[:, :0], r"shape \(2, 0\) for 2 images"),
        (lambda x: x.mean((2, 3)).long(), "gave torch.int64"),
        (lambda x: x.mean((2, 3)) * float("nan"), "NaN or infinity for 2 of 2 images"),
        (lambda x: x.mean((2, 3)) / torch.tensor([[0.0], [1.0]]), "for 1 of 2 images"),
        (lambda x: x.mean((2, 3)) @ torch.ones(4, 1), r"\(2, 3, 8, 8\): RuntimeError: mat1 and"),
        (lambda x: x.missing, "AttributeError"),
    ],
)
def test_what_is_no_descriptor_is_refused_by_name(make, message):
    with pytest.raises(ModelError, match=message) as caught:
        ExternalModel(Gives(make), name="odd")(some_images(2, 3, 8, 8))
    assert str(caught.value).startswith("model odd: ")
    assert "\n" not in str(caught.value)


def test_descriptors_of_changing_length_are_refused():
    model = ExternalModel(Gives(lambda x: x.flatten(1)), name="flat")
    model(some_images(1, 3, 4, 4))
    with pytest.raises(ModelError, match=r"75 dimensions, expected 48; .* set resize"):
        model(some_images(1, 3, 5, 5))


def test_images_that_are_none_or_too_small_are_refused():
    model = ExternalModel(Means(), name="means", minimum_size=9)
    with pytest.raises(ModelError, match=r"8×12 pixels .* means needs at least 9×9"):
        model(some_images(1, 3, 8, 12))
    with pytest.raises(ModelError, match=r"expected images of shape \(B, 3, H, W\)"):
        model(some_images(3, 8, 12))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name is ''"),
        ({"resize": (0, 3)}, "resize"),
        ({"minimum_size": 0}, "minimum_size is 0"),
        ({"descriptor_dim": 2.5}, "descriptor_dim is 2.5"),
        ({"preprocessing": lambda x: x}, "preprocessing is a function"),
        ({"module": lambda x: x}, "expected a torch.nn.Module"),
        ({"module": ExternalModel(Means(), name="inner")}, "prepares its images itself"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    settings = {"module": Means(), "name": "means", **changes}
    with pytest.raises(ModelError, match=message):
        ExternalModel(settings.pop("module"), **settings)


def test_half_precision_modules_and_contiguous_maps():
    torch.manual_seed(0)
    layer = nn.Linear(48, 5)
    # view() fails on maps that are not contiguous, as those of the loader are.
    exact = ExternalModel(
        nn.Sequential(Gives(lambda x: x.view(len(x), -1)), layer), name="view", resize=(4, 4)
    )
    images = some_images(2, 4, 4, 3).permute(0, 3, 1, 2)
    expected = exact(images)
    assert exact.device == torch.device("cpu")
    half = exact.to(torch.bfloat16)(images)
    assert half.dtype == torch.float32
    assert (half * expected).sum(dim=1).min() > 0.99


def test_fingerprints_tell_models_apart_and_know_them_again():
    def made(seed=0, kernel=2, module=None, **settings):
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.AvgPool2d(kernel), Means(), nn.Linear(3, 4))
        return ExternalModel(module or layers, **{"name": "a", **settings})

    same = model_fingerprint(made())
    assert model_fingerprint(made()) == same
    assert model_fingerprint(made().resized((8, 8)).resized(None)) == same
    others = [
        made(seed=1),
        made(kernel=3),
        made(name="b"),
        made(resize=(8, 8)),
        made().resized(8),
        made(preprocessing=None),
        made(code="another"),
        made(module=Means()),
        made(module=Gives(torch.mean)),
        made().to(torch.bfloat16),
        made(seed=1).to(torch.bfloat16),
    ]
    assert len({same, *map(model_fingerprint, others)}) == len(others) + 1
    # Functions show their address, which is another in every process and must not count.
    pair = [made(module=Gives(make)) for make in [lambda x: x for _ in range(2)]]
    assert repr(pair[0].module) != repr(pair[1].module)
    assert model_fingerprint(pair[0]) == model_fingerprint(pair[1])


def test_a_resized_model_shares_its_weights():
    model = ExternalModel(nn.Sequential(Means(), nn.Linear(3, 4)), name="a").eval()
    twin = model.resized((6, 6))
    images = some_images(1, 3, 6, 6)
    before = twin(images)
    with torch.no_grad():
        model.module[1].weight.mul_(-1)
    assert not torch.allclose(twin(images), before)
    assert torch.equal(twin(images), model(images))


def test_models_are_registered_by_name_and_built_when_opened():
    built = []

    def run():
        @register_model("one", resize=(6, 8), minimum_size=2, preprocessing=None)
        def one():
            built.append("one")
            return Means()

        # As a cell of a notebook that runs again, and a class, which is a function too.
        register_model("one", resize=(6, 8), minimum_size=2, preprocessing=None)(one)
        register_model("two")(Means)
        with pytest.raises(ModelError, match="model one is registered already"):
            register_model("one")(Means)

    found = registered_while(run)
    assert (list(found), built) == (["one", "two"], [])
    model = found["one"].open()
    assert built == ["one"]
    assert (model.name, model.resize, model.minimum_size) == ("one", (6, 8), 2)
    assert model.preprocessing is None
    assert not model.training
    assert registered_while(lambda: None) == {}
