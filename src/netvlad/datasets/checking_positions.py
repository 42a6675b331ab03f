"""Are the positions of a data set such as photos can have, and is no place in two splits?"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from netvlad.datasets.findings import Finding, finding
from netvlad.errors import DataError
from netvlad.geography import parse_utm_zone, radius_neighbours, to_one_zone, to_utm, to_wgs84
from netvlad.types import ImageSet, Neighbours, PlaceDataset

FARTHEST_M = 100_000.0
"""No image should be farther than this from the median of its city."""

# A zone is 6° wide; those who bring images of two zones into one reach into the next.
_FARTHEST_FROM_MERIDIAN_DEG = 9.0
_EASTINGS_M = (100_000.0, 900_000.0)
_NORTHINGS_M = (1_000_000.0, 10_000_000.0)
# Degrees read as metres: a whole city within two of them.
_DEGREES_EXTENT_M = 2.0

_Mask = NDArray[np.bool_]


def position_findings(dataset: PlaceDataset) -> list[Finding]:
    """What is wrong with the positions of one split, and how many queries have no positive.

    Where a list or a tolerance of frames says what is correct, positions need not be metres of the
    real world, and only the positives are looked at.
    """
    if dataset.positives is not None:
        return _positives(dataset, dataset.positives, "")
    images = dataset.database.joined(dataset.queries)
    if images.positions is None:
        count, what = len(images), "images without a position: nothing says what is correct"
        return [finding("no-ground-truth", dataset.split, what, count=count, of=count)]
    findings = _Positions(dataset.split, images, images.positions).findings()
    if dataset.queries.positions is not None and dataset.database.positions is not None:
        near = radius_neighbours(
            dataset.queries.positions, dataset.database.positions, dataset.radius_m
        )
        findings += _positives(dataset, near, f" within {dataset.radius_m:g} m")
    return findings


def shared_places(first: PlaceDataset, second: PlaceDataset) -> list[Finding]:
    """Whether images of two splits lie within the radius of each other.

    Cities are compared with themselves alone, where both splits tell them. The result is one
    finding, or none.
    """
    a, b = (dataset.database.joined(dataset.queries) for dataset in (first, second))
    if a.positions is None or b.positions is None:
        return []
    radius = max(first.radius_m, second.radius_m)
    names: list[str] = []
    for here, there in _in_each_city(a, b):
        try:
            ours, theirs = _in_one_zone(a.subset(here), b.subset(there))
        except DataError:  # zones too far apart to be drawn on one map
            continue
        distances, indices = cKDTree(theirs).query(ours)
        away, nearest = np.atleast_1d(distances), np.atleast_1d(indices)
        names += [
            f"{a.names[here[i]]} is {away[i]:.0f} m from {b.names[there[nearest[i]]]}"
            for i in np.flatnonzero(away <= radius)
        ]
    if not names:
        return []
    what = f"images of {first.split} within {radius:g} m of one of {second.split}: the same places"
    splits = f"{first.split}, {second.split}"
    return [finding("place-in-two-splits", splits, what, names, of=len(a))]


class _Positions:
    """The positions of one split: those that are known, around the median of each city."""

    def __init__(self, split: str, images: ImageSet, positions: NDArray[np.float64]) -> None:
        self.split, self.images, self.positions = split, images, positions
        self.known: _Mask = np.asarray(np.isfinite(positions).all(axis=1))

    def findings(self) -> list[Finding]:
        known = self.known
        found = self._found(
            "positions-unknown", ~known, "images without a position, which never count as correct"
        )
        if known.sum() < 2:
            return found
        extent = np.ptp(self.positions[known], axis=0)
        if not extent.any():
            kind, what = "positions-equal", "images that all have the same position"
        elif self._look_like_degrees(extent):
            what = "positions that look like degrees, but are taken for metres"
            kind = "positions-are-degrees"
        else:
            return found + self._misplaced()
        count = int(known.sum())
        return [*found, finding(kind, self.split, what, count=count, of=len(known))]

    def _look_like_degrees(self, extent: NDArray[np.float64]) -> bool:
        east, north = np.abs(self.positions[self.known]).max(axis=0)
        inside = max(east, north) <= 180 and min(east, north) <= 90
        return bool(inside and len(self.images) >= 10 and extent.max() < _DEGREES_EXTENT_M)

    def _misplaced(self) -> list[Finding]:
        away = self._from_median()
        far = self.known & (away > FARTHEST_M)
        outside = self._outside_zone()
        swapped = self._swapped(far | outside)
        turned = "images with latitude and longitude (or easting and northing) swapped"
        beside = f"positions that cannot be in UTM zone {self.images.utm_zone}"
        beyond = f"images more than {FARTHEST_M / 1000:.0f} km from the median position"
        return [
            *self._found("positions-swapped", swapped, turned),
            *self._found("positions-outside-zone", outside & ~swapped, beside),
            *self._found("positions-far", far & ~outside & ~swapped, beyond, away),
        ]

    def _from_median(self) -> NDArray[np.float64]:
        """Metres from the median of the known positions of the same city."""
        away = np.zeros(len(self.images))
        cities = self.images.labels.get("city", np.full(len(self.images), ""))
        for city in np.unique(cities):
            here = self.known & (cities == city)
            if here.any():
                median = np.median(self.positions[here], axis=0)
                away[here] = np.linalg.norm(self.positions[here] - median, axis=1)
        return away

    def _outside_zone(self) -> _Mask:
        outside = np.zeros(len(self.images), bool)
        if self.images.utm_zone is None:
            return outside
        zone = parse_utm_zone(self.images.utm_zone)
        latitude, longitude = to_wgs84(self.positions[self.known], zone.name)
        meridian = zone.number * 6 - 183
        from_meridian = np.abs((longitude - meridian + 180) % 360 - 180)
        sound = (from_meridian <= _FARTHEST_FROM_MERIDIAN_DEG) & np.isfinite(latitude)
        # Zones of the north count from the equator up; near it, people stay in the one they are in.
        sound &= (latitude >= -1) if zone.north else (latitude <= 1)
        outside[self.known] = ~sound
        return outside

    def _swapped(self, suspects: _Mask) -> _Mask:
        """Which of the suspects come to lie where the others are when their two values swap."""
        swapped = np.zeros(len(self.images), bool)
        rest = self.known & ~suspects
        if rest.any() and suspects.any():
            median = np.median(self.positions[rest], axis=0)
            for turned in self._turned(suspects):
                swapped[suspects] |= np.linalg.norm(turned - median, axis=1) <= FARTHEST_M
            return swapped
        # All of them: no easting exceeds 900 km, and few cities lie within 1000 km of the equator.
        east, north = np.median(self.positions[self.known], axis=0)
        like_northings = _NORTHINGS_M[0] < east < _NORTHINGS_M[1]
        if like_northings and _EASTINGS_M[0] <= north <= _EASTINGS_M[1]:
            swapped |= self.known
        return swapped

    def _turned(self, suspects: _Mask) -> Iterator[NDArray[np.float64]]:
        yield self.positions[suspects][:, ::-1]
        if self.images.utm_zone is not None:
            latitude, longitude = to_wgs84(self.positions[suspects], self.images.utm_zone)
            # What is no latitude when they are swapped was not swapped.
            latitude, longitude = np.where(np.abs(longitude) <= 90, (longitude, latitude), np.nan)
            try:
                yield to_utm(latitude, longitude, self.images.utm_zone)[0]
            except DataError:
                return

    def _found(
        self, kind: str, which: _Mask, what: str, away: NDArray[np.float64] | None = None
    ) -> list[Finding]:
        names = [
            self.images.names[i] + ("" if away is None else f" ({away[i] / 1000:.0f} km)")
            for i in np.flatnonzero(which)
        ]
        return [finding(kind, self.split, what, names, of=len(self.images))] if names else []


def _positives(dataset: PlaceDataset, near: Neighbours, within: str) -> list[Finding]:
    names = [dataset.queries.names[i] for i in np.flatnonzero(near.counts() == 0)]
    every = len(dataset.queries)
    kind = "no-positives-at-all" if len(names) == every else "queries-without-positives"
    what = f"queries without a correct database image{within}"
    return [finding(kind, dataset.split, what, names, of=every)] if names else []


def _in_each_city(
    a: ImageSet, b: ImageSet
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The images with a position that may be compared, city by city."""
    assert a.positions is not None and b.positions is not None
    known_a, known_b = (np.isfinite(s).all(axis=1) for s in (a.positions, b.positions))
    told = "city" in a.labels and "city" in b.labels
    cities_a, cities_b = (s.labels["city"] if told else np.full(len(s), "") for s in (a, b))
    for city in np.intersect1d(cities_a, cities_b):
        here = np.flatnonzero(known_a & (cities_a == city))
        there = np.flatnonzero(known_b & (cities_b == city))
        if len(here) and len(there):
            yield here, there


def _in_one_zone(a: ImageSet, b: ImageSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert a.positions is not None and b.positions is not None
    if a.utm_zone is None or b.utm_zone is None or a.utm_zone == b.utm_zone:
        return a.positions, b.positions
    moved, _ = to_one_zone(b.positions, [b.utm_zone] * len(b), a.utm_zone)
    return a.positions, moved
