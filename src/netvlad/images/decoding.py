"""Decoding one image file to upright 8-bit RGB."""

import os
import stat
import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from netvlad.errors import ImageError, SettingsError

try:
    import simplejpeg
except ImportError:  # a Python or a machine that it has no wheel for
    simplejpeg = None

# The binding wants the whole file in memory, Pillow reads piece by piece. No photograph is larger.
_MAX_BYTES = 1 << 28


def decode_whole(file: IO[bytes], image: JpegImageFile) -> NDArray[np.uint8] | None:
    """Decode a sound grey or colour JPEG at its own size, as stored, EXIF orientation unapplied.

    ``image`` is the same file as Pillow opened it: its header is read, its pixels are not. The
    file's position is moved, to which Pillow is indifferent.

    Returns:
        (H, W, 3) uint8 RGB, pixel for pixel what Pillow decodes; None where Pillow has to do it:
        CMYK, a file that is damaged in any way, or the binding is not installed.
    """
    if simplejpeg is None or image.mode not in ("RGB", "L"):
        return None
    try:
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            return None
        file.seek(0)
        data = file.read()
        # The limits on pixels were checked with Pillow's reading of the header.
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != image.size:
            return None
        # Strict: a truncated file is an error, never a picture with a grey lower part.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except Exception:  # whatever it is, Pillow finds it as well, and has the words for it
        return None
    return pixels


