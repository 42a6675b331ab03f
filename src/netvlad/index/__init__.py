"""A persistent index of places: photos in, where a new photo was taken out."""

from typing import TYPE_CHECKING

from netvlad.lazy import offered

__all__ = ["Answer", "Change", "Place", "PlaceIndex", "Position", "Question", "Where"]

if TYPE_CHECKING:
    from netvlad.index.place_index import (
        Answer,
        Change,
        Place,
        PlaceIndex,
        Position,
        Question,
        Where,
    )

__getattr__, __dir__ = offered(__name__, {"netvlad.index.place_index": __all__})
