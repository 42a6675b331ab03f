import os
import struct
import threading

import numpy as np
import pytest
from PIL import Image

from netvlad.errors import ImageError, SettingsError
from netvlad.images import decoding, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def photo():
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8))


def test_rgb_comes_back_as_it_is(tmp_path, photo):
    photo.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png")
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]
    np.testing.assert_array_equal(pixels, np.asarray(photo))
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), pixels)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "ppm", "gif"])
def test_formats_are_known_by_content_not_by_name(tmp_path, photo, suffix):
    photo.save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / "photo.jpg")
    assert read_image(tmp_path / "photo.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    # Black on the left and white on the right, which every mode can say.
    grey = np.zeros((4, 6), np.uint8)
    grey[:, 3:] = 255
    if mode in ("I", "I;16"):
        image = Image.fromarray(grey.astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB" if mode in ("CMYK", "YCbCr") else "L")
        image = image.convert(mode)
    assert image.mode == mode
    image.save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif")
    assert pixels.shape == (4, 6, 3)
    assert np.abs(pixels[:, :3].astype(int)).max() <= 2
    assert np.abs(pixels[:, 3:].astype(int) - 255).max() <= 2


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, byte_order):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    Image.fromarray(ramp.astype(byte_order)).save(tmp_path / "a.tif")
    expected = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1]], np.float32), [0, 0, 255]),
        (np.array([[-7.0, -7, -7]], np.float32), [0, 0, 0]),
        (np.array([[0, 50_000, 100_000]], np.int32), [0, 128, 255]),
    ],
)
def test_other_ranges_of_grey(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[0, :, 0].tolist() == expected


def test_transparent_pixels_lie_over_black(tmp_path):
    image = Image.new("RGBA", (3, 1))
    image.putpixel((0, 0), (200, 100, 50, 255))
    image.putpixel((1, 0), (200, 100, 50, 0))
    image.putpixel((2, 0), (200, 100, 50, 128))
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0].tolist() == [[200, 100, 50], [0, 0, 0], [100, 50, 25]]


def test_a_transparent_palette_entry_is_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    assert read_image(tmp_path / "a.png")[0].tolist() == [list(RED), [0, 0, 0]]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(tmp_path, orientation, suffix):
    # Corners of the upright picture: red, green / blue, white.
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24], upright[16:, 24:] = (
        RED,
        GREEN,
        BLUE,
        WHITE,
    )
    # What the camera stored, from the meaning of the eight values in the EXIF standard:
    # which way row 0 and column 0 of the stored picture look in the upright one.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{suffix}", exif=exif)
    pixels = read_image(tmp_path / f"a.{suffix}").astype(int)
    assert pixels.shape == (32, 48, 3)
    corners = [pixels[4, 4], pixels[4, -5], pixels[-5, 4], pixels[-5, -5]]
    np.testing.assert_allclose(corners, [RED, GREEN, BLUE, WHITE], atol=12)
    resized = read_image(tmp_path / f"a.{suffix}", resize=(16, 24))
    assert resized.shape == (16, 24, 3)
    np.testing.assert_allclose(resized[2, 2].astype(int), RED, atol=12)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_cost_the_picture(tmp_path, photo):
    photo.save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)


def test_resize_is_height_and_width_bilinear(tmp_path, photo):
    photo.save(tmp_path / "a.png")
    expected = np.asarray(photo.resize((20, 10), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", resize=(10, 20)), expected)


@pytest.mark.parametrize("resize", [(0, 10), (10, -1), (100_000, 100_000)])
def test_resize_to_nothing_or_too_much(tmp_path, resize):
    with pytest.raises(SettingsError, match="resize"):
        read_image(tmp_path / "a.png", resize=resize)


def cases_of_damage(folder, photo):
    photo.save(folder / "whole.jpg")
    photo.save(folder / "whole.png")
    jpg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    (folder / "truncated.jpg").write_bytes(jpg[: len(jpg) // 2])
    (folder / "truncated.png").write_bytes(png[: len(png) // 2])
    (folder / "header.jpg").write_bytes(jpg[:20])
    (folder / "header.png").write_bytes(png[:20])
    (folder / "text.jpg").write_text("this is no picture, whatever it is called\n")
    (folder / "empty.jpg").touch()
    (folder / "one_byte.jpg").write_bytes(b"\xff")
    (folder / "folder.jpg").mkdir()
    (folder / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    # The length of the first chunk is a lie.
    (folder / "lying.png").write_bytes(png[:8] + struct.pack(">I", 2**31) + png[12:])
    (folder / "overwritten.png").write_bytes(png[:60] + bytes(200) + png[260:])
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.jpg", "is truncated"),
        ("truncated.png", "is truncated"),
        ("header.jpg", "truncated"),
        ("header.png", "truncated"),
        ("text.jpg", "is not an image that can be read"),
        ("empty.jpg", r"is an empty file \(0 bytes\)"),
        ("one_byte.jpg", "is not an image that can be read"),
        ("folder.jpg", "is a folder"),
        ("missing.jpg", "the file does not exist"),
        ("missing/a.jpg", "the file does not exist"),
        ("whole.jpg/a.jpg", "Not a directory"),
        ("drawing.eps", "is not an image that can be read"),
        ("lying.png", "truncated|damaged"),
        ("overwritten.png", "truncated|damaged"),
        ("pipe.jpg", "is not a regular file"),
        ("loop.jpg", "cannot be read"),
        ("a" * 300, "File name too long"),
        ("a\0b", "null"),
    ],
)
@pytest.mark.parametrize("resize", [None, (8, 8)])
def test_what_cannot_be_read_says_why(tmp_path, photo, name, reason, resize):
    cases_of_damage(tmp_path, photo)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(tmp_path / name, resize=resize)
    assert caught.value.path == tmp_path / name
    assert str(tmp_path) not in caught.value.reason
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path, photo):
    photo.save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match="permission"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "error", [SyntaxError("x"), ValueError("x"), KeyError("x"), struct.error("x"), MemoryError()]
)
def test_whatever_a_decoder_raises(tmp_path, photo, monkeypatch, error):
    def fail(self):
        raise error

    photo.save(tmp_path / "a.bmp")
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", fail)
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.bmp")


def test_one_pixel(tmp_path):
    Image.new("L", (1, 1), 7).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[7, 7, 7]]]


def test_too_many_pixels_name_the_remedy(tmp_path, monkeypatch):
    Image.new("1", (9_000, 6_000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"54 megapixels.*--resize HxW"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "MAX_PIXELS_TO_RESIZE", 53_000_000)
    with pytest.raises(ImageError, match=r"54 megapixels.*make it smaller"):
        read_image(tmp_path / "a.png", resize=(6, 9))


def test_the_limit_of_the_process_is_neither_used_nor_changed(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    photo.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (48, 64, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_many_threads_may_read_the_same_file(tmp_path, photo):
    photo.save(tmp_path / "a.png")
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(read_image(tmp_path / "a.png")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((pixels == np.asarray(photo)).all() for pixels in results)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_longest_side_keeps_the_shape_and_never_enlarges(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.effect_noise((400, 300), 60).convert("RGB").save(path, exif=exif)
    small, native = read_image(path, resize=100), read_image(path, resize=4000)
    upright = (300, 400) if orientation == 1 else (400, 300)
    assert native.shape[:2] == upright
    assert small.shape[:2] == (upright[0] // 4, upright[1] // 4)
    # The same pixels as with the size spelled out.
    assert (small == read_image(path, resize=(upright[0] // 4, upright[1] // 4))).all()
