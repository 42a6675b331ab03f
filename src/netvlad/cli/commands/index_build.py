"""``netvlad index build`` and ``add``: photos into an index."""

import sys
from pathlib import Path
from typing import Literal

from netvlad.cli.console import reporting, show
from netvlad.cli.engine_flags import EngineFlags
from netvlad.cli.flags import ComputeFlags
from netvlad.cli.index_tables import change_line
from netvlad.cli.photo_flags import PositionFlags
from netvlad.compute import Compute
from netvlad.index.build import Change
from netvlad.index.place_index import PlaceIndex
from netvlad.loading import load_place_model
from netvlad.types import Note, counted

DEFAULTS = (PositionFlags(), Compute(), EngineFlags())


def build(
    photos: list[Path],
    /,
    *,
    index: str,
    model: str | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    whiten: int | None = None,
    storage: Literal["16", "32"] = "16",
    positions: PositionFlags = DEFAULTS[0],
    compute: ComputeFlags = DEFAULTS[1],
    engine: EngineFlags = DEFAULTS[2],
    strict: bool = False,
) -> None:
    """Make an index of photos: folders with all that lies below them, and single files.

    ```
    netvlad index build photos/ --index my.index --positions positions.csv
    ```

    Where and when a photo was taken comes from the table, else from a file name such as
    @easting@northing@zone@band@...@.jpg, else from EXIF; an index without any positions answers
    with similar photos alone. A build that was stopped is resumed when repeated; in Milvus, by
    `netvlad index add`.

    Parameters
    ----------
    photos
        Folders and files.
    index
        The folder to make, or milvus://HOST:19530/COLLECTION.
    model
        A run folder, a cluster file (.hdf5), a backbone's name, or another index [default:
        EfficientNet-Lite0 and a NetVLAD whose centres are learned from these photos].
    ckpt
        Which checkpoint of a run: latest or best.
    whiten
        Reduce descriptors to so many dimensions, by a PCA whitening learned from these photos.
    storage
        Bits per value of the descriptors (Milvus Lite keeps 32).
    strict
        Exit with 1 when a photo could not be used.
    """
    cluster = engine.cluster(compute, index)
    with reporting() as report:
        network = None
        if model is not None:
            network = load_place_model(model, ckpt=ckpt, report=report)
        built = PlaceIndex.build(
            list(photos),
            network,
            output=index,
            positions=positions.positions,
            utm_zone=positions.utm_zone,
            storage=storage,
            whiten=whiten,
            compute=compute,
            cluster=cluster,
            report=report,
        )
        assert built.change is not None
        for note in built.change.notes:
            report(Note(note))
    _tell(built, built.change, strict)


def add(
    photos: list[Path],
    /,
    *,
    index: str,
    positions: PositionFlags = DEFAULTS[0],
    compute: ComputeFlags = DEFAULTS[1],
    engine: EngineFlags = DEFAULTS[2],
    strict: bool = False,
) -> None:
    """Add photos to an index; those it has are described again only if the file has changed.

    ```
    netvlad index add more-photos/ --index my.index
    ```

    Positions, headings, times and tags of photos it has are brought up to date. Those who read the
    index meanwhile see it as it was, or as it is afterwards; in Milvus they see it grow.

    Parameters
    ----------
    photos
        Folders and files.
    index
        The index folder, or milvus://HOST:19530/COLLECTION.
    strict
        Exit with 1 when a photo could not be used.
    """
    cluster = engine.cluster(compute, index)
    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        change = opened.add(
            list(photos),
            positions=positions.positions,
            utm_zone=positions.utm_zone,
            cluster=cluster,
            report=report,
        )
        for note in change.notes:
            report(Note(note))
    _tell(opened, change, strict)


def _tell(opened: PlaceIndex, change: Change, strict: bool) -> None:
    show(change_line(opened.name, change))
    show(opened.store.summary())
    if strict and change.skipped:
        print(
            f"netvlad: {counted(len(change.skipped), 'photos')} could not be used (--strict)",
            file=sys.stderr,
        )
        sys.exit(1)
