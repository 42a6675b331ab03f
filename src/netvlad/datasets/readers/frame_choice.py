"""Which moments of a ride are worth a picture: every so many metres, or seconds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.gpx_track import MAX_GAP_S, Track
from netvlad.errors import SettingsError

_LEAST = 0.01
# A step may come out a hair short of what it is.
_ROUNDING_M = 1e-6


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
        """The times that frames are wanted at.

        Args:
            track: where the camera was.
            start: when the video begins, in seconds since 1970.
            end: no moment lies after this.
            max_gap_s: points of the track farther apart than this have a gap between them.

        Returns:
            (K,) seconds since 1970, ascending, all on the track and in no gap. By distance the
            first is the first one on the track; by time they are whole steps from ``start``.
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
    """Walk the track, and note when it leaves the circle around the last moment's place."""
    times, places = _from(track, start, max_gap_s)
    if not len(times):
        return []
    centre, moments = places[0], [float(times[0])]
    for i in range(len(times) - 1):
        begin, end = places[i], places[i + 1]
        seconds = float(times[i + 1] - times[i])
        is_gap = seconds > max_gap_s
        # A straight line that begins inside a circle leaves it once at most: if its end is outside.
        while math.dist(centre, end) >= every_m - _ROUNDING_M:
            share = 1.0 if is_gap else _way_out(begin, end, centre, every_m)
            moments.append(float(times[i]) + share * seconds)
            centre = begin + share * (end - begin)
    return moments


def _from(
    track: Track, start: float, max_gap_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of a track from ``start`` on; where it lies between two, its place comes first."""
    rest = track.times > start
    times, places = track.times[rest], track.plane[0][rest]
    if track.covers([start], max_gap_s=max_gap_s)[0]:
        here = [np.interp(start, track.times, column) for column in track.plane[0].T]
        times, places = np.concatenate([[start], times]), np.concatenate([[here], places])
    return times, places


def _way_out(
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius_m: float,
) -> float:
    """The share of the way from ``begin`` (inside the circle) to ``end`` at which it is left."""
    way, offset = end - begin, begin - centre
    # |offset + share * way|² = radius², the later of its two solutions.
    a, b, c = float(way @ way), float(offset @ way), float(offset @ offset) - radius_m**2
    return min(1.0, max(0.0, (math.sqrt(max(0.0, b * b - a * c)) - b) / a))
