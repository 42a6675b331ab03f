"""From a ``dbStruct`` and the folders around it to a :class:`PlaceDataset`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from netvlad.datasets.readers.dbstruct import DbStruct, read_dbstruct
from netvlad.errors import DataError
from netvlad.geography import parse_utm_zone
from netvlad.types import ImageSet, PlaceDataset

_PROBES = 16
_CITY_RADIUS_M = 50_000.0


@dataclass(frozen=True)
class StructLayout:
    """Where one split of such a data set keeps what; of several places the first that fits counts.

    Attributes:
        name: the data set's name.
        structs: paths of the ``.mat`` file, relative to the root.
        database_folders: folders that the database names may be relative to ("" is the root).
        query_folders: the same for queries.
        published: the published numbers of database and query images, or None.
        utm_zone: the zone of the city.
        centre: easting and northing of the city in that zone.
        layout: one line that shows a person how the files should lie.
    """

    name: str
    structs: tuple[str, ...]
    database_folders: tuple[str, ...]
    query_folders: tuple[str, ...]
    published: tuple[int, int] | None
    utm_zone: str
    centre: tuple[float, float]
    layout: str


def read_struct_folder(
    root: Path, split: str, where: StructLayout, *, utm_zone: str | None
) -> PlaceDataset:
    """Open one split that a ``dbStruct`` specifies.

    Names become relative to ``root``. Whether the images exist is not checked; a few are looked
    for, to choose among the folders in which they may lie.

    Raises:
        DataError: the struct is missing or contradicts itself, or a list is empty.
        SettingsError: ``utm_zone`` is not a zone.
    """
    found = [root / name for name in where.structs if (root / name).exists()]
    if not found:
        raise DataError(f"{root / where.structs[0]}: no such file; expected {where.layout}")
    struct = read_dbstruct(found[0])
    if not struct.database_names or not struct.query_names:
        empty = "queries" if struct.database_names else "database images"
        raise DataError(f"{found[0]}: lists no {empty}")
    database, database_notes = _located(root, struct.database_names, where.database_folders)
    queries, query_notes = _located(root, struct.query_names, where.query_folders)
    zone = parse_utm_zone(utm_zone).name if utm_zone else _known_zone(struct, where)
    return PlaceDataset(
        name=where.name,
        split=split,
        database=ImageSet(
            root, database, struct.database_positions, None, struct.database_times, zone
        ),
        queries=ImageSet(root, queries, struct.query_positions, None, struct.query_times, zone),
        radius_m=struct.radius_m or PlaceDataset.radius_m,
        train_radius_m=struct.train_radius_m or PlaceDataset.train_radius_m,
        notes=(*_notes_on(struct, split, where), *database_notes, *query_notes),
    )


def _located(
    root: Path, names: Sequence[str], folders: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names relative to the root, and a note when none of a few could be found."""
    probes = [names[i] for i in np.linspace(0, len(names) - 1, _PROBES).astype(int)]
    for folder in folders:
        # Tokyo's structs say .jpg, but the database images are distributed as .png.
        for suffix in (None, ".png"):
            if any((root / _placed(folder, name, suffix)).exists() for name in probes):
                return tuple(_placed(folder, name, suffix) for name in names), ()
    places = " or ".join(str(root / folder / probes[0]) for folder in folders)
    note = f"None of a few images looked for was found (such as {places})."
    return tuple(_placed(folders[0], name, None) for name in names), (note,)


def _placed(folder: str, name: str, suffix: str | None) -> str:
    path = PurePosixPath(folder, name)
    return str(path if suffix is None else path.with_suffix(suffix))


def _known_zone(struct: DbStruct, where: StructLayout) -> str | None:
    # Other cities are published in the same layout: the name alone does not say where they are.
    positions = struct.database_positions
    known = positions[np.isfinite(positions).all(axis=1)]
    if len(known) == 0:
        return None
    distance = np.linalg.norm(np.median(known, axis=0) - np.asarray(where.centre))
    return where.utm_zone if distance <= _CITY_RADIUS_M else None


def _notes_on(struct: DbStruct, split: str, where: StructLayout) -> list[str]:
    counts = len(struct.database_names), len(struct.query_names)
    notes = []
    if where.published is not None and counts != where.published:
        notes.append(
            f"{counts[0]} database and {counts[1]} query images; the published split {split} "
            f"of {where.name} has {where.published[0]} and {where.published[1]}."
        )
    claims = struct.num_images, struct.num_queries
    for field, claim, count in zip(("numImages", "numQueries"), claims, counts, strict=True):
        if claim is not None and claim != count:
            notes.append(f"{field} says {claim} but {count} names are listed; the list counts.")
    if struct.which_set and not split.startswith(struct.which_set.lower()):
        notes.append(f"The struct says that it is the split {struct.which_set}, not {split}.")
    return notes
