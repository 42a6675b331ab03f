"""One file per on-disk format, each a ``read_<format>(root, split) -> PlaceDataset``."""
