"""Test sets given as ``.npy`` lists: names of the database and of the queries, and ground truth.

The lists that gsv-cities (Ali-bey et al. 2022) publishes, and whoever evaluates as it does.
"""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from netvlad.datasets.readers.listed_truth import neighbours_from_rows
from netvlad.datasets.readers.named_images import located, relative_names
from netvlad.datasets.readers.npy_lists import read_index_rows, read_names
from netvlad.datasets.readers.published import note_on_counts
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, PlaceDataset

LAYOUT_SPED = (
    "SPED_dbImages.npy, SPED_qImages.npy, SPED_gt.npy (here, in SPED/ or in datasets/SPED/), "
    "images in ref/ and query/"
)
LAYOUT_ESSEX = (
    "ESSEX_dbImages.npy, ESSEX_qImages.npy, ESSEX_gt.npy (here, in ESSEX/ or in datasets/ESSEX/), "
    "images in ref/ and query/"
)
LAYOUT_PITTS30K = (
    "pitts30k_{val,test}_{dbImages,qImages,gt}.npy (here, in Pittsburgh/ or in "
    "datasets/Pittsburgh/), images in 000/ 001/ … and queries_real/"
)
LAYOUT_MSLS = (
    "msls_val_{dbImages,qImages,qIdx,pIdx}.npy (here, in msls_val/ or in datasets/msls_val/), "
    "images in train_val/<city>/{database,query}/images/"
)

PUBLISHED_SPED = {"test": (607, 607)}
PUBLISHED_ESSEX = {"test": (210, 210)}
PUBLISHED_PITTS30K = {"val": (10_000, 7_608), "test": (10_000, 6_816)}
PUBLISHED_MSLS = {"val": (18_871, 740)}


@dataclass(frozen=True)
class Lists:
    """Which files specify one split.

    Attributes:
        name: the data set's name.
        folders: where the files may lie, relative to the root; the first with a list counts.
        database: the file of the database's names.
        queries: the file of the queries' names.
        truth: the file with the correct database indices of each query that counts.
        image_folders: where images may lie, relative to the root.
        published: the published numbers of database images and queries, or None.
        layout: one line that shows a person how the files should lie.
        chosen: the file with the indices of the queries that count; empty when all do.
    """

    name: str
    folders: tuple[str, ...]
    database: str
    queries: str
    truth: str
    image_folders: tuple[str, ...]
    published: tuple[int, int] | None
    layout: str
    chosen: str = ""


def read_npy_truth(root: Path, split: str, where: Lists) -> PlaceDataset:
    """Open one split that ``.npy`` lists specify.

    What is correct is told by the list alone; positions are unknown. Names become relative to
    ``root``. Whether the images exist is not checked; a few are looked for, to find their folder.

    Raises:
        DataError: a list is missing, damaged, or contradicts another one.
    """
    places = [root / folder / where.database for folder in where.folders]
    found = next((path.parent for path in places if path.exists()), None)
    if found is None:
        raise DataError(f"{places[0]}: no such file; expected {where.layout}")
    for name in (where.queries, where.truth, where.chosen):
        if name and not (found / name).exists():
            raise DataError(f"{found / name}: no such file; expected {where.layout}")
    database_names = relative_names(found / where.database, read_names(found / where.database))
    query_names = relative_names(found / where.queries, read_names(found / where.queries))
    if where.chosen:
        query_names = _chosen(found / where.chosen, query_names)
    rows = read_index_rows(found / where.truth)
    if len(rows) != len(query_names):
        raise DataError(
            f"{found / where.truth}: has rows for {len(rows)} queries but {len(query_names)} are "
            "listed; the lists do not belong together"
        )
    database, database_notes = located(root, database_names, where.image_folders)
    queries, query_notes = located(root, query_names, where.image_folders)
    counts = len(database), len(queries)
    published = {} if where.published is None else {split: where.published}
    return PlaceDataset(
        name=where.name,
        split=split,
        database=ImageSet(root, database),
        queries=ImageSet(root, queries),
        positives=neighbours_from_rows(rows, len(database), found / where.truth),
        notes=(
            *note_on_counts(where.name, split, counts, published),
            *database_notes,
            *query_notes,
        ),
    )


