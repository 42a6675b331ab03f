"""``netvlad datasets``: what there is, whether it is sound, and making one of one's own photos."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
from cyclopts import Parameter

from netvlad.cli.commands.dataset_frames import frames
from netvlad.cli.console import reporting, show
from netvlad.cli.dataset_tables import (
    by_hand_lines,
    checkup_figures,
    checkup_table,
    example_lines,
    list_figures,
    list_table,
    record_figures,
    record_lines,
    verdict,
)
from netvlad.cli.json_output import show_json
from netvlad.cli.photo_flags import PositionFlags
from netvlad.datasets import DATASETS, DatasetRecord, open_dataset
from netvlad.datasets.checking import check_dataset
from netvlad.datasets.converting import Layout, convert_dataset
from netvlad.datasets.findings import Checkup
from netvlad.datasets.getting import get_dataset
from netvlad.datasets.splitting import (
    SplitSettings,
    Strips,
    copies_among,
    split_strips,
    write_strips,
)
from netvlad.errors import SettingsError
from netvlad.geography import to_utm
from netvlad.index.photos import Collection, collect_photos
from netvlad.reports.dataset_page import write_dataset_page
from netvlad.types import ImageSet, Note

datasets = cyclopts.App(
    name="datasets",
    help="""List data sets, fetch, check, convert and show them.

    A data set is opened by its name and the folder it lies in. Your own photos become one, too:

        netvlad datasets split photos/ --output data/mine
        netvlad datasets check csv --data-dir data/mine""",
)

datasets.command(frames)

Debug = Annotated[bool, Parameter(negative=())]


@Parameter(name="*")
@dataclass(frozen=True)
class WhereFlags:
    """Where a data set lies."""

    data_dir: Path
    """The folder the data set lies in."""

    utm_zone: str | None = None
    """UTM zone such as 31N, where the format does not say."""

    debug: Debug = False
    """Show the traceback of an error."""


@datasets.command(name="list")
def list_datasets(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the data sets that can be opened by name.

    Parameters
    ----------
    json
        Print JSON.
    """
    if json:
        show_json(list_figures())
    else:
        show(list_table())


