"""Photos for an index: finding the files, and what a table, their names and their EXIF data say."""

import contextlib
import os
import stat
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError
from netvlad.geography import parse_utm_zone
from netvlad.images import left_out_notes, list_images, no_images
from netvlad.images.exif import PhotoFacts
from netvlad.images.photo_facts import read_photo_facts
from netvlad.index.places import Places
from netvlad.index.position_table import match, read_position_table
from netvlad.index.utm_named import read_utm_named
from netvlad.types import Progress, Reporter, silent

Photos = Sequence[Path | str] | Path | str
"""Folders and files, or one of them."""

_COLUMNS = ("latitude", "longitude", "altitude", "heading", "time")
# What is taken from one source as a whole, by columns; the first of each tells whether it is known.
_GROUPS = ((0, 1, 2), (3,), (4,))
_FILES_AT_ONCE = 64

_Facts = NDArray[np.float64]  # (N, 5), the columns above; NaN where unknown


@dataclass(frozen=True, eq=False)
class Collection:
    """Photos, and what is known about each.

    Attributes:
        places: one row for each of N photos, all columns filled as far as they are known.
        notes: what a person should know, one sentence each.
        from_table: how many photos have their position from the table,
        from_names: from their ``@utm@`` file names,
        from_exif: from their EXIF metadata,
        from_sidecars: from XMP, or JSON beside them,
        without_position: and from nowhere. The five add up to N.
    """

    places: Places
    notes: tuple[str, ...]
    from_table: int
    from_names: int
    from_exif: int
    from_sidecars: int
    without_position: int


class _Found(NamedTuple):
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    notes: tuple[str, ...]


def find_photos(photos: Photos) -> tuple[Path, ...]:
    """The image files that folders and files stand for.

    Args:
        photos: folders, listed as :func:`netvlad.images.list_images` does, and files, taken as they
            are whatever their suffix.

    Returns:
        absolute paths, links not resolved, each once, in the order of their first mention; those
        of a folder sorted. Files whose name is not UTF-8 are left out: no table can hold them.

    Raises:
        DataError: a path does not exist, a folder cannot be listed, or there is no image at all.
    """
    return _find(photos).files


def collect_photos(
    photos: Photos,
    *,
    positions: Path | str | None = None,
    utm_zone: str | None = None,
    threads: int = 8,
    report: Reporter = silent,
) -> Collection:
    """Find photos, and where, in which direction and when each was taken.

    The position with its altitude, the heading, and the time each come from the first source that
    knows them: the table, then a file name like ``@easting@northing@zone@band@…@.jpg``, then EXIF,
    XMP, and JSON files beside the photos (:func:`~netvlad.images.photo_facts.read_photo_facts`).
    Tags come from the table. A time stamp in a file name is read when it is a date such as 201307
    or 20130731_120000 (UTC), or seconds since 1970. See :func:`read_photo_facts` for the times that
    cameras note without saying in which zone.

    Args:
        photos: folders and files, see :func:`find_photos`.
        positions: a table, see :func:`read_position_table`; its images are looked up relative to
            each folder of ``photos``, then to the table's own folder, then as absolute paths.
        utm_zone: the zone of metres, in the table or in names, that do not name one.
        threads: how many read metadata at once; 0 reads in the calling thread.
        report: progress, "Reading positions".

    Raises:
        DataError: what :func:`find_photos` and :func:`read_position_table` raise.
        SettingsError: ``utm_zone`` is not a zone, or ``threads`` is negative.
    """
    if threads < 0:
        raise SettingsError(f"threads is {threads}; give 0 or more")
    zone = parse_utm_zone(utm_zone).name if utm_zone else None
    found = _find(photos)
    # The table before the files: a mistake in it shows before long work begins.
    tags, from_table, notes_on_table = _look_up(found, positions, zone)
    from_names, notes_on_names = _read_names(found.files, zone)
    known, _ = _combined([from_table, from_names])
    incomplete = np.logical_or.reduce(np.isnan(known[:, [0, 3, 4]]), axis=1)
    sizes, from_files, told = _read_files(found.files, incomplete, threads, report)
    facts, origins = _combined([from_table, from_names, from_files])
    columns: dict[str, NDArray[Any]] = {name: facts[:, i] for i, name in enumerate(_COLUMNS)}
    columns |= {"size_bytes": sizes[:, 0], "mtime_ns": sizes[:, 1]}
    missing = np.flatnonzero(origins == -1)
    sources = np.array([fact.source for fact in told], str)
    sources[origins != 2] = ""
    no_reference = origins == -1
    no_reference &= np.array([fact.without_reference for fact in told], np.bool_)
    notes = [
        *_sources(sources),
        *_some(
            np.flatnonzero(no_reference),
            found.files,
            "photos have degrees in EXIF without N or S, or E or W, which are no position",
        ),
        *_some(missing, found.files, "photos have no position"),
    ]
    return Collection(
        places=Places.of([str(file) for file in found.files], columns, tags=tags),
        notes=(*found.notes, *notes_on_table, *notes_on_names, *notes),
        from_table=int((origins == 0).sum()),
        from_names=int((origins == 1).sum()),
        from_exif=int((sources == "EXIF").sum()),
        from_sidecars=int(np.isin(sources, ("XMP", "JSON")).sum()),
        without_position=len(missing),
    )


