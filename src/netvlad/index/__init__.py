"""A persistent index of places: photos in, where a new photo was taken out."""
