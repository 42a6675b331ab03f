"""Positions on the ground: UTM and WGS84, and who lies within so many metres of whom."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from netvlad.errors import DataError, SettingsError
from netvlad.types import Neighbours

_NORTHERN_BANDS = "NPQRSTUVWX"
# A transverse Mercator map shows at most a hemisphere; long before its rim nothing is to scale.
_FARTHEST_FROM_MERIDIAN_M = 6_000_000.0


def radius_neighbours(
    queries: NDArray[np.float64], database: NDArray[np.float64], radius_m: float
) -> Neighbours:
    """All database positions at most ``radius_m`` from each query; the rim belongs to the circle.

    Positions that are not finite have no neighbours and are nobody's neighbours. Memory grows with
    the number of neighbours, never with Q × N.

    Args:
        queries: (Q, 2) metres.
        database: (N, 2) metres, in the same UTM zone.
        radius_m: metres, 0 or more.

    Returns:
        Q rows; ``d`` belongs to row ``q`` when ``dx² + dy² <= radius_m²`` in float64.

    Raises:
        SettingsError: the radius is negative or not a finite number.
        DataError: an array is not (·, 2).

    Examples:
        >>> near = radius_neighbours(np.array([[0.0, 0]]), np.array([[3.0, 4], [30, 40]]), 5)
        >>> near.row(0)
        array([0])
    """
    if not (np.isfinite(radius_m) and radius_m >= 0):
        raise SettingsError(f"radius_m is {radius_m}; give a number of metres, 0 or more")
    queries, database = _as_positions(queries), _as_positions(database)
    known_queries = np.flatnonzero(np.isfinite(queries).all(axis=1))
    known_database = np.flatnonzero(np.isfinite(database).all(axis=1))
    if len(known_queries) == 0 or len(known_database) == 0:
        return Neighbours.from_pairs(known_queries[:0], known_database[:0], len(queries))
    # The tree rounds in its own way at the rim. It only proposes, with a hair more than the radius;
    # the documented formula decides, the same for everyone.
    from scipy.spatial import cKDTree  # noqa: PLC0415 - most who need positions need no tree

    pairs = cKDTree(queries[known_queries]).sparse_distance_matrix(
        cKDTree(database[known_database]), radius_m * (1 + 1e-9) + 1e-6, output_type="ndarray"
    )
    rows, columns = known_queries[pairs["i"]], known_database[pairs["j"]]
    difference = queries[rows] - database[columns]
    inside = np.square(difference).sum(axis=1) <= radius_m**2
    rows, columns = rows[inside], columns[inside]
    return Neighbours.from_pairs(rows, columns, len(queries))


class UtmZone(NamedTuple):
    """One of the 120 UTM zones.

    Attributes:
        number: 1 to 60.
        north: whether it is the one north of the equator.
    """

    number: int
    north: bool

    @property
    def name(self) -> str:
        """Number and hemisphere, such as ``"31N"``: how zones are written in this package."""
        return f"{self.number}{'N' if self.north else 'S'}"

    @property
    def epsg(self) -> int:
        """The code of this zone on WGS84 in the EPSG registry."""
        return (32600 if self.north else 32700) + self.number


def parse_utm_zone(text: str, *, letter_is_band: bool = False) -> UtmZone:
    """Read a UTM zone such as ``"31N"``, ``"17S"`` or ``"17T"``.

    N and S are read as hemispheres, so ``"17S"`` lies south of the equator. Every other letter is
    a latitude band of the military grid: C to M south, P to X north. Where the letter is known to
    be a band, as in ``@easting@northing@17@S@``, say so: band S lies at 32° to 40° *north*.

    ``text`` is number and letter; spaces and case do not matter. With ``letter_is_band`` S is read
    as the band, not as "south".

    Raises:
        SettingsError: it is not a UTM zone.

    Examples:
        >>> parse_utm_zone("17S").name, parse_utm_zone("17S", letter_is_band=True).name
        ('17S', '17N')
    """
    match = re.fullmatch(r"\s*0?(\d{1,2})\s*([C-HJ-NP-X])\s*", text.upper(), flags=re.ASCII)
    if match is None or not 1 <= int(match[1]) <= 60:
        raise SettingsError(
            f"{text!r} is not a UTM zone; write the number (1 to 60) and the hemisphere, like 31N"
        )
    if match[2] == "S" and not letter_is_band:
        return UtmZone(int(match[1]), north=False)
    return UtmZone(int(match[1]), north=match[2] in _NORTHERN_BANDS)


def to_utm(
    latitude: ArrayLike, longitude: ArrayLike, zone: str | None = None
) -> tuple[NDArray[np.float64], str]:
    """Degrees to metres, all points in one zone so that distances between them make sense.

    Within a zone lengths are true to 0.1 %; 8° from its central meridian they are 1 % too long.
    The exceptions around Norway and Svalbard are not applied.

    ``latitude`` and ``longitude`` are (N,) WGS84 degrees, NaN where unknown; the zone is that of
    the median point unless given. Gives positions (N, 2) float64 easting and northing in metres,
    NaN where unknown, and the zone's name such as ``"31N"``.

    Raises:
        SettingsError: ``zone`` is not a zone.
        DataError: degrees outside their range; no known point to choose a zone from; a point on
            the other side of the earth, which the zone's map does not show.
    """
    latitudes = np.atleast_1d(np.asarray(latitude, np.float64))
    longitudes = np.atleast_1d(np.asarray(longitude, np.float64))
    if latitudes.ndim != 1 or latitudes.shape != longitudes.shape:
        raise DataError(f"latitudes {latitudes.shape} and longitudes {longitudes.shape} differ")
    _check_degrees(latitudes, longitudes)
    known = np.isfinite(latitudes) & np.isfinite(longitudes)
    chosen = parse_utm_zone(zone) if zone else _median_zone(latitudes[known], longitudes[known])
    positions = np.full((len(latitudes), 2), np.nan)
    transformer = Transformer.from_crs(4326, chosen.epsg, always_xy=True)
    easting, northing = transformer.transform(longitudes[known], latitudes[known])
    positions[known] = np.stack([easting, northing], axis=1)
    far = known & ~(np.abs(positions[:, 0] - 500_000) < _FARTHEST_FROM_MERIDIAN_M)
    if far.any():
        first = int(np.flatnonzero(far)[0])
        raise DataError(
            f"latitude {latitudes[first]:.5f}, longitude {longitudes[first]:.5f} is too far from "
            f"UTM zone {chosen.name}; give another zone, or split the images by region"
        )
    return positions, chosen.name


def to_wgs84(
    positions: NDArray[np.float64], zone: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres (N, 2) easting and northing in a zone, such as ``"31N"``, to degrees.

    Gives latitude (N,) and longitude (N,), float64 WGS84 degrees, NaN where the metres are.

    Raises:
        SettingsError: ``zone`` is not a zone.
        DataError: the array is not (N, 2).
    """
    metres = _as_positions(positions)
    transformer = Transformer.from_crs(parse_utm_zone(zone).epsg, 4326, always_xy=True)
    degrees = np.full_like(metres, np.nan)
    known = np.isfinite(metres).all(axis=1)
    longitude, latitude = transformer.transform(metres[known, 0], metres[known, 1])
    degrees[known] = np.stack([latitude, longitude], axis=1)
    # Metres that no place has come back as infinity.
    degrees[~np.isfinite(degrees).all(axis=1)] = np.nan
    return degrees[:, 0], degrees[:, 1]


