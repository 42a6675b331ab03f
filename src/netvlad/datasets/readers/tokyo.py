"""Tokyo 24/7 (Torii et al. 2015) and Tokyo Time Machine (Arandjelović et al. 2016)."""

from pathlib import Path

from netvlad.datasets.readers.struct_folder import StructLayout, read_struct_folder
from netvlad.types import PlaceDataset

LAYOUT_247 = (
    "datasets/tokyo247.mat, database images in images/ (03814/ …, .png or .jpg), queries in query/"
)
LAYOUT_TIME_MACHINE = "datasets/tokyoTM_{train,val}.mat, database images and queries in images/"

_ZONE, _CENTRE = "54N", (382_000.0, 3_947_000.0)

PUBLISHED_247 = {"test": (75_984, 315)}
"""Database images and queries of Tokyo 24/7."""

PUBLISHED_TIME_MACHINE = {"train": (49_104, 7_277), "val": (49_056, 7_186)}
"""Database images and queries of Tokyo Time Machine."""


def read_tokyo247(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open Tokyo 24/7, which has nothing but a test split of 315 queries.

    The paper's protocol counts only the best match of each 12 consecutive database images, which
    are one panorama; that is the business of the evaluation.

    Args:
        root: the folder that holds ``datasets/`` and the images.
        split: ``test``.
        utm_zone: the zone of another city in this layout; Tokyo's own (54N) is known.

    Raises:
        DataError: the struct is missing or contradicts itself.
        SettingsError: ``utm_zone`` is not a zone.
    """
    where = StructLayout(
        name="tokyo247",
        structs=("datasets/tokyo247.mat", "tokyo247.mat"),
        # The last ones are what the archives unpack to.
        database_folders=("images", "", "database_gsv_vga", "tokyo247"),
        query_folders=("query", "247query_subset_v2", "queries", "tokyo247/247query_subset_v2"),
        published=PUBLISHED_247.get(split),
        utm_zone=_ZONE,
        centre=_CENTRE,
        layout=LAYOUT_247,
    )
    return read_struct_folder(root, split, where, utm_zone=utm_zone)


def read_tokyo_time_machine(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``train`` or ``val`` of Tokyo Time Machine.

    Its queries are taken from the database itself: ``times`` tell which database images show the
    same moment as a query, and those must not count as found.

    Args:
        root: the folder that holds ``datasets/`` and ``images/``.
        split: the split.
        utm_zone: the zone of another city in this layout; Tokyo's own (54N) is known.

    Raises:
        DataError: the struct is missing or contradicts itself.
        SettingsError: ``utm_zone`` is not a zone.
    """
    where = StructLayout(
        name="tokyo-time-machine",
        structs=(f"datasets/tokyoTM_{split}.mat", f"tokyoTM_{split}.mat"),
        database_folders=("images", "", "tokyoTM/images"),
        query_folders=("images", "", "tokyoTM/images"),
        published=PUBLISHED_TIME_MACHINE.get(split),
        utm_zone=_ZONE,
        centre=_CENTRE,
        layout=LAYOUT_TIME_MACHINE,
    )
    return read_struct_folder(root, split, where, utm_zone=utm_zone)
