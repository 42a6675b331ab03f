"""JPEG files against plain Pillow: equal pixels, equal forgiveness, equal errors."""

import io
import threading

import numpy as np
import pytest
from PIL import Image, ImageOps

from netvlad.errors import ImageError
from netvlad.images import decoding, read_image

ORIENTATION = 0x0112
no_binding = decoding.simplejpeg is None
needs_binding = pytest.mark.skipif(no_binding, reason="simplejpeg is not installed")


def picture(width, height, mode="RGB"):
    # Coarse shapes with finer and fainter ones over them, as in photographs.
    random = np.random.default_rng(width + height)
    layers = np.full((height, width, 3), 128.0, np.float32)
    for cells, strength in [(5, 60), (23, 30), (101, 15), (401, 8)]:
        coarse = random.normal(0, strength, (cells, cells, 3)).clip(-128, 127) + 128
        fine = Image.fromarray(coarse.astype(np.uint8)).resize((width, height))
        layers += np.asarray(fine, np.float32) - 128
    return Image.fromarray(layers.clip(0, 255).astype(np.uint8)).convert(mode)


def as_bytes(image, **settings):
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 90, "subsampling": "4:2:0", **settings})
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def by_pillow(path, resize=None):
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if resize is not None:
        upright = upright.resize(resize[::-1], Image.Resampling.BILINEAR)
    return np.asarray(upright)


def by_binding(path):
    with path.open("rb") as file, Image.open(path) as image:
        return decoding.decode_whole(file, image)


def decibels(some, others):
    return 10 * np.log10(255**2 / np.square(some.astype(float) - others).mean())


KINDS = {
    "4:2:0": {},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "coarse": {"quality": 8},
    "RGB inside": {"keep_rgb": True, "subsampling": "4:4:4"},
}


@needs_binding
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (17, 33), (8, 8), (7, 1), (1, 1)])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [*(("RGB", kind) for kind in KINDS), ("L", "4:2:0"), ("L", "progressive"), ("L", "restarts")],
)
def test_pixels_are_those_of_pillow(tmp_path, kind, mode, size):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(*size, mode), **KINDS[kind]))
    expected = by_pillow(path)
    np.testing.assert_array_equal(by_binding(path), expected)
    for pixels in (read_image(path), read_image(path, resize=size[::-1])):
        np.testing.assert_array_equal(pixels, expected)
        assert pixels.flags["C_CONTIGUOUS"]
        assert pixels.flags["WRITEABLE"]


@pytest.mark.parametrize("resize", [None, (61, 47), (47, 61), (30, 40)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_those_of_pillow(tmp_path, orientation, resize):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(61, 47), exif=turned(orientation)))
    np.testing.assert_array_equal(read_image(path, resize=resize), by_pillow(path, resize))


@pytest.mark.parametrize("settings", [{}, {"subsampling": "4:4:4"}, {"progressive": True}])
def test_cmyk_is_left_to_pillow(tmp_path, settings):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(64, 48, "CMYK"), **settings))
    assert by_binding(path) is None
    np.testing.assert_array_equal(read_image(path), by_pillow(path))


@pytest.mark.parametrize("resize", [None, (192, 256), (40, 60)])
@pytest.mark.parametrize("kind", ["4:2:0", "progressive", "restarts"])
def test_a_cut_file_is_truncated_wherever_it_ends(tmp_path, kind, resize):
    whole = as_bytes(picture(256, 192), **KINDS[kind])
    path = tmp_path / "a.jpg"
    picture_begins = whole.index(b"\xff\xda")
    for length in [*range(picture_begins + 20, len(whole), 1009), len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError, match="is truncated"):
            read_image(path, resize=resize)


def test_a_cut_large_file_is_truncated(tmp_path):
    # Larger than what Pillow reads at once.
    whole = as_bytes(picture(1600, 1200), quality=95)
    assert len(whole) > 200_000
    path = tmp_path / "a.jpg"
    for length in (len(whole) // 3, len(whole) - 70_000, len(whole) - 1):
        path.write_bytes(whole[:length])
        for resize in (None, (1200, 1600), (300, 400)):
            with pytest.raises(ImageError, match="is truncated"):
                read_image(path, resize=resize)


@pytest.mark.parametrize("tail", [b"\0", b"garbage" * 1000, b"\xff\xd9", b"\xff\xd8\xff"])
def test_what_follows_the_picture_is_ignored(tmp_path, tail):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(64, 48)))
    expected = by_pillow(path)
    path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_array_equal(read_image(path), expected)


def test_damage_ends_as_it_ends_with_pillow(tmp_path):
    whole = as_bytes(picture(64, 48))
    random = np.random.default_rng(0)
    path = tmp_path / "a.jpg"
    pictures = errors = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(2, len(whole))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            expected = by_pillow(path)
        except Exception:
            errors += 1
            with pytest.raises(ImageError):
                read_image(path)
        else:
            pictures += 1
            np.testing.assert_array_equal(read_image(path), expected)
    assert min(pictures, errors) > 20


