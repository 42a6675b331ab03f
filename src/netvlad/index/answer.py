"""From a photo to an answer: description, search, verification, probability, position."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.errors import ImageError, SettingsError
from netvlad.fitting.calibration import Calibration
from netvlad.images.exif import PhotoFacts
from netvlad.index.places import photo_facts
from netvlad.index.position import SHARPNESS, VERIFIED_SHARPNESS, fuse_position, metres_around
from netvlad.index.probability import HERE, first_place_probability, verdict_of
from netvlad.index.results import Answer, Place
from netvlad.index.stores.store import Store
from netvlad.index.where import Where
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import Matcher
from netvlad.matching.registry import matcher_name
from netvlad.matching.rerank import Reranked, Verified, rerank
from netvlad.models import OneImage, PlaceModel
from netvlad.models.image_inputs import image_pixels
from netvlad.types import ImageSet, Progress, Reporter, silent

CANDIDATES = 20
"""Places that are verified, and that probability and position are computed from."""

UNKNOWN = PhotoFacts(np.nan, np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Question:
    """What is asked of every query.

    Attributes:
        k: how many places to return.
        where: which places may be returned.
        heading_deg: only places seen at most so many degrees off the query's own heading.
        rerank: whether the first :data:`CANDIDATES` places are verified by geometry. None: by the
            local features that the index keeps, if it does; True: by those, or RootSIFT; or by the
            matcher of that name, one of :data:`~netvlad.matching.registry.MATCHERS`.
        radius_m: places at most this far apart are one place (metres).
        min_probability: from it on the verdict is "here", see
            :func:`~netvlad.index.probability.verdict_of`.
        speed_mps: how fast the camera moved, for places without positions: what was seen within
            ``radius_m / speed_mps`` seconds counts as one place.
    """

    k: int = 5
    where: Where = field(default_factory=Where)
    heading_deg: float | None = None
    rerank: bool | str | None = None
    radius_m: float = 25.0
    min_probability: float = HERE
    speed_mps: float = 1.0

    def __post_init__(self) -> None:
        matcher_name(False if self.rerank is None else self.rerank)
        if self.k < 1:
            raise SettingsError(f"k is {self.k}; ask for at least 1 place")
        if self.radius_m <= 0:
            raise SettingsError(f"radius_m is {self.radius_m:g}; give metres above 0")
        if self.heading_deg is not None and not 0 <= self.heading_deg <= 180:
            raise SettingsError(f"heading_deg is {self.heading_deg:g}; give 0 to 180 degrees")
        if not 0 <= self.min_probability <= 1:
            raise SettingsError(f"min_probability is {self.min_probability:g}; give 0 to 1")

    def matcher(self, kept: str | None) -> str | None:
        """The name of the matcher that verifies; None for none.

        Args:
            kept: the one whose local features the index keeps.
        """
        if self.rerank is None or self.rerank is True:
            return kept or matcher_name(self.rerank is True)
        return matcher_name(self.rerank)


@dataclass(frozen=True, eq=False)
class Query:
    """One photo that is asked about.

    Attributes:
        name: as it was given.
        descriptor: (D,) float32.
        facts: where it says it was taken, and in which direction.
        picture: the photo itself, for verification.
    """

    name: str
    descriptor: NDArray[np.float32]
    facts: PhotoFacts = UNKNOWN
    picture: OneImage | None = None


@dataclass(frozen=True, eq=False)
class _Candidates:
    """The nearest places of one query: numbers (k,) and cosine similarities (k,), best first."""

    indices: NDArray[np.int64]
    scores: NDArray[np.float64]


def answers(
    store: Store,
    queries: Sequence[Query],
    question: Question,
    calibrations: Sequence[Calibration],
    matcher: Matcher | None = None,
    cache: FeatureCache | None = None,
    report: Reporter = silent,
) -> list[Answer]:
    """Answer queries.

    Args:
        store: the places.
        queries: described by the index's own model.
        question: what is asked.
        calibrations: turn scores into a probability, see
            :func:`~netvlad.index.probability.first_place_probability`.
        matcher: verifies the places; None leaves them in the order of their scores.
        cache: of local features that the store does not keep; None makes one in memory.
        report: receives the progress of verification.

    Returns:
        one answer for each query, in order.

    Raises:
        SettingsError: ``question.heading_deg`` is set and a query's heading is unknown.
    """
    found = _search(store, queries, question)
    verify = None
    if matcher is not None:
        verify = partial(_verified, store, matcher, cache or FeatureCache(None))
    answered = []
    for query, candidates in zip(queries, found, strict=True):
        answered.append(_answer(store, query, candidates, question, calibrations, verify))
        if matcher is not None:
            report(Progress("Verifying places", len(answered), len(queries), "queries"))
    return answered


def _search(store: Store, queries: Sequence[Query], question: Question) -> list[_Candidates]:
    k = min(max(question.k, CANDIDATES), max(len(store), 1))
    groups: list[tuple[NDArray[np.float32], Where]]
    if question.heading_deg is None:
        stacked = np.stack([query.descriptor for query in queries]) if queries else None
        groups = [] if stacked is None else [(stacked, question.where)]
    else:
        groups = [
            (query.descriptor[None], _similar_direction(query, question)) for query in queries
        ]
    found = []
    for descriptors, where in groups:
        matches = store.search(descriptors, k, None if where == Where() else where)
        for indices, squared in zip(matches.indices, matches.squared_distances, strict=True):
            there = indices >= 0
            # Of unit vectors: |a − b|² = 2 − 2·a·b.
            scores = 1.0 - squared[there].astype(np.float64) / 2.0
            found.append(_Candidates(indices[there], scores))
    return found


def _answer(
    store: Store,
    query: Query,
    candidates: _Candidates,
    question: Question,
    calibrations: Sequence[Calibration],
    verify: Callable[..., Reranked] | None,
) -> Answer:
    if not len(candidates.indices):
        return Answer(query.name)
    rows = [store.place(int(index)) for index in candidates.indices]
    verified: list[Verified | None] = [None] * len(rows)
    support, speaking, sharpness = None, candidates.scores, SHARPNESS
    if verify is not None and query.picture is not None:
        found = verify(query.picture, rows[:CANDIDATES], candidates)
        order = np.append(found.order, np.arange(len(found.order), len(rows)))
        verified[: len(found.verified)] = found.verified
        rows, verified = [rows[i] for i in order], [verified[i] for i in order]
        candidates = _Candidates(candidates.indices[order], candidates.scores[order])
        support, sharpness = found.support, VERIFIED_SHARPNESS
        speaking = found.scores[found.order]
    latitude = np.array([_number(row["latitude"]) for row in rows])
    longitude = np.array([_number(row["longitude"]) for row in rows])
    time = np.array([_number(row["time"]) for row in rows])
    head = slice(0, CANDIDATES)
    probability = first_place_probability(
        calibrations,
        candidates.scores[head],
        _ground(latitude[head], longitude[head], time[head], question),
        support,
        question.radius_m,
    )
    places = [
        _place(row, float(score), None if pair is None else pair.inliers)
        for row, score, pair in zip(rows, candidates.scores, verified, strict=True)
    ][: question.k]
    if np.isfinite(query.facts.latitude + query.facts.longitude):
        centre = (query.facts.latitude, query.facts.longitude)
        away = np.linalg.norm(metres_around(latitude, longitude, centre), axis=1)
        places = [
            replace(place, distance_m=float(metres) if np.isfinite(metres) else None)
            for place, metres in zip(places, away, strict=False)
        ]
    return Answer(
        query.name,
        tuple(places),
        fuse_position(
            latitude[head],
            longitude[head],
            speaking[head],
            probability,
            question.radius_m,
            sharpness=sharpness,
        ),
        probability,
        verdict_of(probability, question.min_probability),
        any(pair is not None for pair in verified),
    )


def _ground(
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    time: NDArray[np.float64],
    question: Question,
) -> NDArray[np.float64] | None:
    """(k, 2) metres by which places are told apart; None where nothing is known of them."""
    if np.isfinite(latitude[0] + longitude[0]):
        return metres_around(latitude, longitude, (float(latitude[0]), float(longitude[0])))
    if np.isfinite(time[0]) and not np.isfinite(latitude + longitude).any():
        # A camera on its way: what it saw within seconds, it saw at one place.
        return np.stack([(time - time[0]) * question.speed_mps, np.zeros(len(time))], axis=1)
    return None


def _verified(
    store: Store,
    matcher: Matcher,
    cache: FeatureCache,
    picture: OneImage,
    rows: Sequence[Mapping[str, Any]],
    candidates: _Candidates,
) -> Reranked:
    """Compare a photo with those of its first places."""
    # The cache reads the index's own photos at the same size.
    query = matcher.extract(image_pixels(picture, resize=matcher.max_side))
    theirs = []
    for index, row in zip(candidates.indices.tolist(), rows, strict=False):
        features = store.local_features(index, matcher)
        if features is None:
            # A photo that was moved away or damaged since keeps its place in the ranking.
            with contextlib.suppress(ImageError):
                features = cache.get(Path(row["image"]), matcher)
        theirs.append(features)
    return rerank(query, theirs, candidates.scores[: len(rows)], matcher)


def _place(row: dict[str, Any], score: float, inliers: int | None) -> Place:
    return Place(
        image=row["image"],
        score=score,
        latitude=row["latitude"],
        longitude=row["longitude"],
        altitude=row["altitude"],
        heading=row["heading"],
        time=row["time"],
        tags=tuple(row["tags"] or ()),
        inliers=inliers,
    )


def _similar_direction(query: Query, question: Question) -> Where:
    assert question.heading_deg is not None
    if not np.isfinite(query.facts.heading):
        raise SettingsError(
            f"{query.name}: its heading is unknown, so places cannot be chosen by direction; "
            "give --heading, or leave --heading-deg out"
        )
    return replace(question.where, heading=(query.facts.heading, question.heading_deg))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def image_query(
    model: PlaceModel,
    image: OneImage,
    *,
    position: tuple[float, float] | None = None,
    heading: float | None = None,
    time: float | None = None,
) -> Query:
    """Ask about one photo.

    Args:
        model: the index's own.
        image: a path, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch.
        position: latitude and longitude that it says it was taken at; None reads them from a
            file's EXIF.
        heading: likewise, in degrees clockwise from north.
        time: likewise, in the seconds of the places' clock.

    Raises:
        ImageError: the file cannot be used.
        ModelError: the pixels cannot.
    """
    descriptor = model.describe(image)
    facts = photo_facts(Path(image)) if isinstance(image, str | Path) else UNKNOWN
    if position is not None:
        facts = replace(facts, latitude=position[0], longitude=position[1])
    if heading is not None:
        facts = replace(facts, heading=heading)
    if time is not None:
        facts = replace(facts, time=time)
    name = str(image) if isinstance(image, str | Path) else "image"
    return Query(name, descriptor, facts, image)


def file_queries(
    model: PlaceModel,
    queries: Sequence[str | Path],
    *,
    heading: float | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> tuple[list[Query], dict[int, str]]:
    """Ask about several photos, described in one pass of the model.

    Args:
        model: the index's own.
        queries: Q image files.
        heading: the direction all of them look to; None reads each file's EXIF.
        compute: where and how.
        report: receives progress.

    Returns:
        those that can be used, described, in order; and why each of the others cannot, by number.
    """
    files = tuple(str(Path(query).absolute()) for query in queries)
    described = describe(
        model,
        ImageSet(Path(), files),
        compute=compute,
        stage="Describing queries",
        report=report,
    )
    asked = []
    for i in np.flatnonzero(described.readable).tolist():
        facts = photo_facts(Path(files[i]))
        if heading is not None:
            facts = replace(facts, heading=heading)
        descriptor = np.asarray(described.values[i], np.float32)
        asked.append(Query(str(queries[i]), descriptor, facts, Path(files[i])))
    reasons = {image.index: image.error.reason for image in described.unreadable}
    return asked, reasons


def not_just_now(store: Store, where: Where, time: float | None, exclude_last_s: float) -> Where:
    """Leave out what a camera on its way has seen just now.

    Args:
        store: the places.
        where: what else is asked of them.
        time: now, in the seconds of the places' clock; None is the latest place's.
        exclude_last_s: leave out places whose time lies within so many seconds before.
    """
    now = _latest(store) if time is None else time
    # A place whose time is unknown cannot be told from the present one: it stays out.
    before = now - exclude_last_s
    return replace(where, before=before if where.before is None else min(before, where.before))


def _latest(store: Store) -> float:
    """The time of the latest place; minus infinity where none is known."""
    times = store.column("time")
    return float(times[np.isfinite(times)].max(initial=-np.inf))
