import base64
import io

import numpy as np
from PIL import Image

from netvlad.reports.pictures import MAX_URI, fitted_picture, small_picture


def decoded(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_thumbnail_shows_the_photo_and_stays_small(tmp_path):
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, 300:] = (250, 10, 10)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = small_picture(tmp_path / "a.png", 240)
    seen = np.asarray(decoded(picture.uri)).astype(int)
    assert (picture.width, picture.height) == (240, 120) == seen.shape[1::-1]
    assert np.abs(seen[60, 30]).max() < 10
    assert np.abs(seen[60, 200] - (250, 10, 10)).max() < 10


def test_the_worst_picture_of_all_fits_too():
    noise = np.random.default_rng(0).integers(0, 256, (360, 360, 3), dtype=np.uint8)
    for limit in (MAX_URI, 3_000):
        picture = fitted_picture(Image.fromarray(noise), limit)
        assert len(picture.uri) <= limit
        assert decoded(picture.uri).size == (picture.width, picture.height)


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    for name, reason in (
        ("empty.jpg", "0 bytes"),
        ("missing.jpg", "does not exist"),
        ("x" * 300 + ".jpg", "cannot be read"),
        ("a\0b.jpg", "null byte"),
    ):
        picture = small_picture(tmp_path / name, 240)
        assert picture.uri == ""
        assert reason in picture.reason
