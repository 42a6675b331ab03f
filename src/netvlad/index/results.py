"""What an index answers: ranked places, a position, and how sure it is."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import ImageError
from netvlad.matching.drawing import matches_of_files
from netvlad.matching.features import Matcher
from netvlad.matching.sift import ROOT_SIFT

Verdict = Literal["here", "perhaps", "elsewhere", "cannot-tell"]
VERDICTS: Mapping[Verdict, str] = {
    "here": "here",
    "perhaps": "perhaps here",
    "elsewhere": "no place of this index",
    "cannot-tell": "cannot tell",
}
"""As people are told."""


@dataclass(frozen=True)
class Place:
    """One place of an index, as an answer to a query.

    Attributes:
        image: the photo's file, absolute; or the name a place was added under without a file.
        score: cosine similarity of the descriptors, 1 for the same picture.
        latitude: WGS84 degrees; None where the place's position is unknown, as for the next three.
        longitude: WGS84 degrees.
        altitude: metres above sea level, as the camera noted them.
        heading: where the camera looked, in degrees clockwise from north.
        time: seconds since 1970 (UTC).
        tags: words the place was marked with.
        distance_m: how far it is from where the query says it was taken; None when it does not say.
        inliers: matches that agree with one view of the same scene; None without verification.
    """

    image: str
    score: float
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    heading: float | None = None
    time: float | None = None
    tags: tuple[str, ...] = ()
    distance_m: float | None = None
    inliers: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON types; ``inliers`` and ``distance_m`` appear where they are known."""
        content: dict[str, Any] = {
            "image": self.image,
            "score": round(self.score, 6),
            "latitude": self.latitude,
            "longitude": self.longitude,
            "heading": self.heading,
            "altitude": self.altitude,
            "time": self.time,
            "tags": list(self.tags),
        }
        if self.distance_m is not None:
            content["distance_m"] = round(self.distance_m, 2)
        if self.inliers is not None:
            content["inliers"] = self.inliers
        return content


@dataclass(frozen=True)
class Position:
    """Where a query was taken, as far as its places tell.

    Attributes:
        latitude: WGS84 degrees.
        longitude: WGS84 degrees.
        error_m: half of all queries that are answered like this one lie nearer than this.
        covariance: of (easting, northing) in m²: ((ee, en), (ne, nn)).
    """

    latitude: float
    longitude: float
    error_m: float
    covariance: tuple[tuple[float, float], tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "latitude": self.latitude,
            "longitude": self.longitude,
            "error_m": round(self.error_m, 2),
            "covariance": [[round(value, 3) for value in row] for row in self.covariance],
        }


@dataclass(frozen=True)
class Answer:
    """What an index says to one query.

    Example:
        >>> places = (Place("a.jpg", 0.91, 52.2, 0.12),)
        >>> answer = Answer("q.jpg", places, probability=0.97, verdict="here")
        >>> answer.places[0].image, answer.known, answer.to_json()["probability"]
        ('a.jpg', True, 0.97)

    Attributes:
        query: the query as it was given: a path, or a name.
        places: best first; may be empty.
        position: where the query was taken; None when no place has a position.
        probability: that the first place is right, in [0, 1]; None when there is too little to
            judge by.
        verdict: the same in a word, see :func:`~netvlad.index.probability.verdict_of`.
        verified: whether places were compared with the query by their local features.
        error: why the query could not be answered at all; None when it was.
    """

    query: str
    places: tuple[Place, ...] = ()
    position: Position | None = None
    probability: float | None = None
    verdict: Verdict = "cannot-tell"
    verified: bool = False
    error: str | None = None

    @property
    def known(self) -> bool:
        """Whether the query is sure to be a place of this index: the verdict is "here"."""
        return self.verdict == "here"

    def to_json(self) -> dict[str, Any]:
        """As JSON types; ``error`` appears where there was one."""
        content: dict[str, Any] = {
            "query": self.query,
            "places": [place.to_json() for place in self.places],
            "position": None if self.position is None else self.position.to_json(),
            "probability": None if self.probability is None else round(self.probability, 4),
            "verdict": self.verdict,
            "verified": self.verified,
        }
        if self.error is not None:
            content["error"] = self.error
        return content


def match_pictures(
    found: Sequence[Answer], *, top: int = 1, matcher: Matcher = ROOT_SIFT
) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """Draw the matches that agree, between each query and its first places.

    Args:
        found: answers to files, verified.
        top: how many places of each.
        matcher: what they were verified by.

    Returns:
        (H, W, 3) uint8 pictures by (number of the answer, number of the place); those without
        matches, and those whose photo cannot be read, are absent.
    """
    pictures = {}
    for number, answer in enumerate(found):
        for rank, place in enumerate(answer.places[:top]):
            if place.inliers:
                with contextlib.suppress(ImageError):
                    pictures[number, rank] = matches_of_files(
                        Path(answer.query), Path(place.image), matcher
                    )
    return pictures
