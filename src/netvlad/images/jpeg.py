"""JPEG files the quick way: whole ones by libjpeg-turbo itself, much too large ones reduced.

Pillow decodes JPEG with libjpeg-turbo, too, but keeps four bytes a pixel, which numpy then has to
get back as three; the binding writes the three bytes where numpy wants them. It gives the same
pixels for less work (``python -m benchmarks.decoding`` says how much less). It serves sound,
ordinary files only: whatever else a file may be is left to Pillow, so that the pixels of unusual
files and the errors of damaged ones do not depend on the binding.
"""

import os
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

try:
    import simplejpeg
except ImportError:  # a Python or a machine that it has no wheel for
    simplejpeg = None

# The binding wants the whole file in memory, Pillow reads piece by piece. No photograph is larger.
_MAX_BYTES = 1 << 28


def decode_whole(file: IO[bytes], image: JpegImageFile) -> NDArray[np.uint8] | None:
    """Decode a sound grey or colour JPEG at its own size, as stored, EXIF orientation unapplied.

    Args:
        file: the open file; its position is moved, to which Pillow is indifferent.
        image: the same file as Pillow opened it: its header is read, its pixels are not.

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

    Args:
        image: opened, but not decoded yet.
        size: (width, height) that is wanted, before the EXIF orientation turns it.

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
