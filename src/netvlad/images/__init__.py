"""Image files: listing, decoding, and loading an :class:`ImageSet` as batches of uint8."""

from netvlad.images.decoding import (
    MAX_PIXELS,
    MAX_PIXELS_TO_RESIZE,
    Resize,
    check_resize,
    read_image,
    size_after,
    upright_rgb,
)
from netvlad.images.listing import SUFFIXES, images_in, left_out_notes, list_images, no_images
from netvlad.images.loading import Batch, Unreadable, load_batches

__all__ = [
    "MAX_PIXELS",
    "MAX_PIXELS_TO_RESIZE",
    "SUFFIXES",
    "Batch",
    "Resize",
    "Unreadable",
    "check_resize",
    "images_in",
    "left_out_notes",
    "list_images",
    "load_batches",
    "no_images",
    "read_image",
    "size_after",
    "upright_rgb",
]
