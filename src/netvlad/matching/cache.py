"""Local features of photo files, kept so that they are found once."""

import contextlib
import os
import threading
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from netvlad.errors import StorageError
from netvlad.matching.extracting import features_of
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.sift import ROOT_SIFT
from netvlad.storage import fingerprint, written_beside

_ABANDONED_AFTER_S = 3600.0


class FeatureCache:
    """Local features of photo files, found once.

    A photo is known by its path, size and time of change, and its features by the matcher's format:
    those of several matchers lie side by side, under one limit. Files are whole or absent, so that
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

    def get(self, path: Path, matcher: Matcher = ROOT_SIFT) -> LocalFeatures:
        """The features of a photo, from the cache or computed and kept there.

        Args:
            path: its file.
            matcher: finds the features.

        Raises:
            ImageError: the file is missing or is not a readable photo.
        """
        try:
            status = path.stat()
        except OSError:
            return features_of(matcher, path)  # which says what is wrong with it
        about = (str(path.absolute()), str(status.st_size), str(status.st_mtime_ns))
        key = fingerprint(matcher.format, *about)
        found = self._from_memory(key) if self.folder is None else _read(self.folder / f"{key}.npz")
        if found is None:
            found = features_of(matcher, path)
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