@datasets.command
def info(name: str, /, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Say all that is known about a data set: splits, counts, licence, how its files should lie.

        netvlad datasets info pitts30k

    Parameters
    ----------
    name
        The data set.
    json
        Print JSON.
    """
    record = _record(name)
    if json:
        show_json(record_figures(record))
        return
    for line in record_lines(record):
        show(line)


@datasets.command
def check(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str | None = None,
    fast: Annotated[bool, Parameter(negative=())] = False,
    threads: int = 8,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Check a data set; exits with 1 when anything is wrong.

        netvlad datasets check pitts30k --data-dir data/pittsburgh

    Looks whether every image is there and can be decoded, whether positions are such as photos can
    have, whether a picture or a place is in two splits, and whether a query is in its own database.

    Parameters
    ----------
    name
        The data set.
    split
        Check this split alone [default: all that are there, and compare them].
    fast
        Read the headers of images only. Truncated images go unnoticed.
    threads
        Threads that read images.
    json
        Print JSON.
    """
    with reporting() as report:
        checkup = check_dataset(
            name,
            where.data_dir,
            split=split,
            utm_zone=where.utm_zone,
            fast=fast,
            threads=threads,
            report=report,
        )
    _tell(checkup, where.data_dir, json)


@datasets.command(name="split")
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
    relative: Annotated[bool, Parameter(negative=())] = False,
    threads: int = 8,
    debug: Debug = False,
) -> None:
    """Make a data set of photos: train, validation and test strips, so that no place is in two.

        netvlad datasets split photos/ --output data/mine
        netvlad train --dataset csv --data-dir data/mine

    Writes train.csv, val.csv and test.csv into the output folder; photos are neither copied nor
    touched. Strips lie side by side along the longer axis of the area; photos in the gaps between
    them are left out. Positions come from the table, else from file names such as
    @easting@northing@zone@band@...@.jpg, else from EXIF.

    Parameters
    ----------
    photos
        Folders and files.
    output
        The folder of the tables.
    val
        Share of the photos for validation; 0 for none.
    test
        Share of the photos for testing; 0 for none.
    gap_m
        Metres between strips.
    place_m
        Photos within so many metres are of the same place, one of them in the database at least.
    query_share
        Share of each place's photos that become queries.
    seed
        Governs which photos become queries.
    relative
        Write paths relative to the output folder.
    threads
        Threads that read metadata.
    debug
        Show the traceback of an error.
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
            report(Note(f"{copies.sum()} photos are copies of others and are left out."))
            images = images.subset(np.flatnonzero(~copies))
        assert images.positions is not None
        strips = split_strips(images.positions, settings)
        tables = write_strips(output, images, strips, relative=relative)
    _tell_strips(strips, tables, settings)


@datasets.command
def convert(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str,
    to: Layout,
    output: Path,
    copy: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a split in another layout.

        netvlad datasets convert pitts30k --data-dir data/p --split val --to utm-names --output out

    Parameters
    ----------
    name
        The data set.
    split
        The split.
    to
        utm-names: links to the images, named by their positions; csv: a table; mat: a dbStruct as
        Pittsburgh's.
    output
        The folder to write into.
    copy
        Copy images instead of linking to them.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        made = convert_dataset(dataset, to, output, copy=copy, report=report)
    show(f"{made}: {len(dataset.database)} database images and {len(dataset.queries)} queries")


@datasets.command
def get(
    name: str,
    /,
    *,
    data_dir: Path,
    keep_archives: Annotated[bool, Parameter(negative=())] = False,
    debug: Debug = False,
) -> None:
    """Fetch a data set as far as it is open, verify it, and unpack it; say what is left to do.

        netvlad datasets get pitts30k --data-dir data/pittsburgh

    Repeated, it goes on where it stopped. When nothing is left to be done by hand the data set is
    checked, as by `netvlad datasets check --fast`.

    Parameters
    ----------
    name
        The data set.
    data_dir
        The folder to put it into; made if need be.
    keep_archives
        Leave archives there after unpacking.
    debug
        Show the traceback of an error.
    """
    with reporting() as report:
        got = get_dataset(name, data_dir, keep_archives=keep_archives, report=report)
    for file in got.fetched:
        show(f"{file}: fetched")
    for file in got.had:
        show(f"{file}: was fetched before")
    if got.by_hand:
        show(f"{name}: the rest is not open to programs; by hand:")
        for line in by_hand_lines(got.by_hand):
            show(line)
        show(f"then: netvlad datasets check {name} --data-dir {data_dir}")
        return
    with reporting() as report:
        checkup = check_dataset(name, data_dir, fast=True, report=report)
    _tell(checkup, data_dir, json=False)


@datasets.command(name="show")
def show_dataset(name: str, /, *, where: WhereFlags, split: str, output: Path) -> None:
    """Write a page that shows a split: a map, contact sheets, distances between neighbours.

        netvlad datasets show csv --data-dir data/mine --split test --output test.html

    Parameters
    ----------
    name
        The data set.
    split
        The split.
    output
        The page.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        page = write_dataset_page(output, dataset, report=report)
    show(f"Look at {page}")


def _record(name: str) -> DatasetRecord:
    if name not in DATASETS:
        raise SettingsError(
            f"there is no data set called {name}; choose from {', '.join(DATASETS)}"
        )
    return DATASETS[name]


def _tell(checkup: Checkup, data_dir: Path, json: bool) -> None:
    if json:
        show_json(checkup_figures(checkup, data_dir))
    else:
        if checkup.findings:
            show(checkup_table(checkup))
        for line in example_lines(checkup):
            show(line)
        if checkup.is_sound:
            show(verdict(checkup))
    if not checkup.is_sound:
        print(f"netvlad: {verdict(checkup)}", file=sys.stderr)
        sys.exit(1)


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
            f"{table}: {strips.places[number]} places, {int(members.sum()) - queries} database "
            f"images, {queries} queries"
        )
    if strips.in_gap:
        show(f"left out: {strips.in_gap} photos in gaps of {settings.gap_m:g} m")
    if strips.without_position:
        show(f"left out: {strips.without_position} photos without a position")
