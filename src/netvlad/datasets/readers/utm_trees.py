"""Published data sets in the trees that Berton et al. make: positions in the names of the files.

Sources of the trees: VPR-datasets-downloader (Berton et al. 2022), SF-XL (CosPlace, Berton et al.
2022; night and occlusion: Barbarani et al. 2023), SVOX (Berton et al. 2021).
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.utm_names import UtmTree, read_utm_tree
from netvlad.errors import SettingsError
from netvlad.types import ImageSet, PlaceDataset


class _Split(NamedTuple):
    """A split: its folder, its folder of queries, and what it is known to have."""

    folder: str
    queries: tuple[str, ...] = ("queries",)
    published: tuple[int, int] | None = None
    condition: str = ""


class Tree(NamedTuple):
    """A data set whose splits lie in one tree.

    Attributes:
        name: the data set's name.
        bases: patterns of the folder of a split, relative to the root, such as ``"images/{}"``.
        layout: one line that shows a person how the files should lie.
        splits: what it has.
        zones_apart: see :class:`netvlad.datasets.readers.utm_names.UtmTree`.
    """

    name: str
    bases: tuple[str, ...]
    layout: str
    splits: dict[str, _Split]
    zones_apart: bool = False

    def published(self) -> dict[str, tuple[int, int]]:
        """Database images and queries by split, where they are known."""
        return {k: split.published for k, split in self.splits.items() if split.published}


_NAMED = "with files named @easting@northing@zone@band@…@.jpg"
_USUAL = ("images/{}", "{}")


def _test_only(name: str, published: tuple[int, int]) -> Tree:
    layout = f"images/test/{{database,queries}}/ (or test/{{database,queries}}/) {_NAMED}"
    return Tree(name, _USUAL, layout, {"test": _Split("test", published=published)})


ST_LUCIA = _test_only("st-lucia", (1_549, 1_464))
EYNSHAM = _test_only("eynsham", (23_935, 23_935))
AMSTERTIME = _test_only("amstertime", (1_231, 1_231))
TOKYO247 = _test_only("tokyo247-utm", (75_984, 315))

MSLS = Tree(
    "msls-utm",
    ("images/{}", "{}"),
    f"train/{{database,queries}}/ and val/{{database,queries}}/ {_NAMED}",
    {"train": _Split("train"), "val": _Split("val", published=(18_871, 11_084))},
    zones_apart=True,
)

SVOX = Tree(
    "svox",
    _USUAL,
    "images/{train,val}/{gallery,queries}/ and images/test/{gallery,queries,queries_night,"
    f"queries_overcast,queries_rain,queries_snow,queries_sun}}/ {_NAMED}",
    {
        "train": _Split("train"),
        "val": _Split("val"),
        "test": _Split("test", published=(17_166, 14_278)),
        **{
            f"test-{condition}": _Split(
                "test", (f"queries_{condition}",), (17_166, count), condition
            )
            for condition, count in (
                *(("night", 823), ("overcast", 872), ("rain", 937)),
                *(("snow", 870), ("sun", 854)),
            )
        },
    },
)

SF_XL = Tree(
    "sf-xl",
    ("processed/{}", "{}", "images/{}"),
    "processed/val/{database,queries}/, processed/test/{database,queries_v1,queries_v2,"
    f"queries_night,queries_occlusion}}/, small/{{val,test}}/{{database,queries…}}/ {_NAMED}",
    {
        "val": _Split("val", published=(8_015, 7_993)),
        **{
            f"test-{kind}": _Split("test", (f"queries_{kind}",), (2_805_840, count), condition)
            for kind, count, condition in (
                ("v1", 1_000, ""),
                ("v2", 598, ""),
                ("night", 466, "night"),
                ("occlusion", 76, "occlusion"),
            )
        },
        "small-val": _Split("small/val", published=(8_015, 7_993)),
        "small-test": _Split("small/test", ("queries_v1", "queries"), (27_191, 1_000)),
    },
)


def _read(root: Path, split: str, tree: Tree, utm_zone: str | None) -> PlaceDataset:
    if split not in tree.splits:
        raise SettingsError(
            f"{tree.name} has no split {split}; choose from {', '.join(tree.splits)}"
        )
    known = tree.splits[split]
    where = UtmTree(
        name=tree.name,
        folders=tuple(base.format(known.folder) for base in tree.bases),
        layout=tree.layout,
        # SVOX, and the first downloader's trees, say gallery.
        databases=("database", "gallery"),
        queries=known.queries,
        published=known.published,
        zones_apart=tree.zones_apart,
    )
    dataset = read_utm_tree(root, split, where, utm_zone=utm_zone)
    if not known.condition:
        return dataset
    words = np.full(len(dataset.queries), known.condition)
    queries = replace(dataset.queries, labels={**dataset.queries.labels, "condition": words})
    return replace(dataset, queries=queries)


def read_st_lucia(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open St Lucia (Milford and Wyeth 2008): the first and the last of ten drives.

    Args:
        root: the folder that holds ``images/test/`` or ``test/``.
        split: ``test``.
        utm_zone: see :func:`netvlad.datasets.readers.utm_names.read_utm_names`.

    Raises:
        DataError: a folder is missing, has no images, or none of its names can be parsed.
        SettingsError: there is no such split, or ``utm_zone`` is not a zone.
    """
    return _read(root, split, ST_LUCIA, utm_zone)


