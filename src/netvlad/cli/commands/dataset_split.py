"""``netvlad datasets split``: photos become a data set of three strips."""

from pathlib import Path

import numpy as np

from netvlad.cli.console import reporting, show
from netvlad.cli.photo_flags import PositionFlags
from netvlad.datasets.splitting import (
    SplitSettings,
    Strips,
    copies_among,
    split_strips,
    write_strips,
)
from netvlad.geography import to_utm
from netvlad.index.photos import Collection, collect_photos
from netvlad.types import ImageSet, Note, counted


def split_photos(
    photos: list[Path],
    /,
    *,
    output: Path,
    positions: PositionFlags | None = None,
    val: float = SplitSettings.val,
    test: float = SplitSettings.test,
    gap_m: float = SplitSettings.gap_m,
    place_m: float = SplitSettings.place_m,
    query_share: float = SplitSettings.query_share,
    seed: int = SplitSettings.seed,
    relative: bool = False,
    threads: int = 8,
) -> None:
    """Make a data set of photos: train, validation and test strips, so that no place is in two.

    ```
    netvlad datasets split photos/ --output data/mine
    netvlad train --dataset csv --data-dir data/mine
    ```

    Writes train.csv, val.csv and test.csv into the output folder; photos are neither copied nor
    touched. Strips lie side by side along the longer axis of the area; photos in the gaps between
    them are left out. Positions come from the table, else from file names such as
    @easting@northing@zone@band@...@.jpg, else from EXIF.

    Args:
        photos: Folders and files.
        output: The folder of the tables.
        val: Share of the photos for validation; 0 for none.
        test: Share of the photos for testing; 0 for none.
        gap_m: Metres between strips.
        place_m: Photos within so many metres are of the same place, one of them in the database at
            least.
        query_share: Share of each place's photos that become queries.
        seed: Governs which photos become queries.
        relative: Write paths relative to the output folder.
        threads: Threads that read metadata.
    """
    settings = SplitSettings(val, test, gap_m, place_m, query_share, seed)
    given = positions or PositionFlags()
    with reporting() as report:
        collection = collect_photos(
            list(photos),
            positions=given.positions,
            utm_zone=given.utm_zone,
            threads=threads,
            report=report,
        )
        for note in collection.notes:
            report(Note(note))
        images = _image_set(collection)
        paths = [images.path(i) for i in range(len(images))]
        copies = copies_among(paths, threads=threads, report=report)
        if copies.any():
            report(
                Note(f"left out: {counted(int(copies.sum()), 'photos')}, each a copy of another")
            )
            images = images.subset(np.flatnonzero(~copies))
        assert images.positions is not None
        strips = split_strips(images.positions, settings)
        tables = write_strips(output, images, strips, relative=relative)
    _tell_strips(strips, tables, settings)


def _image_set(collection: Collection) -> ImageSet:
    """Photos with their positions in one zone; those of all unknown positions in none."""
    places = collection.places
    names = tuple(str(name) for name in places.images())
    if not places.has_position.any():
        return ImageSet(Path(), names, np.full((len(names), 2), np.nan))
    metres, zone = to_utm(places.latitude, places.longitude)
    return ImageSet(Path(), names, metres, places.heading, places.time, zone)


def _tell_strips(strips: Strips, tables: tuple[Path, ...], settings: SplitSettings) -> None:
    for number, table in enumerate(tables):
        members = strips.split == number
        queries = int((members & strips.is_query).sum())
        show(
            f"{table}: {counted(strips.places[number], 'places')}, "
            f"{int(members.sum()) - queries} database "
            f"images, {counted(queries, 'queries')}"
        )
    if strips.in_gap:
        show(f"left out: {counted(strips.in_gap, 'photos')} in gaps of {settings.gap_m:g} m")
    if strips.without_position:
        show(f"left out: {counted(strips.without_position, 'photos')} without a position")
