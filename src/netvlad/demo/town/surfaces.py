"""Upright rectangles: the one shape the ray caster knows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from netvlad.demo.town.plan import Point

Floats = NDArray[np.float32]
# How a surface answers to the sun: a wall by its side, a flat top fully, leaves and people half.
WALL, TOP, SOFT = 0, 1, 2


@dataclass(frozen=True)
class Surfaces:
    """N upright rectangles or gables, visible from one side.

    Attributes:
        start: (N, 2) the lower left end seen from outside, metres of the district.
        end: (N, 2) the lower right end.
        bottom: (N,) metres above ground.
        top: (N,) metres; the height of the eaves where there is a gable.
        rise: (N,) metres by which the middle of a gable is higher than its ends.
        picture: (N,) int32, in the atlas; its lower left corner is at (`start`, `bottom`).
        kind: (N,) int8, `WALL`, `TOP` or `SOFT`.
        opaque: (N,) bool, reaches the ground and has no holes, so it hides all behind its top.
    """

    start: Floats
    end: Floats
    bottom: Floats
    top: Floats
    rise: Floats
    picture: NDArray[np.int32]
    kind: NDArray[np.int8]
    opaque: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.top)

    def take(self, chosen: NDArray[np.bool_]) -> Surfaces:
        """Only the chosen ones."""
        return Surfaces(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def joined(self, other: Surfaces) -> Surfaces:
        """These, then the others."""
        return Surfaces(
            *(
                np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(self)
            )
        )

    def normals(self) -> Floats:
        """(N, 2) unit normals, pointing to the visible side."""
        along = self.end - self.start
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
        normals: Floats = np.stack([along[:, 1], -along[:, 0]], axis=1) / length[:, None]
        return normals


@dataclass(frozen=True)
class Billboards:
    """M pictures that turn to the camera.

    Attributes:
        position: (M, 2) the foot, metres of the district.
        width: (M,) metres.
        height: (M,) metres.
        picture: (M,) int32, in the atlas.
        scale: (M,) how much larger than its picture the thing is.
    """

    position: Floats
    width: Floats
    height: Floats
    picture: NDArray[np.int32]
    scale: Floats


class SurfaceBuilder:
    """Collects upright rectangles."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []

    def add(
        self,
        start: Point,
        end: Point,
        bottom: float,
        top: float,
        picture: int,
        *,
        rise: float = 0.0,
        kind: int = WALL,
        opaque: bool = False,
    ) -> None:
        """Adds one rectangle; see `Surfaces` for the meaning of the values."""
        self._rows.append((*start, *end, bottom, top, rise, picture, kind, float(opaque)))

    def build(self) -> Surfaces:
        """All of them as arrays."""
        rows = np.array(self._rows, dtype=np.float32).reshape(-1, 10)
        return Surfaces(
            start=np.ascontiguousarray(rows[:, 0:2]),
            end=np.ascontiguousarray(rows[:, 2:4]),
            bottom=rows[:, 4].copy(),
            top=rows[:, 5].copy(),
            rise=rows[:, 6].copy(),
            picture=rows[:, 7].astype(np.int32),
            kind=rows[:, 8].astype(np.int8),
            opaque=rows[:, 9] > 0,
        )
