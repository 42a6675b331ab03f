"""Folders of frames whose order is the order in which they were taken."""

import re
from pathlib import Path

from netvlad.errors import DataError
from netvlad.images import images_in


def frames_in(root: Path, folder: str, layout: str) -> tuple[str, ...]:
    """The frames of a traverse in the order of the numbers in their names.

    Args:
        root: the folder that the result is relative to.
        folder: the traverse's folder below it.
        layout: one line that shows a person how the files should lie.

    Returns:
        names relative to ``root``; ``frame_9.jpg`` comes before ``frame_10.jpg``.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    path = root / folder
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; expected {layout}")
    names = images_in(path)
    if not names:
        raise DataError(f"{path}: has no images; expected {layout}")
    return tuple(f"{folder}/{name}" for name in sorted(names, key=_in_order))


def _in_order(name: str) -> tuple[list[tuple[str, int]], str]:
    # Text and number by turns; the name itself settles 01 against 1.
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)], name
