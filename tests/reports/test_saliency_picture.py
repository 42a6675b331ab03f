import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad.descriptors import CellShares
from netvlad.errors import ModelError
from netvlad.models import ModelSpec, build_model
from netvlad.reports.pictures import MAX_URI
from netvlad.reports.saliency_picture import saliency_picture

SPEC = ModelSpec(arch="efficientnet-lite0", num_clusters=4, resize=256)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(SPEC, weights="imagenet").eval()


@pytest.fixture
def photo(tmp_path):
    """Grey, but for one quarter; larger than the model describes it."""
    pixels = np.full((384, 512, 3), 120, np.uint8)
    tiles = np.random.default_rng(0).integers(60, 180, (12, 16, 3), dtype=np.uint8)
    pixels[192:, 256:] = np.kron(tiles, np.ones((16, 16, 1), np.uint8))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def decoded(picture):
    data = base64.b64decode(picture.uri.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data))).astype(float)


def test_it_glows_where_the_shares_are(model, tmp_path, monkeypatch):
    Image.new("RGB", (640, 480), (120, 120, 120)).save(tmp_path / "grey.png")
    shares = np.full((12, 16), 0.001)
    shares[2, 3] = 0.9  # hides nothing
    shares[8:10, 10:13] = 0.02
    shares[5, 12] = 0.01
    shares[10, 2] = -0.5
    monkeypatch.setattr(
        "netvlad.reports.saliency_picture.cell_shares",
        lambda *_: CellShares(shares, 0.0, None),
    )
    picture = saliency_picture(tmp_path / "grey.png", model, 320)
    assert (picture.width, picture.height) == (320, 240)
    assert len(picture.uri) <= MAX_URI
    seen = decoded(picture)
    assert seen.shape == (240, 320, 3)
    cells = seen[10::20, 10::20]  # the middle of each
    plain = cells[0, 15]
    change = np.abs(cells - plain).max(axis=2)
    assert np.ptp(plain) <= 2
    assert change[shares >= 0.02].min() > 60
    assert 20 < change[5, 12] < change[shares >= 0.02].min()
    away = np.ones(shares.shape, bool)  # more than two cells from any that counts
    for row, column in np.argwhere(shares > 0.005):
        away[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = False
    assert away[10, 2]
    assert change[away].max() < 6


def test_another_descriptor_lights_other_parts(model, photo):
    towards = -model.describe(photo)
    own, opposite = (decoded(saliency_picture(photo, model, 320, t)) for t in (None, towards))
    assert np.abs(own - opposite).max() > 60
    with pytest.raises(ModelError, match="towards"):
        saliency_picture(photo, model, 320, towards[:5])


def test_cells_that_are_all_alike_leave_the_photo_as_it_is(tmp_path):
    Image.new("RGB", (64, 64), (200, 90, 90)).save(tmp_path / "plain.png")
    # One cell, and no other to compare it with.
    model = build_model(replace(SPEC, pooling="avg", resize=(16, 16)), weights="imagenet")
    seen = decoded(saliency_picture(tmp_path / "plain.png", model, 64))
    assert np.ptp(seen.reshape(-1, 3), axis=0).max() <= 2
    assert seen[0, 0, 0] > seen[0, 0, 1] + 30  # still red, if less so
    assert seen[0, 0, 0] < 200


def test_no_picture(model, photo, tmp_path):
    (tmp_path / "empty.jpg").touch()
    for name in ("empty.jpg", "missing.jpg"):
        assert saliency_picture(tmp_path / name, model, 320) is None
    Image.new("RGB", (9, 9)).save(tmp_path / "tiny.png")
    coarse = build_model(ModelSpec(arch="alexnet", pooling="avg"), weights=None)
    assert saliency_picture(tmp_path / "tiny.png", coarse, 320) is None
    assert saliency_picture(photo, coarse, 320) is not None
    largest = build_model(replace(SPEC, pooling="max"), weights="imagenet")
    assert saliency_picture(photo, largest, 320) is None
