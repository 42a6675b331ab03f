"""One's own photos as a data set: train, validation and test strips with a gap between them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from netvlad.datasets.checking_images import examine_images
from netvlad.datasets.readers.csv_table import write_csv_split
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, PlaceDataset, Reporter, silent

LEAST_PLACES = 5
"""A strip with fewer places than this measures nothing, and has no negatives to train on."""

# How far from its target a cut may move, as a share of the smallest strip, to lie where few are.
_SLACK = 0.25


@dataclass(frozen=True)
class SplitSettings:
    """How photos are divided.

    Attributes:
        val: the share of photos for validation, 0 for none.
        test: the share for testing, 0 for none. Training gets the rest.
        gap_m: no two photos of different splits are nearer than this (metres).
        place_m: photos within this of a place's first photo are of the same place (metres). 10 is
            what a positive in training may be away at most.
        query_share: the share of each place's photos that become queries.
        seed: governs which photos become queries.
    """

    val: float = 0.15
    test: float = 0.15
    gap_m: float = 50.0
    place_m: float = 10.0
    query_share: float = 0.34
    seed: int = 123

    def __post_init__(self) -> None:
        radius_m = PlaceDataset.radius_m
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and 0 < self.val + self.test < 1):
            shares = f"val is {self.val:g} and test is {self.test:g}; give shares of the photos"
            raise SettingsError(f"{shares}, together more than 0 and less than 1")
        if not 0 < self.query_share < 1:
            wrong = f"query_share is {self.query_share:g}"
            raise SettingsError(f"{wrong}; give a share between 0 and 1")
        if not 0 <= self.place_m <= radius_m:
            raise SettingsError(f"place_m is {self.place_m:g}; give metres from 0 to {radius_m:g}")
        if not radius_m < self.gap_m < np.inf:
            wrong = f"gap_m is {self.gap_m:g}; give more than {radius_m:g} metres"
            raise SettingsError(f"{wrong}, which is what counts as the same place")


def copies_among(
    paths: Sequence[Path], *, threads: int = 8, report: Reporter = silent
) -> NDArray[np.bool_]:
    """(N,) which of N files are copies of an earlier one, byte by byte.

    People's folders have them, and one of the two might become a query of the other.
    """
    seen: set[bytes] = set()
    copies = np.zeros(len(paths), bool)
    for i, state in enumerate(examine_images(paths, fast=True, threads=threads, report=report)):
        copies[i] = state.content in seen
        seen |= {state.content} - {b""}
    return copies


@dataclass(frozen=True, eq=False)
class Strips:
    """Which photo belongs where.

    Attributes:
        names: the splits, in their order along the axis: train, and val and test if asked for.
        split: (N,) index into ``names``; -1 for photos that are left out.
        is_query: (N,) whether the photo is a query of its split.
        in_gap: how many photos lie in a gap.
        without_position: how many have no position.
        places: how many places each split has.
    """

    names: tuple[str, ...]
    split: NDArray[np.int64]
    is_query: NDArray[np.bool_]
    in_gap: int
    without_position: int
    places: tuple[int, ...]


def split_strips(positions: NDArray[np.float64], settings: SplitSettings | None = None) -> Strips:
    """Cut the area that photos cover into strips across its longer axis.

    The axis is the first principal component of the positions. Cuts lie where the shares are met,
    moved a little to where few photos are lost to the gap. Within a strip each photo that is not
    within ``place_m`` of an earlier place begins a place and stays in the database; of the others
    of a place a share become queries. So every query has a database photo within ``place_m``.

    Args:
        positions: (N, 2) UTM metres, NaN where unknown.
        settings: None takes the defaults.

    Raises:
        DataError: too few photos or places for what is asked.
    """
    settings = settings or SplitSettings()
    known = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if len(known) == 0:
        remedy = "give a table with --positions, or photos with GPS in EXIF"
        raise DataError(f"no photo has a position; {remedy}")
    shares = {"train": 1 - settings.val - settings.test, "val": settings.val, "test": settings.test}
    names = tuple(name for name, share in shares.items() if share > 0)
    along = _along_axis(positions[known])
    strip = _cut(along, [shares[name] for name in names], settings.gap_m)
    split = np.full(len(positions), -1, np.int64)
    split[known] = strip
    is_query = np.zeros(len(positions), bool)
    places = []
    for number, name in enumerate(names):
        members = np.flatnonzero(split == number)
        queries, count = _choose_queries(positions[members], settings, number)
        is_query[members] = queries
        places.append(count)
        if count < LEAST_PLACES:
            remedy = f"a smaller --gap-m (now {settings.gap_m:g}), or a larger share of them"
            told = f"{name} would have {count} places, fewer than {LEAST_PLACES}"
            raise DataError(f"{told}; give more photos, {remedy}")
        if not queries.any():
            told = f"because no two of its photos are within {settings.place_m:g} m"
            remedy = "give a larger --place-m, or more photos of the same places"
            raise DataError(f"{name} would have no queries, {told}; {remedy}")
    in_gap, without_position = int((strip == -1).sum()), len(positions) - len(known)
    return Strips(names, split, is_query, in_gap, without_position, tuple(places))


def write_strips(
    output: Path, photos: ImageSet, strips: Strips, *, relative: bool = False
) -> tuple[Path, ...]:
    """Write a table for each split, and return them. No photo is copied or touched.

    Args:
        output: the folder of the tables; made if need be.
        photos: the photos that were divided.
        strips: what :func:`split_strips` made of their positions.
        relative: write paths relative to ``output`` instead of absolute ones.

    Raises:
        SettingsError: a table of that name exists.
        DataError: a photo's name cannot stand in a table.
        StorageError: a table cannot be written.
    """
    tables = tuple(output / f"{name}.csv" for name in strips.names)
    for table in tables:
        if table.exists():
            raise SettingsError(f"{table}: exists already; give another --output, or remove it")
    paths = [os.path.abspath(photos.path(i)) for i in range(len(photos))]  # noqa: PTH100
    if relative:
        base = os.path.abspath(output)  # noqa: PTH100
        paths = [Path(os.path.relpath(path, base)).as_posix() for path in paths]
    listed = replace(photos, root=output, names=tuple(paths), labels={})
    for number, table in enumerate(tables):
        members = strips.split == number
        database, queries = (
            listed.subset(np.flatnonzero(members & role))
            for role in (~strips.is_query, strips.is_query)
        )
        write_csv_split(table, PlaceDataset("csv", strips.names[number], database, queries))
    return tables


def _along_axis(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) metres along the longer principal axis, from the middle."""
    centred = positions - positions.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, 1]
    # Eigenvectors have no sign of their own; this makes the result the same everywhere.
    along: NDArray[np.float64] = centred @ (axis * np.sign(axis[np.argmax(np.abs(axis))]))
    return along


