"""The words of the town: streets, buildings, trees and lamps, as frozen records.

Every district has a frame of its own: `x` to the right and `y` forward in metres, with streets
along the axes. `District.to_world` turns and moves that frame into UTM metres, so that no street of
the finished data set runs exactly north.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Colour = tuple[int, int, int]
Material = Literal["brick", "plaster", "stone", "concrete", "timber", "glass", "boards"]
Window = Literal["plain", "cross", "arched", "wide", "tall", "pair", "pointed"]
GroundFloor = Literal["shop", "door", "garage", "none"]
Roof = Literal["flat", "ridge", "gable", "steps", "spire"]
Surface = Literal["asphalt", "cobbles", "concrete"]
FenceKind = Literal["wall", "hedge", "railing", "hoarding"]
BlockKind = Literal["built", "park", "square"]
Split = Literal["train", "val", "test"]
SpriteKind = Literal["tree", "lamp", "sign", "bush", "bench", "kiosk", "bollard"]


@dataclass(frozen=True)
class FacadeStyle:
    """How the front of one building is painted. Lengths in metres."""

    material: Material
    wall: Colour
    trim: Colour
    frame: Colour
    accent: Colour
    window: Window
    ground_floor: GroundFloor
    floor_height: float
    bay_width: float
    shutters: bool
    balconies: bool
    quoins: bool
    sign: str
    seed: int


@dataclass(frozen=True)
class Building:
    """A box with a roof.

    `corner` is the left end of its front, seen from the street, and `along` the unit vector from
    there to the right end. The front faces away from `depth`. `height` is that of the eaves and
    `rise` what the roof adds. `left_front` and `right_front` tell which sides face a street too.
    """

    corner: Point
    along: Point
    width: float
    depth: float
    height: float
    roof: Roof
    rise: float
    roof_colour: int
    style: FacadeStyle
    left_front: bool = False
    right_front: bool = False

    @property
    def outward(self) -> Point:
        """The unit normal of the front."""
        return self.along[1], -self.along[0]

    def at(self, along: float, behind: float) -> Point:
        """The point `along` metres right of the front's left end and `behind` metres inside."""
        normal = self.outward
        return (
            self.corner[0] + along * self.along[0] - behind * normal[0],
            self.corner[1] + along * self.along[1] - behind * normal[1],
        )

    def footprint(self) -> tuple[Point, Point, Point, Point]:
        """Front left, front right, back right, back left."""
        return (
            self.at(0.0, 0.0),
            self.at(self.width, 0.0),
            self.at(self.width, self.depth),
            self.at(0.0, self.depth),
        )


@dataclass(frozen=True)
class Fence:
    """A garden wall, a hedge or a railing, seen from both sides."""

    start: Point
    end: Point
    height: float
    kind: FenceKind
    seed: int


@dataclass(frozen=True)
class Sprite:
    """A thing that always turns its picture to the camera. `variant` picks the picture."""

    kind: SpriteKind
    position: Point
    height: float
    variant: int


@dataclass(frozen=True)
class Street:
    """A straight street along one axis of the district, `start` < `end`.

    `centre` is the other coordinate. `width` is measured from front to front and `carriageway` from
    kerb to kerb.
    """

    axis: Literal["x", "y"]
    centre: float
    start: float
    end: float
    width: float
    carriageway: float
    surface: Surface
    marked: bool
    parking: bool

    def at(self, along: float, aside: float = 0.0) -> Point:
        """The point `along` the axis and `aside` of the centre line."""
        if self.axis == "x":
            return along, self.centre + aside
        return self.centre + aside, along


@dataclass(frozen=True)
class Block:
    """The land between streets."""

    left: float
    bottom: float
    right: float
    top: float
    kind: BlockKind


@dataclass(frozen=True)
class District:
    """One part of the town. No photograph of one district shows another."""

    split: Split
    origin: tuple[float, float]
    turn: float
    extent: tuple[float, float, float, float]
    streets: tuple[Street, ...]
    blocks: tuple[Block, ...]
    buildings: tuple[Building, ...]
    fences: tuple[Fence, ...]
    sprites: tuple[Sprite, ...]
    seed: int

    def to_world(self, point: Point) -> tuple[float, float]:
        """Easting and northing of a point of the district, in metres."""
        angle = math.radians(self.turn)
        sine, cosine = math.sin(angle), math.cos(angle)
        return (
            self.origin[0] + cosine * point[0] + sine * point[1],
            self.origin[1] - sine * point[0] + cosine * point[1],
        )

    def to_world_heading(self, heading: float) -> float:
        """A heading of the district (clockwise from its `y`) as degrees clockwise from north."""
        return (heading + self.turn) % 360.0
