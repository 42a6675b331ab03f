"""Shop signs: words painted into a front."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from netvlad.demo.town.atlas import SIGN, Canvas
from netvlad.demo.town.plan import Colour, FacadeStyle

PALE: Colour = (246, 238, 214)


def write_sign(
    canvas: Canvas, style: FacadeStyle, x0: float, x1: float, z0: float, z1: float
) -> None:
    """Paints the shop's name on a board between the given edges, in metres.

    Args:
        canvas: The front.
        style: Gives the words and the colours.
        x0: Left edge of the board.
        x1: Right edge.
        z0: Lower edge.
        z1: Upper edge.
    """
    board, ink = (style.accent, PALE) if style.seed % 2 else (PALE, style.accent)
    canvas.box(x0, z0, x1, z1, board, SIGN)
    view = canvas.window(x0, z0, x1, z1)
    rows, columns = view.shape[:2]
    if rows < 6 or columns < 12:
        return
    mask = _word(style.sign, columns - 4, rows - 2)
    high, wide = mask.shape
    top = (rows - high) // 2
    left = (columns - wide) // 2 if style.seed % 4 else 3
    cover = mask[..., None]
    part = view[top : top + high, left : left + wide, :3]
    part[:] = (part * (1.0 - cover) + np.array(ink) * cover).astype(np.uint8)


def _word(text: str, columns: int, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """How much of each texel the letters cover, cropped, at most (rows, columns)."""
    font = ImageFont.load_default(size=40)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (max(int(right - left), 1), max(int(bottom - top), 1)))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font, stroke_width=1)
    # Letters may be squeezed to three quarters of their width, as painters do.
    scale = min(rows / picture.height, columns / picture.width / 0.75)
    wide = min(max(int(picture.width * scale), 4), columns)
    high = min(max(int(picture.height * scale), 4), rows)
    small = picture.resize((wide, high), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.float32) / 255.0
