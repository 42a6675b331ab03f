"""Labels in a drawing: how much room they take, and which place for one is still free."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

# The width of one character in heights of the font; a little more than that of most sans serifs.
_CHARACTER = 0.56


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels right and down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share more than their rim."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: "Box") -> bool:
        """Whether ``other`` lies within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


def box_around(x: float, y: float, half: float) -> Box:
    """The square of 2 × ``half`` pixels around a point."""
    return Box(x - half, y - half, x + half, y + half)


@dataclass(frozen=True)
class Label:
    """A line of text in a drawing.

    Attributes:
        text: unescaped.
        x: of its start, middle or end, as ``anchor`` says.
        y: of its base line.
        anchor: SVG's ``text-anchor``.
        size: of the font, in pixels.
    """

    text: str
    x: float
    y: float
    anchor: Literal["start", "middle", "end"] = "start"
    size: float = 11.0

    @property
    def box(self) -> Box:
        """The room it takes, estimated from the number of its characters."""
        width = len(self.text) * _CHARACTER * self.size
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * width
        return Box(left, self.y - 0.85 * self.size, left + width, self.y + 0.25 * self.size)

    def to_svg(self, kind: str) -> str:
        """The element, with the CSS class ``kind``."""
        return (
            f'<text x="{self.x:.1f}" y="{self.y:.1f}" text-anchor="{self.anchor}" '
            f'class="{kind}">{escape(self.text)}</text>'
        )


def first_free(candidates: Sequence[Label], taken: Sequence[Box], frame: Box) -> Label | None:
    """The first label that lies within ``frame`` and on nothing that is there already."""
    for label in candidates:
        box = label.box
        if frame.holds(box) and not any(box.overlaps(other) for other in taken):
            return label
    return None
