"""Lists of images as hloc and COLMAP write them, with a file of pairs as ground truth.

Sources: hloc (Sarlin et al. 2019), whose query lists may carry intrinsics behind the name and whose
pairs are ``query database``; COLMAP's ``images.txt``, two lines for each image.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from netvlad.datasets.readers.listed_truth import neighbours_from_rows
from netvlad.datasets.readers.names import located, numbered_lines, relative_names
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError
from netvlad.types import ImageSet, Neighbours, PlaceDataset

# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
_POSE = re.compile(r"\d+(?:\s+[-+.\deE]+){7}\s+\d+\s+(\S.*)")
# NAME, MODEL, WIDTH, HEIGHT, parameters
_INTRINSICS = re.compile(r"(.*\S)\s+[A-Z_]+\s+\d+\s+\d+(?:\s+[-+.\deE]+)+")


def read_image_list(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open a test set of two lists and the pairs that are correct.

    A list has one name a line; hloc's intrinsics behind it are skipped, and of COLMAP's
    ``images.txt`` the names are taken. Queries without a pair have no correct answer.

    Raises:
        DataError: a list is missing or empty, or a pair names an image that is not in them.
    """
    prefix = f"{split}/" if (root / split / "database.txt").exists() else f"{split}_"
    kinds = ("database", "queries", "pairs")
    paths = [record.found(root / f"{prefix}{kind}.txt") for kind in kinds]
    database, queries = (_names(path) for path in paths[:2])
    positives = _pairs(paths[2], queries, database)
    found, notes = located(root, database, ("", "images"))
    asked, more = located(root, queries, ("", "images"))
    sets = ImageSet(root, found), ImageSet(root, asked)
    return PlaceDataset(record.name, split, *sets, positives=positives, notes=notes + more)


def _names(path: Path) -> tuple[str, ...]:
    numbered = numbered_lines(path)
    if _POSE.fullmatch(numbered[0][1]):
        # Every other line lists points, may be empty, and may look like a pose.
        start = numbered[0][0]
        numbered = [(i, line) for i, line in numbered if (i - start) % 2 == 0]
        poses = [(i, _POSE.fullmatch(line)) for i, line in numbered]
        broken = [i for i, pose in poses if pose is None]
        if broken:
            raise DataError(f"{path}, line {broken[0]}: is not an image of COLMAP's images.txt")
        return relative_names(path, [pose[1] for _, pose in poses if pose is not None])
    matched = [(line, _INTRINSICS.fullmatch(line)) for _, line in numbered]
    return relative_names(path, [line if found is None else found[1] for line, found in matched])


def _pairs(path: Path, queries: Sequence[str], database: Sequence[str]) -> Neighbours:
    query_rows, database_rows = _rows(queries), _rows(database)
    rows: list[list[int]] = [[] for _ in queries]
    for number, line in numbered_lines(path, needed=False):
        pair = _split(line, query_rows, database_rows)
        if pair is None:
            told = f"{line!r} is not a query and a database image of the lists"
            raise DataError(f"{path}, line {number}: {told}")
        for query in query_rows[pair[0]]:
            rows[query] += database_rows[pair[1]]
    return neighbours_from_rows(rows, len(database), path)


def _rows(names: Sequence[str]) -> Mapping[str, list[int]]:
    """Where each name stands; one may be listed twice."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        rows[name].append(i)
    return rows


def _split(
    line: str, queries: Mapping[str, list[int]], database: Mapping[str, list[int]]
) -> tuple[str, str] | None:
    """The two names of a line; they may have blanks in them."""
    for gap in re.finditer(r"\s+", line):
        halves = line[: gap.start()], line[gap.end() :]
        first, second = (half.removeprefix("./") for half in halves)
        if first in queries and second in database:
            return first, second
    return None
