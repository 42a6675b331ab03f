"""Whether a list of images is still the one that something was computed from."""

from netvlad.storage import fingerprint
from netvlad.types import ImageSet


def images_fingerprint(images: ImageSet) -> str:
    """A short name for the files of an image set: their names, sizes and times of change.

    The folder they lie in does not count, so a data set may move. The contents are not read: a
    file that is replaced by another of the same size within the clock's resolution goes unnoticed.

    Returns:
        16 hexadecimal digits.
    """
    parts = []
    for index, name in enumerate(images.names):
        try:
            status = images.path(index).stat()
            parts.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            parts.append(f"{name}\0missing")
    return fingerprint(*parts)
