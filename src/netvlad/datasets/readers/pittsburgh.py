"""Pittsburgh 30k and 250k (Torii et al. 2013), in the folders of either NetVLAD code."""

from pathlib import Path

from netvlad.datasets.readers.struct_folder import StructLayout, read_struct_folder
from netvlad.types import PlaceDataset

LAYOUT = (
    "datasets/pitts30k_{train,val,test}.mat (or pitts250k_…), "
    "database images in 000/ 001/ …, queries in queries_real/"
)

PUBLISHED_250K = {
    "train": (91_464, 7_824),
    "val": (78_648, 7_608),
    "test": (83_952, 8_280),
}
"""Database images and queries of Pitts250k."""

PUBLISHED_30K = {
    "train": (10_000, 7_416),
    "val": (10_000, 7_608),
    "test": (10_000, 6_816),
    "test250k": PUBLISHED_250K["test"],
}
"""Database images and queries of Pitts30k."""


def read_pitts30k(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``train``, ``val`` or ``test`` of Pitts30k; ``test250k`` is the test of Pitts250k.

    Args:
        root: the folder that holds ``datasets/`` and the images.
        split: the split.
        utm_zone: the zone of another city in this layout; Pittsburgh's own (17N) is known.

    Raises:
        DataError: the struct is missing or contradicts itself.
        SettingsError: ``utm_zone`` is not a zone.
    """
    struct = "pitts250k_test" if split == "test250k" else f"pitts30k_{split}"
    return _read(root, split, "pitts30k", struct, PUBLISHED_30K.get(split), utm_zone)


def read_pitts250k(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``train``, ``val`` or ``test`` of Pitts250k; see :func:`read_pitts30k`."""
    published = PUBLISHED_250K.get(split)
    return _read(root, split, "pitts250k", f"pitts250k_{split}", published, utm_zone)


def _read(
    root: Path,
    split: str,
    name: str,
    struct: str,
    published: tuple[int, int] | None,
    utm_zone: str | None,
) -> PlaceDataset:
    where = StructLayout(
        name=name,
        structs=(f"datasets/{struct}.mat", f"{struct}.mat"),
        # The MATLAB code of the paper keeps images/ and queries/.
        database_folders=("", "images"),
        query_folders=("queries_real", "queries"),
        published=published,
        utm_zone="17N",
        centre=(585_000, 4_477_000),
        layout=LAYOUT,
    )
    return read_struct_folder(root, split, where, utm_zone=utm_zone)
