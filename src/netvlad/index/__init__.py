"""A persistent index of places: photos in, where a new photo was taken out."""

from typing import TYPE_CHECKING

from netvlad.lazy import offered

if TYPE_CHECKING:
    from netvlad.index.loop_closure import Closure, LoopCloser
    from netvlad.index.place_index import (
        Answer,
        Change,
        Place,
        PlaceIndex,
        Position,
        Question,
        Where,
    )

__all__ = [
    "Answer",
    "Change",
    "Closure",
    "LoopCloser",
    "Place",
    "PlaceIndex",
    "Position",
    "Question",
    "Where",
]

__getattr__, __dir__ = offered(
    __name__,
    {
        "netvlad.index.loop_closure": ("Closure", "LoopCloser"),
        "netvlad.index.place_index": (
            "Answer",
            "Change",
            "Place",
            "PlaceIndex",
            "Position",
            "Question",
            "Where",
        ),
    },
)
