"""Quadrilaterals with pictures on them, and the rays that meet them (Intel's Embree)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from demo.pictures import Colour, Floats, Texels, blank

Point = tuple[float, float, float]
Span = tuple[float, float]
Paint = int | Colour  # the number of a picture, or a colour


@dataclass(frozen=True)
class Frame:
    """A place and a direction on the ground; seen from in front, `along` points to the right."""

    origin: Span
    along: Span = (1.0, 0.0)

    def at(self, along: float, out: float, z: float = 0.0) -> Point:
        """The point so far along, so far in front and so high."""
        (x, y), (ax, ay) = self.origin, self.along
        return x + along * ax + out * ay, y + along * ay - out * ax, z

    def moved(self, along: float, out: float, degrees: float = 0.0) -> "Frame":
        """The frame at another point, turned anticlockwise."""
        angle = math.atan2(self.along[1], self.along[0]) + math.radians(degrees)
        return Frame(self.at(along, out)[:2], (math.cos(angle), math.sin(angle)))


class Model:
    """Faces and the pictures on them. Corners go anticlockwise from the lower left."""

    def __init__(self) -> None:
        self.corners: list[Floats] = []  # each (N, 4, 3)
        self.paints: list[NDArray[np.int64]] = []  # each (N,)
        self.pictures: list[Texels] = []
        self.scales: list[float] = []
        self._plain: dict[Colour, int] = {}
        self.lamps: list[Span] = []
        self.obstacles: list[Span] = []  # what a camera must not stand in

    def picture(self, texels: Texels, scale: float) -> int:
        """Take a picture of `scale` texels a metre; faces larger than it repeat it."""
        self.pictures.append(texels)
        self.scales.append(scale)
        return len(self.pictures) - 1

    def number(self, paint: Paint) -> int:
        """The number of a picture that shows this paint."""
        if isinstance(paint, int):
            return paint
        if paint not in self._plain:
            self._plain[paint] = self.picture(blank(1, 1, paint), 1e-3)
        return self._plain[paint]

    def faces(self, corners: NDArray[np.floating], pictures: NDArray[np.int64]) -> None:
        """Many faces at once, (N, 4, 3) and (N,)."""
        self.corners.append(corners.astype(np.float32))
        self.paints.append(pictures)

    def face(self, corners: Sequence[Point], paint: Paint) -> None:
        """One face with four corners, or three."""
        self.faces(np.array([[*corners, corners[0]][:4]]), np.array([self.number(paint)]))

    def solid(self, low: Sequence[Point], high: Sequence[Point], side: Paint, top: Paint) -> None:
        """The faces between two quadrilaterals (anticlockwise from above), a lid and a floor."""
        for here in range(4):
            there = (here + 1) % 4
            self.face((low[here], low[there], high[there], high[here]), side)
        self.face(high, top)
        self.face(low[::-1], side)

    def box(
        self, frame: Frame, along: Span, out: Span, z: Span, side: Paint, top: Paint | None = None
    ) -> None:
        """A box between bounds in a frame."""
        ring = ((along[0], out[1]), (along[1], out[1]), (along[1], out[0]), (along[0], out[0]))
        low, high = ([frame.at(a, o, level) for a, o in ring] for level in z)
        self.solid(low, high, side, side if top is None else top)

    def pillar(self, frame: Frame, half: float, z: Span, paint: Paint) -> None:
        self.box(frame, (-half, half), (-half, half), z, paint)

    def flat(self, frame: Frame, size: Span, z: float, paint: Paint) -> None:
        """A rectangle on the ground around the frame's origin, (along, across)."""
        a, o = size[0] / 2, size[1] / 2
        ring = ((-a, o), (a, o), (a, -o), (-a, -o))
        self.face([frame.at(along, out, z) for along, out in ring], paint)


@dataclass(frozen=True, eq=False)
class Hits:
    """What the H rays of all rays met that met something."""

    ray: NDArray[np.int64]  # (H,) which ray
    distance: Floats  # (H,) metres along it
    normal: Floats  # (H, 3) unit vectors towards its origin
    picture: NDArray[np.int64]  # (H,)
    at: Floats  # (H, 2) metres right and up on the face


class Scene:
    """A finished model that rays can meet."""

    def __init__(self, model: Model) -> None:
        corners, self._paints = np.concatenate(model.corners), np.concatenate(model.paints)
        sides = corners[:, [1, 3]] - corners[:, [0, 0]]
        self._spans = np.linalg.norm(sides, axis=2).astype(np.float32)
        three = self._spans[:, 1] == 0  # these are as high as their third corner
        self._spans[three, 1] = np.linalg.norm(corners[three, 2] - corners[three, 1], axis=1)
        triangles = corners[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
        self._triangles = np.flatnonzero(np.any(triangles[:, 2] != triangles[:, 0], axis=1))
        self._embree = EmbreeScene()
        self._mesh = TriangleMesh(self._embree, triangles[self._triangles])

    def meet(self, origins: Floats, directions: Floats) -> Hits:
        """The first face that each ray meets, for (N, 3) and (N, 3) unit vectors."""
        found = self._embree.run(origins, directions, output=1)
        ray = np.flatnonzero(found["primID"] >= 0)
        triangle, u, v = self._triangles[found["primID"][ray]], found["u"][ray], found["v"][ray]
        face, second = triangle // 2, triangle % 2 == 1
        at = np.stack([np.where(second, u, u + v), np.where(second, u + v, v)], axis=1)
        normal = found["Ng"][ray] / np.linalg.norm(found["Ng"][ray], axis=1, keepdims=True)
        normal[np.einsum("ij,ij->i", normal, directions[ray]) > 0] *= -1
        return Hits(ray, found["tfar"][ray], normal, self._paints[face], at * self._spans[face])

    def is_free(self, origins: Floats, directions: Floats) -> NDArray[np.bool_]:
        """Whether nothing stands in the way, (N,)."""
        if not len(origins):
            return np.zeros(0, dtype=np.bool_)
        return np.asarray(self._embree.run(origins, directions, query="OCCLUDED") != 0)
