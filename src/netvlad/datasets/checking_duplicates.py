"""Is a picture in two splits, in the queries and the database, or listed more than once?"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations

from netvlad.datasets.checking_images import ImageState, ListedImage
from netvlad.datasets.findings import EXAMPLES, Finding


def duplicate_findings(
    rows: Sequence[ListedImage], states: Sequence[ImageState], *, apart: Callable[[str, str], bool]
) -> list[Finding]:
    """Pictures that are listed more than once.

    Args:
        rows: the rows of all splits.
        states: what :func:`examine_images` found for each row.
        apart: whether two splits must not share a picture.
    """
    groups = defaultdict(list)
    for row, state in zip(rows, states, strict=True):
        groups[state.content or str(row.path).encode(errors="surrogateescape")].append(row)
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    asked: dict[str, list[str]] = defaultdict(list)
    repeated: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        if len(group) < 2:
            continue
        first_of = {row.split: row for row in reversed(group)}
        for a, b in combinations(reversed(first_of), 2):
            if apart(a, b):
                shared[a, b].append(_pair(first_of[a], first_of[b]))
        for split in first_of:
            _within([row for row in group if row.split == split], asked, repeated)
    return [
        *(_shared(splits, pictures) for splits, pictures in shared.items()),
        *(_asked(split, pictures) for split, pictures in asked.items()),
        *(_repeated(split, pictures) for split, pictures in repeated.items()),
    ]


def _within(
    rows: list[ListedImage], asked: dict[str, list[str]], repeated: dict[str, list[str]]
) -> None:
    """Sort the equal pictures of one split: a query that is in the database, or a mere repeat."""
    database = [row for row in rows if row.role == "database"]
    queries = [row for row in rows if row.role == "queries"]
    if database and queries:
        # Where queries are database images by design, time stamps keep them from being found.
        by_design = queries[0].timed and any(row.path == queries[0].path for row in database)
        (repeated if by_design else asked)[rows[0].split].append(_pair(queries[0], database[0]))
        return
    if len(rows) > 1:
        repeated[rows[0].split].append(_pair(rows[0], rows[1]))


def _shared(splits: tuple[str, str], pictures: list[str]) -> Finding:
    return Finding(
        "image-in-two-splits",
        ", ".join(splits),
        len(pictures),
        0,
        "pictures that are in both splits",
        "remove them from one: what is trained on must not be tested on",
        tuple(pictures[:EXAMPLES]),
    )


def _asked(split: str, pictures: list[str]) -> Finding:
    return Finding(
        "query-in-database",
        split,
        len(pictures),
        0,
        "queries that are database images, too",
        "remove them from one of the two: finding the same picture proves nothing",
        tuple(pictures[:EXAMPLES]),
    )


def _repeated(split: str, pictures: list[str]) -> Finding:
    return Finding(
        "repeated",
        split,
        len(pictures),
        0,
        "pictures that are listed more than once",
        "",
        tuple(pictures[:EXAMPLES]),
    )


def _pair(first: ListedImage, second: ListedImage) -> str:
    return first.name if first.name == second.name else f"{first.name} = {second.name}"
