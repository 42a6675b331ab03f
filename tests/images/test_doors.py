"""One picture gives the same pixels by whichever door it comes in: a path, Pillow, numpy, torch."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tests.made_photos import mosaic

import netvlad
from netvlad.images import images_in, left_out_notes, list_images, listing, read_image
from netvlad.models import ModelSpec, build_model
from netvlad.models.image_inputs import image_pixels

SIZE = (64, 48)


def picture(mode):
    """A picture of a mode that Pillow has, and a file format that keeps it."""
    random = np.random.default_rng(3)
    colours = Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    wide = random.integers(0, 65536, (48, 64))
    numbers = {
        "I;16": wide.astype(np.uint16),
        "I": wide.astype(np.int32) * 30_000 - 5,
        "F": (wide / 7000 - 3).astype(np.float32),
        "F unit": (wide / 65535).astype(np.float32),
    }
    if mode in numbers:
        return Image.fromarray(numbers[mode]), "TIFF"
    if mode == "LAB":
        return Image.frombytes("LAB", SIZE, colours.tobytes()), "TIFF"
    image = colours.convert(mode.partition(" ")[0])
    if mode == "P transparent":
        image.info["transparency"] = 7
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(random.integers(0, 256, (48, 64), dtype=np.uint8)))
    return image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"


MODES = ["1", "L", "LA", "P", "P transparent", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]


@pytest.mark.parametrize("mode", [*MODES, "F unit", "LAB"])
@pytest.mark.parametrize("resize", [None, (20, 30), 32])
def test_a_file_and_its_pillow_image_have_the_same_pixels(mode, resize, tmp_path):
    image, form = picture(mode)
    image.save(tmp_path / "p", format=form, **image.info)
    expected = read_image(tmp_path / "p", resize=resize)
    with Image.open(tmp_path / "p") as opened:
        np.testing.assert_array_equal(image_pixels(opened, resize=resize), expected)
    np.testing.assert_array_equal(image_pixels(image, resize=resize), expected)
    whole = read_image(tmp_path / "p")
    np.testing.assert_array_equal(image_pixels(whole, resize=resize), expected)
    tensor = torch.from_numpy(whole).permute(2, 0, 1)
    np.testing.assert_array_equal(image_pixels(tensor, resize=resize), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_turned_back_by_every_door(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture("RGB")[0].save(tmp_path / "p.png", exif=exif)
    expected = read_image(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as opened:
        np.testing.assert_array_equal(image_pixels(opened), expected)
    assert expected.shape[:2] == ((48, 64) if orientation < 5 else (64, 48))


def test_a_pillow_image_of_a_damaged_file_names_it(tmp_path):
    picture("RGB")[0].save(tmp_path / "p.png")
    data = (tmp_path / "p.png").read_bytes()
    (tmp_path / "p.png").write_bytes(data[: len(data) // 2])
    with (
        Image.open(tmp_path / "p.png") as opened,
        pytest.raises(netvlad.NetvladError, match=r"p\.png: is truncated"),
    ):
        image_pixels(opened)
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as opened,
        pytest.raises(netvlad.NetvladError, match="image: is truncated"),
    ):
        image_pixels(opened)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    for place in range(3):
        Image.fromarray(mosaic(place, 0)).save(folder / f"{place}.png")
    model = build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")
    index = netvlad.PlaceIndex.in_memory(model)
    index.add([folder / f"{place}.png" for place in range(3)])
    return index


@pytest.mark.parametrize("mode", [*MODES, "turned"])
def test_locating_and_re_ranking_are_the_same_by_every_door(mode, index, tmp_path):
    shown = Image.fromarray(mosaic(1, 0))
    exif = Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
        shown = shown.transpose(Image.Transpose.ROTATE_90)
    elif mode in ("I", "F"):
        grey = np.asarray(shown.convert("L"))
        shown = Image.fromarray(
            grey.astype(np.int32) * 257 if mode == "I" else grey / np.float32(255)
        )
    elif mode == "I;16":
        shown = Image.fromarray(np.asarray(shown.convert("L")).astype(np.uint16) * 257)
    else:
        shown = shown.convert(mode.partition(" ")[0])
    form = "TIFF" if mode in ("CMYK", "YCbCr", "F", "I", "I;16") else "PNG"
    shown.save(tmp_path / "q", format=form, exif=exif)
    by_path = index.locate(tmp_path / "q", rerank=True)
    with Image.open(tmp_path / "q") as opened:
        by_pillow = index.locate(opened, rerank=True)
    by_array = index.locate(read_image(tmp_path / "q"), rerank=True)
    assert by_path.places[0].image.endswith("1.png") and by_path.places[0].inliers > 10
    for answer in (by_pillow, by_array):
        assert [(p.image, p.inliers) for p in answer.places] == [
            (p.image, p.inliers) for p in by_path.places
        ]
        assert answer.places[0].score == pytest.approx(by_path.places[0].score, abs=1e-6)


def test_every_kind_that_is_listed_is_read(tmp_path):
    """A folder as people have them: HEIC of iPhones, AVIF, GIF and JPEG 2000 among JPEGs."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    shown = Image.fromarray(mosaic(2, 0))
    kinds = ("jpg", "mpo", "png", "webp", "bmp", "tif", "ppm", "jp2", "gif", "avif", "heic", "HEIF")
    for kind in kinds:
        shown.save(tmp_path / f"a.{kind}")
    del Image.OPEN["HEIF"]  # as in a process that nobody has prepared
    assert images_in(tmp_path) == sorted(f"a.{kind}" for kind in kinds)
    for kind in kinds:
        pixels = read_image(tmp_path / f"a.{kind}").astype(int)
        assert np.abs(pixels - np.asarray(shown)).mean() < (25 if kind == "gif" else 12), kind


def test_heic_without_its_extra_names_it(tmp_path, monkeypatch):
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.fromarray(mosaic(2, 0)).save(tmp_path / "a.heic")
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(listing, "SUFFIXES", (".jpg",))
    with pytest.raises(netvlad.NetvladError, match=r"a\.heic: is a HEIC .*pip install 'netvlad\[h"):
        read_image(tmp_path / "a.heic")
    names, left_out = list_images(tmp_path)
    assert names == []
    assert left_out_notes(left_out) == [
        "1 file is left out, of kinds that are not read: 1 .heic; pip install 'netvlad[heif]' "
        "reads those of iPhones"
    ]