@needs_binding
def test_whatever_the_binding_refuses_pillow_takes(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(64, 48)))
    expected = by_pillow(path)
    with monkeypatch.context() as patch:
        patch.setattr("simplejpeg.decode_jpeg", fail)
        assert by_binding(path) is None
        np.testing.assert_array_equal(read_image(path), expected)
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_MAX_BYTES", 100)
        assert by_binding(path) is None
        np.testing.assert_array_equal(read_image(path), expected)
    monkeypatch.setattr(decoding, "simplejpeg", None)
    assert by_binding(path) is None
    np.testing.assert_array_equal(read_image(path), expected)


def test_the_binding_decodes_only_the_size_that_was_checked(tmp_path):
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    small.write_bytes(as_bytes(picture(64, 48)))
    large.write_bytes(as_bytes(picture(640, 480)))
    with large.open("rb") as file, Image.open(small) as image:
        assert decoding.decode_whole(file, image) is None


def test_limits_on_pixels_come_before_decoding(tmp_path, monkeypatch):
    def decode(*_):
        raise AssertionError

    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(64, 48)))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 3_071)
    monkeypatch.setattr(decoding, "MAX_PIXELS_TO_RESIZE", 3_071)
    monkeypatch.setattr(decoding, "decode_whole", decode)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", decode)
    for resize in (None, (48, 63), (4, 5)):
        with pytest.raises(ImageError, match="megapixels"):
            read_image(path, resize=resize)


def test_a_large_photograph_is_resized_almost_as_in_full(tmp_path):
    path = tmp_path / "a.jpg"
    tiles = np.tile(np.asarray(picture(1000, 750)), (4, 4, 1))
    path.write_bytes(as_bytes(Image.fromarray(tiles), exif=turned(6)))
    pixels = read_image(path, resize=(640, 480))
    assert pixels.shape == (640, 480, 3)
    # Measured: 53.0 dB.
    assert decibels(pixels, by_pillow(path, (640, 480))) > 50


@pytest.mark.parametrize(
    ("orientation", "mode"), [*((n, "RGB") for n in range(1, 9)), (1, "L"), (6, "L"), (6, "CMYK")]
)
def test_large_turned_pictures_are_resized_almost_as_in_full(tmp_path, orientation, mode):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(803, 603, mode), exif=turned(orientation)))
    for resize in ((100, 133), (133, 100), (60, 70)):
        pixels = read_image(path, resize=resize)
        assert pixels.shape == (*resize, 3)
        # Measured: 52.5 dB at least.
        assert decibels(pixels, by_pillow(path, resize)) > 50


def test_a_reduced_picture_keeps_its_edges(tmp_path):
    # 65 pixels at a quarter are 16.25, of which libjpeg makes 17: not all of the last one counts.
    ramp = np.tile(np.linspace(0, 255, 65).astype(np.uint8), (65, 1))
    path = tmp_path / "a.jpg"
    for orientation in range(1, 9):
        image = Image.fromarray(ramp).convert("RGB")
        path.write_bytes(as_bytes(image, quality=100, exif=turned(orientation)))
        pixels = read_image(path, resize=(8, 8)).astype(int)
        assert np.abs(pixels - by_pillow(path, (8, 8))).max() <= 3


@pytest.mark.parametrize(
    ("size", "resize", "factor"),
    [
        ((160, 120), (30, 40), 2),
        ((159, 120), (30, 40), 1),
        ((160, 119), (30, 40), 1),
        ((320, 240), (30, 40), 4),
        ((319, 240), (30, 40), 2),
        ((640, 480), (30, 40), 8),
        ((160, 120), (120, 160), 1),
        ((160, 120), (600, 800), 1),
        ((16, 1), (1, 4), 1),
    ],
)
def test_twice_the_wanted_size_is_always_decoded(tmp_path, monkeypatch, size, resize, factor):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(*size)))
    decoded = []
    to_rgb = decoding._to_rgb
    monkeypatch.setattr(decoding, "_to_rgb", lambda i: decoded.append(i.size) or to_rgb(i))
    pixels = read_image(path, resize=resize)
    assert pixels.shape == (*resize, 3)
    if factor == 1:
        np.testing.assert_array_equal(pixels, by_pillow(path, resize))
    else:
        assert decoded == [(-(-size[0] // factor), -(-size[1] // factor))]


def test_many_threads_may_read_the_same_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(as_bytes(picture(320, 240)))
    expected = by_pillow(path)
    results = []
    threads = [threading.Thread(target=lambda: results.append(read_image(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((pixels == expected).all() for pixels in results)
