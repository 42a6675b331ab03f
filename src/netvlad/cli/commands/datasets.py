"""``netvlad datasets``: what there is, whether it is sound, and making one of one's own photos."""

from pathlib import Path

import cyclopts
import numpy as np

from netvlad.cli.console import fail, reporting, show, show_json
from netvlad.cli.dataset_tables import (
    by_hand_lines,
    checkup_figures,
    checkup_table,
    example_lines,
    list_table,
    record_figures,
    record_lines,
    verdict,
)
from netvlad.cli.flags import PositionFlags, WhereFlags
from netvlad.datasets import DATASETS, open_dataset
from netvlad.datasets.checking import check_dataset
from netvlad.datasets.converting import Layout, convert_dataset
from netvlad.datasets.findings import Checkup
from netvlad.datasets.getting import get_dataset
from netvlad.datasets.readers.gpx_track import MAX_GAP_S, FrameChoice
from netvlad.datasets.readers.video import EVERY_M
from netvlad.datasets.readers.video_frames import TABLE_NAME, FrameRequest, write_frames
from netvlad.datasets.splitting import SplitSettings, copies_among, split_strips, write_strips
from netvlad.errors import SettingsError
from netvlad.geography import to_utm
from netvlad.index.photos import Collection, collect_photos
from netvlad.reports.dataset_page import write_dataset_page
from netvlad.types import ImageSet, Note, counted

datasets = cyclopts.App(
    name="datasets",
    help="""List data sets, fetch, check, convert and show them.

    A data set is opened by its name and the folder it lies in. Your own photos become one, too:

    ```
    netvlad datasets split photos/ --output data/mine
    netvlad datasets check csv --data-dir data/mine
    ```""",
)


@datasets.command(name="list")
def list_datasets(*, json: bool = False) -> None:
    """List the data sets that can be opened by name.

    Args:
        json: Print JSON.
    """
    if json:
        show_json([record_figures(record) for record in DATASETS.values()])
    else:
        show(list_table())


@datasets.command
def info(name: str, /, *, json: bool = False) -> None:
    """Say all that is known about a data set: splits, counts, licence, how its files should lie.

    ```
    netvlad datasets info pitts30k
    ```

    Args:
        name: The data set.
        json: Print JSON.
    """
    if name not in DATASETS:
        raise SettingsError(
            f"there is no data set called {name}; choose from {', '.join(DATASETS)}"
        )
    if json:
        show_json(record_figures(DATASETS[name]))
    else:
        show(*record_lines(DATASETS[name]))


@datasets.command
def check(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str | None = None,
    fast: bool = False,
    threads: int = 8,
    json: bool = False,
) -> None:
    """Check a data set; exits with 1 when anything is wrong.

    ```
    netvlad datasets check pitts30k --data-dir data/pittsburgh
    ```

    Looks whether every image is there and can be decoded, whether positions are such as photos can
    have, whether a picture or a place is in two splits, and whether a query is in its own database.

    Args:
        name: The data set.
        split: Check this split alone [default: all that are there, and compare them].
        fast: Read the headers of images only. Truncated images go unnoticed.
        threads: Threads that read images.
        json: Print JSON.
    """
    with reporting() as report:
        checkup = check_dataset(
            name, **vars(where), split=split, fast=fast, threads=threads, report=report
        )
    _tell(checkup, where.data_dir, json)


@datasets.command
def get(name: str, /, *, data_dir: Path, keep_archives: bool = False) -> None:
    """Fetch a data set as far as it is open, verify it, and unpack it; say what is left to do.

    ```
    netvlad datasets get pitts30k --data-dir data/pittsburgh
    ```

    Repeated, it resumes where it stopped. When nothing is left to be done by hand the data set is
    checked, as by `netvlad datasets check --fast`.

    Args:
        name: The data set.
        data_dir: The folder to put it into; made if need be.
        keep_archives: Leave archives there after unpacking.
    """
    with reporting() as report:
        got = get_dataset(name, data_dir, keep_archives=keep_archives, report=report)
    show(*(f"{file}: fetched" for file in got.fetched))
    show(*(f"{file}: was fetched before" for file in got.had))
    if got.by_hand:
        show(
            f"{name}: the rest is not open to programs; by hand:",
            *by_hand_lines(got.by_hand),
            f"then: netvlad datasets check {name} --data-dir {data_dir}",
        )
        return
    with reporting() as report:
        checkup = check_dataset(name, data_dir, fast=True, report=report)
    _tell(checkup, data_dir, json=False)


def _tell(checkup: Checkup, data_dir: Path, json: bool) -> None:
    if json:
        show_json(checkup_figures(checkup, data_dir))
    else:
        if checkup.findings:
            show(checkup_table(checkup))
        show(*example_lines(checkup))
        if checkup.is_sound:
            show(verdict(checkup))
    if not checkup.is_sound:
        fail(verdict(checkup))


