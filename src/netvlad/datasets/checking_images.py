"""Are the images of a data set there, can they be decoded, and is each listed once?"""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, TypeVar

from PIL import Image

from netvlad.datasets.findings import Finding, finding
from netvlad.errors import ImageError
from netvlad.images import read_image
from netvlad.types import PlaceDataset, Progress, Reporter, silent

_FILES_AT_ONCE = 32
# Larger pictures are decoded to fewer pixels; their files are still read to the end.
_SIDE = 1024
_TAIL_BYTES = 4096
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "GIF", "AVIF")


Looked = TypeVar("Looked")


class ListedImage(NamedTuple):
    """One row of a split; its role is ``"database"`` or ``"queries"``.

    ``timed`` tells whether the split knows the moment of its queries and its database images.
    """

    split: str
    role: str
    name: str
    path: Path
    timed: bool


@dataclass(frozen=True)
class ImageState:
    """What was found where an image should be.

    Attributes:
        missing: there is no file.
        trouble: why it cannot be decoded; empty when it can.
        content: equal for equal pictures: a digest of the decoded pixels, or of the bytes when
            only headers were read; empty where nothing was read or nothing can be equal.
    """

    missing: bool = False
    trouble: str = ""
    content: bytes = b""


def listed_images(dataset: PlaceDataset) -> Iterator[ListedImage]:
    """The rows of a split, database first."""
    timed = dataset.database.times is not None and dataset.queries.times is not None
    for role, images in (("database", dataset.database), ("queries", dataset.queries)):
        for i, name in enumerate(images.names):
            yield ListedImage(dataset.split, role, name, images.path(i), timed)


def examine_images(
    paths: Sequence[Path], *, fast: bool = False, threads: int = 8, report: Reporter = silent
) -> list[ImageState]:
    """Look at image files in several threads: one state per path.

    Every image is decoded, and pictures whose pixels are equal are found whatever their metadata
    and lossless format. ``fast`` reads headers only. Equal files are still found: those of equal
    length and equal ends are compared by all of their bytes.
    """
    look = _header if fast else _decoded
    states = list(_in_threads(look, paths, threads, "Checking images", report))
    if not fast:
        return states
    times = Counter(state.content for state in states if state.content)
    again = [i for i, state in enumerate(states) if times[state.content] > 1]
    whole = _in_threads(_whole, [paths[i] for i in again], threads, "Comparing files", report)
    found = dict(zip(again, whole, strict=True))
    return [replace(state, content=found.get(i, b"")) for i, state in enumerate(states)]


def image_findings(rows: Sequence[ListedImage], states: Sequence[ImageState]) -> list[Finding]:
    """Which of the rows are missing or cannot be decoded, a finding for each split."""
    findings = []
    for split in dict.fromkeys(row.split for row in rows):
        here = [pair for pair in zip(rows, states, strict=True) if pair[0].split == split]
        missing = [str(row.path) for row, state in here if state.missing]
        damaged = [f"{row.name}: {state.trouble}" for row, state in here if state.trouble]
        for kind, what, concerned in (
            ("missing", "images that are not there", missing),
            ("undecodable", "images that cannot be decoded", damaged),
        ):
            if concerned:
                findings.append(finding(kind, split, what, concerned, of=len(here)))
    return findings


def duplicate_findings(
    rows: Sequence[ListedImage], states: Sequence[ImageState], *, apart: Callable[[str, str], bool]
) -> list[Finding]:
    """Pictures in two splits that are to be ``apart``, in queries and database, or listed twice."""
    groups = defaultdict(list)
    for row, state in zip(rows, states, strict=True):
        groups[state.content or str(row.path).encode(errors="surrogateescape")].append(row)
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group in groups.values():
        first_of = {row.split: row for row in reversed(group)}
        for a, b in combinations(reversed(first_of), 2):
            if apart(a, b):
                pairs["image-in-two-splits", f"{a}, {b}"].append(_pair(first_of[a], first_of[b]))
        for split in first_of if len(group) > 1 else ():
            here = [row for row in group if row.split == split]
            database = [row for row in here if row.role == "database"]
            queries = [row for row in here if row.role == "queries"]
            if database and queries:
                # Queries that are database images by design are kept from it by time stamps.
                by_design = queries[0].timed and any(r.path == queries[0].path for r in database)
                kind = "repeated" if by_design else "query-in-database"
                pairs[kind, split].append(_pair(queries[0], database[0]))
            elif len(here) > 1:
                pairs["repeated", split].append(_pair(here[0], here[1]))
    what = {
        "image-in-two-splits": "pictures that are in both splits",
        "query-in-database": "queries that are database images, too",
        "repeated": "pictures that are listed more than once",
    }
    return [finding(kind, split, what[kind], found) for (kind, split), found in pairs.items()]


def _pair(first: ListedImage, second: ListedImage) -> str:
    return first.name if first.name == second.name else f"{first.name} = {second.name}"


def _in_threads(
    look: Callable[[Path], Looked],
    paths: Sequence[Path],
    threads: int,
    stage: str,
    report: Reporter,
) -> Iterator[Looked]:
    """``look`` at every path, in their order."""
    blocks = [paths[i : i + _FILES_AT_ONCE] for i in range(0, len(paths), _FILES_AT_ONCE)]
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="netvlad-check")
    done = 0
    try:
        with warnings.catch_warnings():
            # Pillow warns about large pictures and damaged tags; what matters is an error.
            warnings.simplefilter("ignore")
            futures = [pool.submit(lambda block: [look(p) for p in block], b) for b in blocks]
            for future in futures:
                results = future.result()
                done += len(results)
                report(Progress(stage, done, len(paths)))
                yield from results
    finally:
        # Reached on Ctrl-C, too: nobody waits for the rest.
        pool.shutdown(wait=False, cancel_futures=True)


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:  # of another error whoever opens it has to tell
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _decoded(path: Path) -> ImageState:
    if _is_missing(path):
        return ImageState(missing=True)
    try:
        pixels = read_image(path, resize=_SIDE)
    except ImageError as error:
        return ImageState(trouble=error.reason)
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.data)
    return ImageState(content=digest.digest())


def _header(path: Path) -> ImageState:
    if _is_missing(path):
        return ImageState(missing=True)
    try:
        # Opening a pipe would wait for a writer.
        if not path.is_file():
            return ImageState(trouble="is not a file")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                return ImageState(trouble="is an empty file (0 bytes)")
            file.seek(max(0, size - _TAIL_BYTES))
            tail = hashlib.blake2b(str(size).encode() + file.read(), digest_size=16).digest()
            file.seek(0)
            Image.init()
            with Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN]):
                return ImageState(content=tail)
    except Exception as error:  # a parser fed with damaged bytes may raise anything
        reason = getattr(error, "strerror", None)
        return ImageState(trouble=reason or "is not an image that can be read")


def _whole(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError:
        return b""