def to_one_zone(
    positions: NDArray[np.float64], zones: Sequence[str], zone: str | None = None
) -> tuple[NDArray[np.float64], str]:
    """Bring metres of several zones into one, so that distances between them make sense.

    ``positions`` are (N, 2) easting and northing in metres, each in its own of N ``zones``, NaN
    where unknown; ``zone`` is the one to bring them to, None the one that occurs most often. Gives
    positions (N, 2) float64 in that zone, those that were in it already unchanged, and its name.

    Raises:
        SettingsError: a zone is not a zone.
        DataError: there is no zone at all, or a point is too far from the chosen one.
    """
    metres = _as_positions(positions).copy()
    names = {text: parse_utm_zone(text).name for text in set(zones)}
    if zone is None and not names:
        raise DataError("no position says which UTM zone it is in")
    own = np.array([names[text] for text in zones], dtype=str)
    chosen = parse_utm_zone(zone).name if zone else Counter(own.tolist()).most_common(1)[0][0]
    for name in set(names.values()) - {chosen}:
        rows = own == name
        if np.isfinite(metres[rows]).all(axis=1).any():
            metres[rows] = to_utm(*to_wgs84(metres[rows], name), zone=chosen)[0]
    return metres, chosen


def _as_positions(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    array = np.asarray(positions, np.float64)
    if array.size == 0:
        return array.reshape(0, 2)
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(f"positions have shape {array.shape}; expected (N, 2) metres")
    return array


def _check_degrees(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> None:
    for label, degrees, limit in (("latitude", latitudes, 90), ("longitude", longitudes, 180)):
        wrong = np.flatnonzero(np.abs(degrees) > limit)
        if len(wrong):
            raise DataError(
                f"{label} {degrees[wrong[0]]:g} at point {wrong[0]} is outside ±{limit}°; "
                "are latitude and longitude swapped, or are these UTM metres?"
            )


def _median_zone(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> UtmZone:
    if len(latitudes) == 0:
        raise DataError("no point has a latitude and a longitude, so no UTM zone can be chosen")
    if np.ptp(longitudes) > 180:
        # Across the date line the middle lies near 180°, not near 0°.
        longitudes = np.where(longitudes < 0, longitudes + 360, longitudes)
    longitude = (float(np.median(longitudes)) + 180) % 360
    return UtmZone(int(longitude // 6) + 1, north=float(np.median(latitudes)) >= 0)