def read_eynsham(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open Eynsham (Cummins and Newman 2009): two rounds in grey; see :func:`read_st_lucia`."""
    return _read(root, split, EYNSHAM, utm_zone)


def read_amstertime(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open AmsterTime (Yildiz et al. 2022): pairs of old and new pictures.

    The metres in its names are made up: 0 between the two of a pair, a kilometre to the next pair.
    See :func:`read_st_lucia`.
    """
    return _read(root, split, AMSTERTIME, utm_zone)


def read_tokyo247_utm(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open Tokyo 24/7 in this tree; see :func:`read_st_lucia`."""
    return _read(root, split, TOKYO247, utm_zone)


def read_svox(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open SVOX (Berton et al. 2021): Oxford, in the weather of the split (``test-night``, …).

    See :func:`read_st_lucia`.
    """
    return _read(root, split, SVOX, utm_zone)


def read_sf_xl(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open San Francisco XL, except for its training images, which have no queries.

    One database of 2.8 million images serves four sets of queries: ``test-v1``, ``test-v2``,
    ``test-night`` and ``test-occlusion``. See :func:`read_st_lucia`.
    """
    return _read(root, split, SF_XL, utm_zone)


def read_msls_utm(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open Mapillary SLS in this tree: all images but panoramas, also queries without a match.

    The names' notes become the labels ``condition``, ``view_direction`` and ``city``. No UTM zone
    shows all of its cities: positions stay in their own zones, each moved 10,000 km times the
    zone's number to the east, so that images of different zones are never near each other.

    Raises:
        DataError: see :func:`read_st_lucia`.
        SettingsError: there is no such split, or ``utm_zone`` is given.
    """
    if utm_zone:
        raise SettingsError(
            f"utm_zone is {utm_zone} but {MSLS.name} has cities in several zones; leave it out"
        )
    dataset = _read(root, split, MSLS, utm_zone)
    return replace(dataset, database=_noted(dataset.database), queries=_noted(dataset.queries))


def _noted(images: ImageSet) -> ImageSet:
    notes = images.labels.get("note")
    if notes is None:
        return images
    # day_forward_sf
    parts = [(*str(note).split("_"), "", "", "")[:3] for note in notes]
    names = ("condition", "view_direction", "city")
    columns: dict[str, NDArray[np.str_]] = {
        name: np.array([part[i] for part in parts], dtype=str) for i, name in enumerate(names)
    }
    return replace(images, labels={**images.labels, **columns})
