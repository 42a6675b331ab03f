"""GPX tracks: where a satellite receiver was, and when; and which moments are worth a picture.

Source: Topografix, GPX 1.1, 2004.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod

from netvlad.datasets.readers.names import telling
from netvlad.errors import DataError, SettingsError, extra
from netvlad.geography import to_utm, to_wgs84

if TYPE_CHECKING:
    from gpxpy.gpx import GPXRoutePoint, GPXTrackPoint, GPXWaypoint

MAX_GAP_S = 10.0
"""Between two points farther apart in time than this nobody knows where the receiver was."""

TOLERANCE_S = 1e-3
"""Times nearer than this are the same: containers count in milliseconds, and seconds since 1970
leave a double a quarter of a microsecond."""

# The direction is that from where one was so long before to where one is so long after: long enough
# that the noise of a receiver does not turn it, short enough for a street corner.
_HEADING_REACH_S = 1.0
# Slower than this, what looks like travel is noise.
_STANDING_M_S = 0.5

_LEAST = 0.01
# A step may come out a hair short of what it is.
_ROUNDING_M = 1e-6


class TrackPoints(NamedTuple):
    """Where a track was at M times, (M,) each; NaN throughout where it does not say.

    Attributes:
        latitudes, longitudes: WGS84 degrees.
        elevations: metres, NaN too where the track has none.
        headings: direction of travel, degrees clockwise from true north, 0 up to 360; NaN too when
            standing.
        distances_m: metres travelled since the track's first point, straight across gaps.
    """

    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    elevations: NDArray[np.float64]
    headings: NDArray[np.float64]
    distances_m: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """Where somebody was, point by point.

    Attributes:
        times: (n,) float64 seconds since 1970 (UTC), strictly increasing, n at least 2.
        latitudes, longitudes: (n,) float64 WGS84 degrees.
        elevations: (n,) float64 metres, NaN where unknown.
        without_time: how many points were left out because they have no time (or no position).
        same_time: how many were left out because an earlier point has the same time.
    """

    times: NDArray[np.float64]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    elevations: NDArray[np.float64]
    without_time: int = 0
    same_time: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def plane(self) -> tuple[NDArray[np.float64], str]:
        """(n, 2) easting and northing in metres in the zone of the track's middle; the zone."""
        return to_utm(self.latitudes, self.longitudes)

    @cached_property
    def distances_m(self) -> NDArray[np.float64]:
        """(n,) metres travelled up to each point, in the plane (true to 0.1 % within a zone)."""
        steps = np.hypot(*np.diff(self.plane[0], axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def covers(self, times: ArrayLike, *, max_gap_s: float = MAX_GAP_S) -> NDArray[np.bool_]:
        """(M,) whether each of (M,) times, in seconds since 1970, is on the track and in no gap.

        Points farther apart in time than ``max_gap_s`` have a gap between them.
        """
        asked = np.atleast_1d(np.asarray(times, np.float64))
        row = np.clip(np.searchsorted(self.times, asked, side="right") - 1, 0, len(self) - 2)
        before, after = self.times[row], self.times[row + 1]
        at_point = np.minimum(np.abs(asked - before), np.abs(asked - after)) <= TOLERANCE_S
        inside = (asked >= before) & (asked <= after) & (after - before <= max_gap_s)
        return np.asarray(at_point | inside)

    def covered_s(self, start: float, end: float, *, max_gap_s: float = MAX_GAP_S) -> float:
        """How many of the seconds from ``start`` to ``end`` lie on the track and in no gap."""
        low, high = np.maximum(self.times[:-1], start), np.minimum(self.times[1:], end)
        joined = np.diff(self.times) <= max_gap_s
        return float(np.maximum(high - low, 0)[joined].sum())

    def at(self, times: ArrayLike, *, max_gap_s: float = MAX_GAP_S) -> TrackPoints:
        """Where the track was at given times: on the straight line between two points.

        The direction of travel at time t is that from the place at t - 1 s to the place at t + 1 s;
        where either is unknown the place at t stands in for it. Below 0.5 m/s there is none. For
        the arguments see :meth:`covers`.
        """
        asked = np.atleast_1d(np.asarray(times, np.float64))
        latitudes, longitudes = to_wgs84(self._places(asked, max_gap_s), self.plane[1])
        elevations, distances = (
            np.where(np.isnan(latitudes), np.nan, np.interp(asked, self.times, column))
            for column in (self.elevations, self.distances_m)
        )
        headings = self._headings(asked, max_gap_s)
        return TrackPoints(latitudes, longitudes, elevations, headings, distances)

    def _places(self, times: NDArray[np.float64], max_gap_s: float) -> NDArray[np.float64]:
        """(M, 2) easting and northing, NaN where the track does not say."""
        columns = [np.interp(times, self.times, column) for column in self.plane[0].T]
        places = np.stack(columns, axis=1)
        places[~self.covers(times, max_gap_s=max_gap_s)] = np.nan
        return places

    def _headings(self, times: NDArray[np.float64], max_gap_s: float) -> NDArray[np.float64]:
        here = self._places(times, max_gap_s)
        ends, seconds = [], np.zeros(len(times))
        for reach in (-_HEADING_REACH_S, _HEADING_REACH_S):
            there = self._places(times + reach, max_gap_s)
            known = np.isfinite(there[:, 0])
            ends.append(np.where(known[:, None], there, here))
            seconds += known * _HEADING_REACH_S
        metres = np.hypot(*(ends[1] - ends[0]).T)
        # A comparison with NaN is false, so an unknown place has no direction.
        moving = (seconds > 0) & (metres >= _STANDING_M_S * seconds)
        # North of the map is not north but on its middle meridian: so degrees, not metres.
        zone = self.plane[1]
        (lat0, lon0), (lat1, lon1) = (to_wgs84(end[moving], zone) for end in ends)
        headings = np.full(len(times), np.nan)
        headings[moving] = np.asarray(Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[0]) % 360
        return headings


def read_track(path: Path) -> Track:
    """Read the points of a GPX file, ordered by time.

    All segments of all tracks are taken, or else the points of routes, or else waypoints: the
    first of these that has times. Points without a time are left out and counted; of several
    points with one time the first counts. Times are in UTC unless they say otherwise.

    Raises:
        DataError: it cannot be read or is not GPX, has fewer than two points with different times,
            or degrees that no place has.
    """
    with extra("video"):
        import gpxpy  # noqa: PLC0415 - an extra
        from gpxpy.gpx import GPXException  # noqa: PLC0415
    try:
        gpx = gpxpy.parse(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; lay the GPX track there") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (GPXException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is not a GPX file ({reason}); export the track again") from error
    kinds: tuple[Iterable[GPXTrackPoint | GPXRoutePoint | GPXWaypoint], ...] = (
        (point for track in gpx.tracks for part in track.segments for point in part.points),
        (point for route in gpx.routes for point in route.points),
        gpx.waypoints,
    )
    without_time = 0
    rows: list[tuple[float, float, float, float]] = []
    for points in map(list, kinds):
        rows = [
            (
                (p.time if p.time.tzinfo else p.time.replace(tzinfo=UTC)).timestamp(),
                p.latitude,
                p.longitude,
                np.nan if p.elevation is None else p.elevation,
            )
            for p in points
            if p.time is not None and math.isfinite(p.latitude + p.longitude)
        ]
        without_time += len(points) - len(rows)
        if rows:
            break
    if not rows:
        told = f"has no points with a time ({without_time} without)"
        raise DataError(f"{path}: {told}; record or export the track with times")
    table = np.array(rows, np.float64)
    times, first = np.unique(table[:, 0], return_index=True)
    if len(times) < 2:
        lost = "so nobody knows where it led; give the whole track"
        raise DataError(f"{path}: has one point in time only, {lost}")
    latitudes, longitudes, elevations = table[first, 1:].T.copy()
    merged = len(table) - len(times)
    track = Track(times, latitudes, longitudes, elevations, without_time, merged)
    with telling(path):
        _ = track.plane
    return track


@dataclass(frozen=True)
class FrameChoice:
    """Exactly one of the two.

    Attributes:
        every_m: a frame whenever the track is so many metres from where the last one was taken, as
            the crow flies. Who stands at a red light gets no further frames, though the receiver's
            noise makes it wander a little.
        every_s: a frame every so many seconds.

    Raises:
        SettingsError: none or both are given, or one is not a number of 0.01 or more.
    """

    every_m: float | None = None
    every_s: float | None = None

    def __post_init__(self) -> None:
        if (self.every_m is None) == (self.every_s is None):
            raise SettingsError("give either every_m (metres) or every_s (seconds), not both")
        for name, value in (("every_m", self.every_m), ("every_s", self.every_s)):
            if value is not None and not (math.isfinite(value) and value >= _LEAST):
                raise SettingsError(f"{name} is {value}; give a number of {_LEAST} or more")

    def moments(
        self, track: Track, start: float, end: float, *, max_gap_s: float = MAX_GAP_S
    ) -> NDArray[np.float64]:
        """(K,) times that frames are wanted at, ascending, all on the track and in no gap.

        By distance the first is the first one on the track; by time they are whole steps from
        ``start``, when the video begins. None lies after ``end``. All are seconds since 1970.
        """
        end = min(end, float(track.times[-1]))
        if self.every_s is not None:
            first = max(0, math.floor((track.times[0] - start) / self.every_s))
            last = math.floor((end - start) / self.every_s + 1e-6)
            moments = start + self.every_s * np.arange(first, last + 1)
            return moments[track.covers(moments, max_gap_s=max_gap_s)]
        assert self.every_m is not None
        moments = np.array(_steps(track, start, self.every_m, max_gap_s), np.float64)
        return moments[moments <= end]


def _steps(track: Track, start: float, every_m: float, max_gap_s: float) -> list[float]:
    """Follow the track, and note when it leaves the circle around the last moment's place."""
    rest = track.times > start
    times, places = track.times[rest], track.plane[0][rest]
    if track.covers([start], max_gap_s=max_gap_s)[0]:
        here = [np.interp(start, track.times, column) for column in track.plane[0].T]
        times, places = np.concatenate([[start], times]), np.concatenate([[here], places])
    if not len(times):
        return []
    centre, moments = places[0], [float(times[0])]
    for i in range(len(times) - 1):
        begin, end = places[i], places[i + 1]
        seconds = float(times[i + 1] - times[i])
        is_gap = seconds > max_gap_s
        # A straight line that begins inside a circle leaves it once at most: if its end is outside.
        while math.dist(centre, end) >= every_m - _ROUNDING_M:
            share = 1.0 if is_gap else _way_out(end - begin, begin - centre, every_m)
            moments.append(float(times[i]) + share * seconds)
            centre = begin + share * (end - begin)
    return moments


def _way_out(way: NDArray[np.float64], offset: NDArray[np.float64], radius_m: float) -> float:
    """The share of a way at which it leaves a circle, in which it begins beside the centre."""
    # |offset + share * way|² = radius², the later of its two solutions.
    a, b, c = float(way @ way), float(offset @ way), float(offset @ offset) - radius_m**2
    return min(1.0, max(0.0, (math.sqrt(max(0.0, b * b - a * c)) - b) / a))