def reduce_while_decoding(
    image: JpegImageFile, size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Let Pillow decode at 1/2, 1/4 or 1/8 of the size, if that leaves enough for resizing.

    Enough is twice ``size`` in both directions, so that the antialiased resize to ``size`` that
    follows still averages over pixels.

    ``size`` is the (width, height) that is wanted, before the EXIF orientation turns the image,
    which is not decoded yet.

    Returns:
        (left, upper, right, lower) of the picture in reduced pixels: where a side is no multiple
        of the reduction, the last pixel reaches beyond the picture. None where the image is to be
        decoded at full size.
    """
    width, height = size
    if min(image.width // (4 * width), image.height // (4 * height)) < 1:
        return None
    draft = image.draft(None, (2 * width, 2 * height))
    return None if draft is None else draft[1]


MAX_PIXELS = 50_000_000
MAX_PIXELS_TO_RESIZE = 500_000_000

# Photographs only. Among the other formats that Pillow knows is EPS, which runs a program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "GIF", "AVIF", "HEIF")
# Of pictures in a HEIF container that are neither AVIF nor a video.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

Pixels = NDArray[np.uint8]

Resize = tuple[int, int] | int | None
"""What images are brought to: (height, width); or one number of pixels that the longer side may
have at most, keeping the shape and never enlarging; or None for their own size."""


def read_image(path: Path | str, *, resize: Resize = None) -> Pixels:
    """Decode one image to upright 8-bit RGB.

    The EXIF orientation is applied. Grey becomes three equal channels; 16-bit grey is divided by
    257, so that white stays white; other integers beyond 16 bits, and floats outside 0…1 and
    0…255, are stretched from their smallest to their largest value. Transparent pixels lie over
    black, because the colour stored under them is arbitrary. Of an animation the first picture
    is taken.

    A JPEG at least four times as high and as wide as ``resize`` is decoded at a half, a quarter or
    an eighth of its size, never below twice ``resize``. Of 4000×3000 pixels, resized to 480×640,
    the result then differs from that of full decoding by at most 6 levels of 255 (52 dB;
    ``python -m benchmarks.decoding``), and takes about half the time.

    Args:
        path: the file.
        resize: (height, width) of the result, or the most its longer side may have, by antialiased
            bilinear interpolation of the upright image; None keeps its size.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the file is missing, is no image, is damaged, or has more than 50 megapixels
            (500 when it is resized).
        SettingsError: ``resize`` is neither two positive numbers nor one.
    """
    check_resize(resize)
    try:
        with _open_regular_file(path) as file, _open_image(file, path) as image:
            _check_pixels(image, path, resize)
            if isinstance(image, JpegImageFile):
                return _read_jpeg(file, image, resize)
            image.load()
            return _finish(image, _orientation(image), resize)
    except ImageError:
        raise
    except Exception as error:  # a decoder fed with damaged bytes may raise anything
        raise ImageError(path, _reason(error)) from error


def upright_rgb(image: Image.Image, *, resize: Resize = None) -> Pixels:
    """A Pillow image of any mode as :func:`read_image` gives it: (H, W, 3) uint8, upright RGB.

    An EXIF orientation that it still has is applied.

    Raises:
        ImageError: it comes from a file that is damaged, and was not decoded yet.
    """
    try:
        image.load()
        return _finish(image, _orientation(image), resize)
    except Exception as error:  # as above
        raise ImageError(getattr(image, "filename", "") or "image", _reason(error)) from error


def check_resize(resize: Resize) -> None:
    """Raise a :class:`SettingsError` before the first image is read.

    That is for what is not two positive numbers (at most 50 megapixels), nor one positive number.
    """
    if resize is None:
        return
    if isinstance(resize, int):
        if resize < 1:
            raise SettingsError(f"resize is {resize}; give the pixels of the longer side")
        return
    if len(resize) != 2 or min(resize) < 1 or resize[0] * resize[1] > MAX_PIXELS:
        remedy = "give a height and a width in pixels, such as 480 and 640"
        raise SettingsError(f"resize is {resize}; {remedy}")


def size_after(resize: Resize, height: int, width: int) -> tuple[int, int]:
    """The (height, width) that an upright image of ``height`` by ``width`` pixels is brought to.

    Examples:
        >>> size_after(512, 3000, 4000), size_after(512, 240, 320), size_after((2, 3), 240, 320)
        ((384, 512), (240, 320), (2, 3))
    """
    if resize is None:
        return height, width
    if not isinstance(resize, int):
        return resize
    scale = min(1.0, resize / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _open_regular_file(path: Path | str) -> IO[bytes]:
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(path, "is a folder, not an image")
        # Opening a pipe would wait for a writer, and a device never ends.
        if not stat.S_ISREG(mode):
            raise ImageError(path, "is not a regular file")
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise ImageError(path, "the file does not exist") from error
    except PermissionError as error:
        raise ImageError(path, "may not be read (permission denied)") from error


def _open_image(file: IO[bytes], path: Path | str) -> Image.Image:
    # Image.open, but for its limit on pixels: that is one global for the whole process, which a
    # library must not change, and it warns where this package has a limit of its own.
    prefix = file.read(16)
    if not prefix:
        raise ImageError(path, "is an empty file (0 bytes)")
    Image.init()
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        _register_heif(path)
    reason = "is not an image that can be read"
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        accepted = accept is not None and accept(prefix)
        # A text instead of True says that this build of Pillow lacks the format.
        if factory is None or not accepted or isinstance(accepted, str):
            continue
        file.seek(0)
        try:
            return factory(file, str(path))
        except (SyntaxError, IndexError, TypeError, struct.error):
            reason = f"starts like {name} but is truncated, damaged or of an unusual kind"
    raise ImageError(path, reason)


def _register_heif(path: Path | str) -> None:
    """Teach Pillow HEIF, which it does not know by itself, where the extra is installed."""
    if "HEIF" in Image.OPEN:
        return
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImageError(path, "is a HEIC picture; pip install 'netvlad[heif]' reads it") from error
    pillow_heif.register_heif_opener()


def _check_pixels(image: Image.Image, path: Path | str, resize: Resize) -> None:
    pixels = image.width * image.height
    limit = MAX_PIXELS if resize is None else MAX_PIXELS_TO_RESIZE
    if pixels > limit:
        remedy = "make it smaller" if resize else "shrink it while reading with --resize HxW"
        told = f"has {pixels / 1e6:.0f} megapixels, more than the {limit / 1e6:.0f} allowed"
        raise ImageError(path, f"{told}; {remedy}")


def _read_jpeg(file: IO[bytes], image: JpegImageFile, resize: Resize) -> Pixels:
    orientation = _orientation(image)
    # Sizes as they lie in the file, where a sideways picture is not upright yet.
    width, height = image.size[::-1] if orientation in _SIDEWAYS else image.size
    size = size_after(resize, height, width)
    if orientation not in _SIDEWAYS:
        size = size[::-1]
    # What is turned or resized gains nothing: Pillow does both faster to what it holds itself.
    if size == image.size and orientation not in _UPRIGHT:
        pixels = decode_whole(file, image)
        if pixels is not None:
            return pixels
    box = reduce_while_decoding(image, size)
    image.load()
    if box is None:
        return _finish(image, orientation, resize)
    small = _to_rgb(image).resize(size, Image.Resampling.BILINEAR, box)
    return np.array(_turn_upright(small, orientation))


def _finish(image: Image.Image, orientation: int, resize: Resize) -> Pixels:
    rgb = _to_rgb(_turn_upright(image, orientation))
    height, width = size_after(resize, rgb.height, rgb.width)
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(rgb)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # broken metadata is no reason to lose sound pixels
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return _grey(_from_16_bit(np.asarray(image)))
    if image.mode in ("I", "F"):
        return _grey(_levels(np.asarray(image), image.mode))
    if image.has_transparency_data:
        over_black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(over_black, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _levels(values: NDArray[np.int32] | NDArray[np.float32], mode: str) -> Pixels:
    finite = np.where(np.isfinite(values), values, 0)
    low, high = float(finite.min()), float(finite.max())
    # Pillow widens some 16-bit files to mode I.
    if mode == "I" and low >= 0 and high <= 65535:
        return _from_16_bit(finite)
    if mode == "F" and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((finite - low) * scale).astype(np.uint8)


def _from_16_bit(values: NDArray[np.generic]) -> Pixels:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _grey(levels: Pixels) -> Image.Image:
    return Image.fromarray(levels).convert("RGB")


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, EOFError | struct.error) or "truncated" in text.lower():
        return "is truncated"
    if isinstance(error, MemoryError):
        return "does not fit into memory; shrink it while reading with --resize HxW"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"is damaged ({' '.join(text.split()) or type(error).__name__})"