def _cut(along: NDArray[np.float64], shares: Sequence[float], gap_m: float) -> NDArray[np.int64]:
    """(N,) the strip of each photo, -1 in a gap."""
    ordered = np.sort(along)
    strip = np.zeros(len(along), np.int64)
    in_gap = np.zeros(len(along), bool)
    for number, share in enumerate(np.cumsum(shares)[:-1], 1):
        cut = _best_cut(ordered, share * len(ordered), _SLACK * min(shares) * len(ordered), gap_m)
        strip[along > cut] = number
        # With the rim left in, photos on both rims would be exactly the gap apart; rounding
        # decides, so a hair more.
        in_gap |= np.abs(along - cut) < gap_m / 2 + 1e-6
    strip[in_gap] = -1
    return strip


def _best_cut(ordered: NDArray[np.float64], target: float, slack: float, gap_m: float) -> float:
    """Where to cut: near the target, the place where fewest photos lie in the gap."""
    low = int(np.clip(np.floor(target - slack), 1, len(ordered) - 1)) if len(ordered) > 1 else 0
    high = int(np.clip(np.ceil(target + slack), low, max(len(ordered) - 1, 0)))
    ranks = np.arange(low, high + 1)
    cuts = (ordered[ranks - 1] + ordered[ranks]) / 2
    lost = np.searchsorted(ordered, cuts + gap_m / 2) - np.searchsorted(ordered, cuts - gap_m / 2)
    best = np.lexsort((np.abs(ranks - target), lost))[0]
    return float(cuts[best])


def _choose_queries(
    positions: NDArray[np.float64], settings: SplitSettings, number: int
) -> tuple[NDArray[np.bool_], int]:
    """Which photos of a strip become queries, and how many places it has."""
    is_query = np.zeros(len(positions), bool)
    random = np.random.default_rng([settings.seed, number])
    tree = cKDTree(positions)
    place = np.full(len(positions), -1, np.int64)
    count = 0
    for first in random.permutation(len(positions)):
        if place[first] >= 0:
            continue
        near = np.array(tree.query_ball_point(positions[first], settings.place_m), np.int64)
        members = near[place[near] < 0]
        place[members] = place[first] = count
        count += 1
        others = random.permutation(members[members != first])
        wanted = max(1, round(settings.query_share * len(members))) if len(others) else 0
        is_query[others[:wanted]] = True
    return is_query, count