def _find(photos: Photos) -> _Found:
    given = [photos] if isinstance(photos, str | Path) else list(photos)
    if not given:
        raise DataError("no photos are given; name folders or image files")
    files: dict[str, None] = {}
    folders, empty = [], []
    left_out: Counter[str] = Counter()
    for path in given:
        absolute = Path(os.path.normpath(Path(path).absolute()))
        if not _is_folder(absolute):
            files[str(absolute)] = None
            continue
        folders.append(absolute)
        names, missed = list_images(absolute)
        left_out.update(missed)
        files.update((str(absolute / name), None) for name in names)
        if not names:
            empty.append(no_images(path))
    named = [Path(file) for file in files if _is_utf8(file)]
    unnamed = [file for file in files if not _is_utf8(file)]
    notes = [*empty, *left_out_notes(left_out)]
    if unnamed:
        shown = unnamed[0].encode(errors="replace").decode()
        notes.append(
            f"{len(unnamed)} of {len(files)} photos are left out because their names are not UTF-8 "
            f"(the first is {shown}); rename them"
        )
    if not named:
        raise DataError("; ".join(notes))
    return _Found(tuple(named), tuple(folders), tuple(notes))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{path}: no such file or folder; name folders of photos, or photos"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be looked at: {reason}") from error


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _look_up(
    found: _Found, positions: Path | str | None, zone: str | None
) -> tuple[list[tuple[str, ...]], _Facts, list[str]]:
    """The tags and the facts that the table has for each photo, and notes."""
    facts = np.full((len(found.files), len(_COLUMNS)), np.nan)
    tags: list[tuple[str, ...]] = [()] * len(found.files)
    if positions is None:
        return tags, facts, []
    table = read_position_table(Path(positions), utm_zone=zone)
    matched = match(table, found.files, found.folders)
    inside = np.flatnonzero(matched.rows >= 0)
    rows = matched.rows[inside]
    facts[inside] = np.stack(
        [table.latitude, table.longitude, table.altitude, table.heading, table.time], axis=1
    )[rows]
    for i, row in zip(inside, rows, strict=True):
        tags[i] = table.tags[row]
    name = table.path.name
    outside = np.flatnonzero(matched.rows < 0)
    notes = [
        *_some(matched.without_file, table.images, f"rows of {name} match no photo"),
        *_some(outside, found.files, f"photos are not in {name}"),
        *_some(
            matched.overridden,
            table.images,
            f"rows of {name} do not count because a later row names the same photo",
        ),
    ]
    return tags, facts, notes