@datasets.command(name="split")
def split_photos(
    photos: list[Path],
    /,
    *,
    output: Path,
    positions: PositionFlags = PositionFlags(),
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
    with reporting() as report:
        collection = collect_photos(photos, **vars(positions), threads=threads, report=report)
        for note in collection.notes:
            report(Note(note))
        images = _image_set(collection)
        paths = [images.path(i) for i in range(len(images))]
        copies = copies_among(paths, threads=threads, report=report)
        if copies.any():
            left_out = counted(int(copies.sum()), "photos")
            report(Note(f"left out: {left_out}, each a copy of another"))
            images = images.subset(np.flatnonzero(~copies))
        assert images.positions is not None
        strips = split_strips(images.positions, settings)
        tables = write_strips(output, images, strips, relative=relative)
    for number, table in enumerate(tables):
        members = strips.split == number
        queries = int((members & strips.is_query).sum())
        show(
            f"{table}: {counted(strips.places[number], 'places')}, "
            f"{int(members.sum()) - queries} database images, {counted(queries, 'queries')}"
        )
    if strips.in_gap:
        show(f"left out: {counted(strips.in_gap, 'photos')} in gaps of {gap_m:g} m")
    if strips.without_position:
        show(f"left out: {counted(strips.without_position, 'photos')} without a position")


def _image_set(collection: Collection) -> ImageSet:
    """Photos with their positions in one zone; those of all unknown positions in none."""
    places = collection.places
    names = tuple(str(name) for name in places.images())
    if not places.has_position.any():
        return ImageSet(Path(), names, np.full((len(names), 2), np.nan))
    metres, zone = to_utm(places.latitude, places.longitude)
    return ImageSet(Path(), names, metres, places.heading, places.time, zone)


@datasets.command
def convert(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str,
    to: Layout,
    output: Path,
    copy: bool = False,
) -> None:
    """Write a split in another layout.

    ```
    netvlad datasets convert pitts30k --data-dir data/p --split val \\
        --to utm-names --output out
    ```

    Args:
        name: The data set.
        split: The split.
        to: utm-names: links to the images, named by their positions; csv: a table; mat: a dbStruct
            as Pittsburgh's.
        output: The folder to write into.
        copy: Copy images instead of linking to them.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        made = convert_dataset(dataset, to, output, copy=copy, report=report)
    show(
        f"{made}: {counted(len(dataset.database), 'database images')} and "
        f"{counted(len(dataset.queries), 'queries')}"
    )


@datasets.command(name="show")
def show_dataset(name: str, /, *, where: WhereFlags, split: str, output: Path) -> None:
    """Write a page that shows a split: a map, contact sheets, distances between neighbours.

    ```
    netvlad datasets show csv --data-dir data/mine --split test --output test.html
    ```

    Args:
        name: The data set.
        split: The split.
        output: The page.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        page = write_dataset_page(output, dataset, report=report)
    show(f"Look at {page}")


@datasets.command
def frames(
    video: Path,
    /,
    *,
    track: Path,
    output: Path,
    every_m: float | None = None,
    every_s: float | None = None,
    offset_s: float = 0.0,
    max_gap_s: float = MAX_GAP_S,
) -> None:
    """Take frames of a video, and say where each was taken, by its GPX track.

    ```
    netvlad datasets frames ride.mp4 --track ride.gpx --output frames/ --every-m 5
    netvlad index build frames/ --positions frames/positions.csv --index my.index
    ```

    Writes JPEG files called after the video and the number of the frame (ride_000123.jpg), and
    positions.csv. Repeated, it resumes where it stopped. Several videos may share a folder. Parts
    of the video that are not on the track give no frames.

    Args:
        video: The video: mp4, avi, mov, mkv, webm or whatever else FFmpeg reads.
        track: The GPX file; its points need times.
        output: The folder of the frames.
        every_m: A frame every so many metres [default: 5, unless --every-s is given]. None while
            standing.
        every_s: A frame every so many seconds.
        offset_s: Seconds after the track's first point at which the video begins; negative if it
            began before.
        max_gap_s: Between points of the track farther apart in time than this the position is
            unknown.
    """
    if every_m is None and every_s is None:
        every_m = EVERY_M
    choice = FrameChoice(every_m=every_m, every_s=every_s)
    request = FrameRequest(video, track, choice, offset_s, max_gap_s)
    with reporting() as report:
        made = write_frames(request, output, report=report)
    show(
        f"{output / TABLE_NAME}: {counted(len(made.table), 'frames')} of {video.name} with "
        "their positions"
    )
