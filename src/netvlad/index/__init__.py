"""A persistent index of places: photos in, where a new photo was taken out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported when first used: the index's parts bring torch, OpenCV, faiss and Arrow.
_PUBLIC = ("Answer", "Change", "Place", "PlaceIndex", "Position", "Question", "Where")
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


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'netvlad.index' has no attribute {name!r}")
    return getattr(import_module("netvlad.index.place_index"), name)