def _chosen(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    indices = np.concatenate([np.zeros(0, np.int64), *read_index_rows(path)])
    if len(indices) and not 0 <= indices.min() <= indices.max() < len(names):
        raise DataError(f"{path}: chooses among more than the {len(names)} queries that are listed")
    return tuple(names[i] for i in indices)


def refuse_zone(name: str, utm_zone: str | None) -> None:
    """Say that a data set without positions has no use for a zone.

    Raises:
        SettingsError: there is one.
    """
    if utm_zone:
        raise SettingsError(f"utm_zone is {utm_zone} but {name} has no positions; leave it out")


def _in_folders(folder: str) -> tuple[str, ...]:
    return ("", folder, f"datasets/{folder}")


def read_sped(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open the test of SPED (Chen et al. 2018; 607 pairs of Zaffar et al. 2021).

    Args:
        root: the folder that holds the lists and the images.
        split: ``test``.
        utm_zone: None; there are no positions.

    Raises:
        DataError: a list is missing, damaged, or contradicts another one.
        SettingsError: ``utm_zone`` is given.
    """
    refuse_zone("sped", utm_zone)
    where = Lists(
        name="sped",
        folders=_in_folders("SPED"),
        database="SPED_dbImages.npy",
        queries="SPED_qImages.npy",
        truth="SPED_gt.npy",
        image_folders=("", "SPEDTEST", "SPED"),
        published=PUBLISHED_SPED.get(split),
        layout=LAYOUT_SPED,
    )
    return read_npy_truth(root, split, where)


def read_essex3in1(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open the test of ESSEX3IN1 (Zaffar et al. 2020); see :func:`read_sped`."""
    refuse_zone("essex3in1", utm_zone)
    where = Lists(
        name="essex3in1",
        folders=_in_folders("ESSEX"),
        database="ESSEX_dbImages.npy",
        queries="ESSEX_qImages.npy",
        truth="ESSEX_gt.npy",
        image_folders=("", "ESSEX3IN1", "ESSEX"),
        published=PUBLISHED_ESSEX.get(split),
        layout=LAYOUT_ESSEX,
    )
    return read_npy_truth(root, split, where)


def read_pitts30k_lists(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open ``val`` or ``test`` of Pitts30k as gsv-cities lists it; see :func:`read_sped`."""
    refuse_zone("pitts30k-lists", utm_zone)
    where = Lists(
        name="pitts30k-lists",
        folders=_in_folders("Pittsburgh"),
        database=f"pitts30k_{split}_dbImages.npy",
        queries=f"pitts30k_{split}_qImages.npy",
        truth=f"pitts30k_{split}_gt.npy",
        image_folders=("", "Pittsburgh"),
        published=PUBLISHED_PITTS30K.get(split),
        layout=LAYOUT_PITTS30K,
    )
    return read_npy_truth(root, split, where)


def read_msls_lists(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open the validation set of MSLS as gsv-cities lists it; see :func:`read_sped`.

    Of 747 listed queries the 740 count that have a correct database image. Both cities are one
    database here; the label ``city`` tells them apart.
    """
    refuse_zone("msls-lists", utm_zone)
    where = Lists(
        name="msls-lists",
        folders=_in_folders("msls_val"),
        database="msls_val_dbImages.npy",
        queries="msls_val_qImages.npy",
        truth="msls_val_pIdx.npy",
        chosen="msls_val_qIdx.npy",
        image_folders=("", "msls"),
        published=PUBLISHED_MSLS.get(split),
        layout=LAYOUT_MSLS,
    )
    return _with_cities(read_npy_truth(root, split, where))


def _with_cities(dataset: PlaceDataset) -> PlaceDataset:
    def labelled(images: ImageSet) -> ImageSet:
        # …/train_val/<city>/<role>/images/<key>.jpg
        cities = [PurePosixPath(name).parts[-4:][0] for name in images.names]
        return replace(images, labels={"city": np.array(cities, dtype=str)})

    return replace(dataset, database=labelled(dataset.database), queries=labelled(dataset.queries))