def _read_names(files: Sequence[Path], zone: str | None) -> tuple[_Facts, list[str]]:
    facts = np.full((len(files), len(_COLUMNS)), np.nan)
    named = read_utm_named(files, zone)
    facts[named.rows, :2] = named.degrees
    facts[named.rows, 3], facts[named.rows, 4] = named.heading, named.time
    trouble = "photos have metres in their names but no UTM zone; name it, such as 31N"
    return facts, _some(named.without_zone, files, trouble)


def _combined(sources: Sequence[_Facts]) -> tuple[_Facts, NDArray[np.int64]]:
    """Each group of columns from the first source that knows it, and the source of each position.

    Returns:
        (N, 5) facts, and (N,) which source has the position; -1 where none has.
    """
    facts = np.full_like(sources[0], np.nan)
    origins = np.full(len(facts), -1, np.int64)
    for number, source in enumerate(sources):
        for columns in _GROUPS:
            new = np.isnan(facts[:, columns[0]]) & ~np.isnan(source[:, columns[0]])
            for column in columns:
                facts[new, column] = source[new, column]
            if columns[0] == 0:
                origins[new] = number
    return facts, origins


def _read_files(
    files: Sequence[Path], wanted: NDArray[np.bool_], threads: int, report: Reporter
) -> tuple[NDArray[np.int64], _Facts, list[PhotoFacts]]:
    """Sizes and times of change (N, 2), and what metadata say of the files where it is wanted."""
    sizes = np.full((len(files), 2), -1, np.int64)
    facts = np.full((len(files), len(_COLUMNS)), np.nan)
    told = [PhotoFacts()] * len(files)
    starts = range(0, len(files), _FILES_AT_ONCE)
    blocks = [slice(start, min(start + _FILES_AT_ONCE, len(files))) for start in starts]

    def read(block: slice) -> None:
        for i in range(block.start, block.stop):
            # A file that has gone is met, and told, by whoever reads its pixels.
            with contextlib.suppress(OSError):
                status = files[i].stat()
                sizes[i] = status.st_size, status.st_mtime_ns
            if wanted[i]:
                found = told[i] = read_photo_facts(files[i])
                facts[i] = [getattr(found, column) for column in _COLUMNS]

    stage = "Reading positions"
    report(Progress(stage, 0, len(files)))
    # Pillow warns about each damaged tag. Around the whole pool: filters belong to the process.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        if threads == 0:
            for block in blocks:
                read(block)
                report(Progress(stage, block.stop, len(files)))
            return sizes, facts, told
        pool = ThreadPoolExecutor(threads, thread_name_prefix="netvlad-exif")
        try:
            for block, future in [(block, pool.submit(read, block)) for block in blocks]:
                future.result()
                report(Progress(stage, block.stop, len(files)))
        finally:
            # Reached on Ctrl-C, too: nobody waits for the rest.
            pool.shutdown(wait=False, cancel_futures=True)
    return sizes, facts, told


def _sources(sources: NDArray[np.str_]) -> list[str]:
    """A note on where positions come from, where that is not EXIF alone."""
    places = {"XMP": "XMP metadata", "JSON": "JSON files beside the photos", "EXIF": "EXIF"}
    counts = {words: int((sources == name).sum()) for name, words in places.items()}
    if counts["EXIF"] == sum(counts.values()):
        return []
    found = [f"{count} from {words}" for words, count in counts.items() if count]
    return [f"positions of photos: {', '.join(found)}"]


def _some(which: NDArray[np.int64], names: Sequence[Path | str], trouble: str) -> list[str]:
    """A note that counts and names, or none: "2 of 9 photos have no position (the first is …)"."""
    if not len(which):
        return []
    return [f"{len(which)} of {len(names)} {trouble} (the first is {names[which[0]]})"]
