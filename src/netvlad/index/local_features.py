"""Local features of photos, and the cache that saves finding them twice."""

import contextlib
import os
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from netvlad.errors import StorageError
from netvlad.images import read_image
from netvlad.storage import fingerprint, written_beside

MAX_SIDE = 320
"""Photos are shrunk until their longer side has this many pixels; smaller ones stay as they are."""

MAX_POINTS = 1000
"""Features kept of a photo: those with the strongest response."""

FORMAT = 1
"""Of the cached files. Another number, as every change of :func:`extract` needs, forgets them."""

_CONTRAST_THRESHOLD = 0.01  # a quarter of OpenCV's: dim walls count too
_LEAST_SIDE = 16
_QUANTUM = 255
_ABANDONED_AFTER_S = 3600.0


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The features of one photo.

    Attributes:
        points: (n, 2) float32, x to the right and y down, in pixels of the size they were found at.
        descriptors: (n, 128) uint8, RootSIFT times 255.
        size: (height, width) in pixels that the features were found at.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def size_bytes(self) -> int:
        """What they take in memory, and within some hundred bytes on disk."""
        return self.points.nbytes + self.descriptors.nbytes


def extract(pixels: NDArray[np.uint8]) -> LocalFeatures:
    """Find and describe the corners and blobs of a photo that stands upright.

    SIFT (Lowe, IJCV 2004) without its orientation: photos of places are taken upright, so a
    feature that would have to be turned to match is another one. Descriptors become RootSIFT
    (Arandjelović and Zisserman, CVPR 2012): L1-normalised, then the square root of each value.

    Args:
        pixels: (H, W, 3) RGB; larger ones are shrunk to :data:`MAX_SIDE`.

    Returns:
        At most :data:`MAX_POINTS` features, strongest first; none of a blank or tiny picture.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    scale = MAX_SIDE / max(grey.shape)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    size = (int(grey.shape[0]), int(grey.shape[1]))
    if min(size) < _LEAST_SIDE:
        return _none(size)
    sift = cv2.SIFT.create(nfeatures=0, contrastThreshold=_CONTRAST_THRESHOLD)
    chosen = _upright(sift.detect(grey, None))
    if not chosen:
        return _none(size)
    found, histograms = sift.compute(grey, chosen)
    root = np.sqrt(histograms / np.maximum(histograms.sum(axis=1, keepdims=True), 1e-9))
    return LocalFeatures(
        points=np.array([point.pt for point in found], dtype=np.float32).reshape(-1, 2),
        descriptors=np.rint(root * _QUANTUM).astype(np.uint8),
        size=size,
    )


class FeatureCache:
    """Local features of photo files, found once.

    A photo is known by its path, size and time of change. Files are whole or absent, so that
    several processes may use one folder. Beyond the limit those that were used longest ago go.
    Trouble with the folder never stops the work: what cannot be kept is computed again.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int = 2 * 2**30) -> None:
        """Open a cache; nothing is read or written yet.

        Args:
            folder: where it is kept, made when first needed; None keeps it in memory alone.
            limit_bytes: what it may take, give or take a twentieth for every process that writes.
        """
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, LocalFeatures] = OrderedDict()
        self._kept_bytes = 0
        # Bytes that may be written before somebody has to count what lies in the folder.
        self._room = 0
        self._writable = True

    def get(self, path: Path) -> LocalFeatures:
        """The features of a photo, from the cache or computed and kept there.

        Raises:
            ImageError: the file is missing or is not a readable photo.
        """
        try:
            status = path.stat()
        except OSError:
            return _features_of(path)  # which says what is wrong with it
        absolute = str(path.absolute())
        key = fingerprint(str(FORMAT), absolute, str(status.st_size), str(status.st_mtime_ns))
        found = self._from_memory(key) if self.folder is None else _read(self.folder / f"{key}.npz")
        if found is None:
            found = _features_of(path)
            if self.folder is None:
                self._into_memory(key, found)
            elif self._writable:
                self._into_folder(self.folder, key, found)
        return found

    def _from_memory(self, key: str) -> LocalFeatures | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _into_memory(self, key: str, features: LocalFeatures) -> None:
        with self._lock:
            if key in self._kept:  # another thread was faster
                return
            self._kept[key] = features
            self._kept_bytes += features.size_bytes
            while self._kept_bytes > self.limit_bytes:
                self._kept_bytes -= self._kept.popitem(last=False)[1].size_bytes

    def _into_folder(self, folder: Path, key: str, features: LocalFeatures) -> None:
        with self._lock:
            try:
                _write(folder / f"{key}.npz", features)
                self._room -= features.size_bytes
                if self._room < 0:
                    left = _shrink(folder, self.limit_bytes)
                    # Others may write here too: count again before long.
                    self._room = min(self.limit_bytes - left, self.limit_bytes // 20)
            except (StorageError, OSError):
                self._writable = False  # no space, no permission: go on without


def _features_of(path: Path) -> LocalFeatures:
    return extract(read_image(path, resize=MAX_SIDE))


def _none(size: tuple[int, int]) -> LocalFeatures:
    return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), size)


def _upright(points: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    # SIFT repeats a point for each of its orientations; upright they are one.
    once = {(point.pt, point.size): point for point in points}
    chosen = sorted(once.values(), key=lambda point: (-point.response, *point.pt, point.size))
    chosen = chosen[:MAX_POINTS]
    for point in chosen:
        point.angle = 0.0
    return chosen


def _write(file: Path, features: LocalFeatures) -> None:
    with written_beside(file) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            points=features.points,
            descriptors=features.descriptors,
            size=np.array(features.size),
        )


def _read(file: Path) -> LocalFeatures | None:
    """What was kept; None where there is nothing, or nothing sound (the archive has checksums)."""
    try:
        with np.load(file, allow_pickle=False) as content:
            points, descriptors = content["points"], content["descriptors"]
            height, width = content["size"].tolist()
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile):
        return None
    with contextlib.suppress(OSError):  # a folder that may only be read
        os.utime(file)
    return LocalFeatures(points, descriptors, (height, width))


def _shrink(folder: Path, limit_bytes: int) -> int:
    """Remove what was used longest ago until a tenth of the limit is free; returns what is left."""
    files = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # another process has just removed it
            status = file.stat()
            if file.suffix == ".npz":
                files.append((status.st_mtime_ns, file, status.st_size))
            elif file.suffix == ".tmp" and status.st_mtime < time.time() - _ABANDONED_AFTER_S:
                file.unlink()  # of a process that was killed while writing
    left = sum(size for _, _, size in files)
    if left <= limit_bytes:
        return left
    for _, file, size in sorted(files):
        if left <= limit_bytes * 0.9:
            break
        with contextlib.suppress(OSError):
            file.unlink()
            left -= size
    return left
