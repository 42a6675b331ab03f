"""``netvlad index build`` and ``add``: photos into an index."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from netvlad.cli.console import reporting, show
from netvlad.cli.flags import MACHINE, ComputeFlags
from netvlad.cli.index_tables import change_line
from netvlad.cli.photo_flags import PositionFlags
from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.index.address import engine_of
from netvlad.index.build import Change
from netvlad.index.place_index import PlaceIndex
from netvlad.index.ray import RayCluster
from netvlad.loading import load_place_model
from netvlad.types import Note, counted


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class EngineFlags:
    """One machine or many."""

    engine: Literal["local", "ray"] = "local"
    """Who describes the photos: this machine alone, or a Ray cluster (pip install 'netvlad[ray]'),
    whose nodes all find them at the same paths."""

    address: str | None = None
    """The Ray cluster: auto on one of its machines, or HOST:PORT [default: a Ray of its own on
    this machine, shut down at the end]."""

    def cluster(self, compute: Compute, index: str) -> RayCluster | None:
        """The machines that describe for ``index``; None is this one alone.

        Raises:
            SettingsError: there is an address, but nothing to find there; or the index lies where
                a cluster cannot be used.
        """
        if self.engine == "ray" and engine_of(index):
            raise SettingsError("--engine ray: works for index folders, not for Milvus")
        if self.engine == "ray":
            return RayCluster(self.address, compute.device != "cpu")
        if self.address is not None:
            raise SettingsError(f"--address {self.address}: is that of a cluster; add --engine ray")
        return None


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

    Args:
        photos: Folders and files.
        index: The folder to make, or milvus://HOST:19530/COLLECTION.
        model: A run folder, a cluster file (.hdf5), a backbone's name, or another index [default:
            EfficientNet-Lite0 and a NetVLAD whose centres are learned from these photos].
        ckpt: Which checkpoint of a run: latest or best.
        whiten: Reduce descriptors to so many dimensions, by a PCA whitening learned from these
            photos.
        storage: Bits per value of the descriptors (Milvus Lite keeps 32).
        strict: Exit with 1 when a photo could not be used.
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

    Args:
        photos: Folders and files.
        index: The index folder, or milvus://HOST:19530/COLLECTION.
        strict: Exit with 1 when a photo could not be used.
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
