"""What a matcher is: it finds local features in a photo, and pairs those of two photos."""

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(m, 2) indices (into the query's, into the candidate's features), and weights (m,) in [0, 1]."""

Agreement = Literal["displacement", "epipolar"]
"""Of two photos of one scene: things move alike, or lie on each other's epipolar lines."""


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The features of one photo.

    Attributes:
        points: (n, 2) float32, x to the right and y down, in pixels of the size they were found at.
        descriptors: (n, D) as the matcher keeps them: RootSIFT times 255 in uint8, D = 128, or
            float16.
        size: (height, width) in pixels that the features were found at.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8] | NDArray[np.float16]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def size_bytes(self) -> int:
        """What they take in memory, and within some hundred bytes on disk."""
        return self.points.nbytes + self.descriptors.nbytes


@dataclass(frozen=True)
class FeatureLayout:
    """How the local features of a photo lie in a row of bytes, of one length for all photos.

    Three little-endian int32 (their number, −1 where the photo could not be read; the height and
    width of :attr:`LocalFeatures.size`), then the points, x and y in uint16 as 65535ths of the
    longer side, then the descriptors; zeros fill the rest.

    Attributes:
        points: how many there is room for.
        dim: D, the length of a descriptor.
        dtype: of its values: ``u1`` or ``<f2``.
    """

    points: int
    dim: int
    dtype: str

    @property
    def row_bytes(self) -> int:
        """The length of a row."""
        return _HEAD_BYTES + self.points * (4 + self.dim * np.dtype(self.dtype).itemsize)

    def pack(self, features: LocalFeatures | None) -> NDArray[np.uint8]:
        """The row (B,) of a photo's features, of which the first ones find room; or of none."""
        row = np.zeros(self.row_bytes, np.uint8)
        if features is None:
            row[:4] = np.array([-1], "<i4").view(np.uint8)
            return row
        n = min(len(features), self.points)
        row[:_HEAD_BYTES] = np.array([n, *features.size], "<i4").view(np.uint8)
        scaled = np.rint(features.points[:n] * (_POINT_STEPS / max(features.size)))
        points = np.clip(scaled, 0, _POINT_STEPS).astype("<u2")
        descriptors = np.ascontiguousarray(features.descriptors[:n], self.dtype)
        at = _HEAD_BYTES
        for part in (points, descriptors):
            row[at : at + part.nbytes] = part.view(np.uint8).reshape(-1)
            at += part.nbytes
        return row

    def unpack(self, row: NDArray[np.uint8]) -> LocalFeatures | None:
        """What :meth:`pack` was given; None where it was none, or the row makes no sense."""
        n, height, width = np.frombuffer(row[:_HEAD_BYTES], "<i4").tolist()
        if not 0 <= n <= self.points or min(height, width) < 1:
            return None
        middle = _HEAD_BYTES + 4 * n
        end = middle + n * self.dim * np.dtype(self.dtype).itemsize
        points = np.frombuffer(row[_HEAD_BYTES:middle], "<u2").reshape(n, 2).astype(np.float32)
        return LocalFeatures(
            points * np.float32(max(height, width) / _POINT_STEPS),
            np.frombuffer(row[middle:end], self.dtype).reshape(n, self.dim),
            (height, width),
        )


_HEAD_BYTES = 12
_POINT_STEPS = 65535


class Matcher(Protocol):
    """Finds local features, and says which of two photos' features show the same thing."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    @property
    def format(self) -> str:
        """Names the features where they are kept; another name, as every change of them needs,
        forgets what is there."""

    @property
    def layout(self) -> FeatureLayout:
        """How an index keeps its features."""

    @property
    def max_side(self) -> int:
        """Photos are shrunk until their longer side has this many pixels."""

    @property
    def agreement(self) -> Agreement:
        """What its matches have to agree on."""

    @property
    def weight(self) -> float:
        """What the square root of the evidence counts for, in standard deviations of the
        candidates' similarities; chosen for this matcher, see ``docs/reranking.md``."""

    @property
    def concurrent(self) -> bool:
        """Whether several threads find features at once; a network shares out the cores itself."""

    def extract(self, pixels: NDArray[np.uint8]) -> LocalFeatures:
        """The features of a photo.

        Args:
            pixels: (H, W, 3) RGB; larger ones are shrunk to :attr:`max_side`.
        """

    def match(self, query: LocalFeatures, candidate: LocalFeatures) -> Pairs:
        """The features that seem to show the same thing, none twice, and how far each is trusted.

        Args:
            query: as :meth:`extract` of the same matcher gives them.
            candidate: likewise.
        """


def shrunk(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) pixels with a longer side of at most ``max_side``, the shape kept."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def no_pairs() -> Pairs:
    """Of photos that have nothing in common."""
    return np.zeros((0, 2), np.int64), np.zeros(0)
