"""From a photo to an answer: description, search, re-ranking, probability, position."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from netvlad.index.position import fuse_position, metres_around
from netvlad.index.probability import first_place_probability
from netvlad.index.results import Answer, Place
from netvlad.index.stores.store import Store
from netvlad.index.where import Where
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.registry import matcher_name
from netvlad.matching.rerank import Reranked, Verified, rerank
from netvlad.models import OneImage, PlaceModel
from netvlad.models.image_inputs import image_pixels
from netvlad.types import ImageSet, Progress, Reporter, silent

CANDIDATES = 20
"""Places that are re-ranked, and that probability and position are computed from."""

UNKNOWN = PhotoFacts(np.nan, np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Question:
    """What is asked of every query.

    Attributes:
        k: how many places to return.
        where: which places may be returned.
        heading_deg: only places seen at most so many degrees off the query's own heading.
        rerank: whether the first :data:`CANDIDATES` places are verified by geometry: True, by
            RootSIFT; or by the matcher of that name, one of
            :data:`~netvlad.matching.registry.MATCHERS`.
        radius_m: places at most this far apart are one place (metres).
        min_probability: below it the query is not a place of this index; None takes the
            calibration's own threshold.
        speed_mps: how fast the camera moved, for places without positions: what was seen within
            ``radius_m / speed_mps`` seconds counts as one place.
    """

    k: int = 5
    where: Where = field(default_factory=Where)
    heading_deg: float | None = None
    rerank: bool | str = False
    radius_m: float = 25.0
    min_probability: float | None = None
    speed_mps: float = 1.0

    def __post_init__(self) -> None:
        matcher_name(self.rerank)
        if self.k < 1:
            raise SettingsError(f"k is {self.k}; ask for at least 1 place")
        if self.radius_m <= 0:
            raise SettingsError(f"radius_m is {self.radius_m:g}; give metres above 0")
        if self.heading_deg is not None and not 0 <= self.heading_deg <= 180:
            raise SettingsError(f"heading_deg is {self.heading_deg:g}; give 0 to 180 degrees")
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise SettingsError(f"min_probability is {self.min_probability:g}; give 0 to 1")

    @property
    def matcher(self) -> str | None:
        """The name of the matcher that re-ranks; None without re-ranking."""
        return matcher_name(self.rerank)


@dataclass(frozen=True, eq=False)
class Verifier:
    """What verifies places by geometry.

    Attributes:
        matcher: finds and pairs local features.
        features: those of the index's photos, kept.
    """

    matcher: Matcher
    features: FeatureCache


@dataclass(frozen=True, eq=False)
class Query:
    """One photo that is asked about.

    Attributes:
        name: as it was given.
        descriptor: (D,) float32.
        facts: where it says it was taken, and in which direction.
        picture: the photo itself, for re-ranking.
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
    calibration: Calibration,
    verifier: Verifier | None = None,
    report: Reporter = silent,
) -> list[Answer]:
    """Answer queries.

    Args:
        store: the places.
        queries: described by the index's own model.
        question: what is asked.
        calibration: turns scores into a probability.
        verifier: re-ranks the places; needed when ``question.rerank`` is set.
        report: receives the progress of re-ranking.

    Returns:
        one answer for each query, in order.

    Raises:
        SettingsError: ``question.heading_deg`` is set and a query's heading is unknown.
    """
    found = _search(store, queries, question)
    answered = []
    for query, candidates in zip(queries, found, strict=True):
        answered.append(_answer(store, query, candidates, question, calibration, verifier))
        if verifier is not None:
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
    calibration: Calibration,
    verifier: Verifier | None,
) -> Answer:
    if not len(candidates.indices):
        return Answer(query.name)
    rows = [store.place(int(index)) for index in candidates.indices]
    verified: list[Verified | None] = [None] * len(rows)
    if verifier is not None:
        order, verified = _reranked(query, rows, candidates.scores, verifier)
        rows = [rows[i] for i in order]
        verified = [verified[i] for i in order]
        candidates = _Candidates(candidates.indices[order], candidates.scores[order])
    latitude = np.array([_number(row["latitude"]) for row in rows])
    longitude = np.array([_number(row["longitude"]) for row in rows])
    time = np.array([_number(row["time"]) for row in rows])
    head = slice(0, CANDIDATES)
    probability = _probability(
        latitude[head],
        longitude[head],
        time[head],
        candidates.scores[head],
        None if verified[0] is None else verified[0].evidence,
        question,
        calibration,
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
    least = calibration.threshold if question.min_probability is None else question.min_probability
    return Answer(
        query.name,
        tuple(places),
        fuse_position(
            latitude[head],
            longitude[head],
            candidates.scores[head],
            probability,
            question.radius_m,
        ),
        probability,
        None if probability is None else probability >= least,
    )


def _probability(
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    time: NDArray[np.float64],
    scores: NDArray[np.float64],
    evidence: float | None,
    question: Question,
    calibration: Calibration,
) -> float | None:
    if np.isfinite(latitude[0] + longitude[0]):
        around = metres_around(latitude, longitude, (float(latitude[0]), float(longitude[0])))
    elif np.isfinite(time[0]) and not np.isfinite(latitude + longitude).any():
        # A camera on its way: what it saw within seconds, it saw at one place.
        around = np.stack([(time - time[0]) * question.speed_mps, np.zeros(len(time))], axis=1)
    else:
        return None
    return first_place_probability(calibration, scores, around, evidence or 0.0, question.radius_m)


def _reranked(
    query: Query,
    rows: list[dict[str, Any]],
    scores: NDArray[np.float64],
    verifier: Verifier,
) -> tuple[NDArray[np.int64], list[Verified | None]]:
    """The order of the candidates after verification, and what it found, in the old order."""
    count = min(len(rows), CANDIDATES)
    unchanged = np.arange(len(rows))
    verified: list[Verified | None] = [None] * len(rows)
    if query.picture is None:
        return unchanged, verified
    picture, matcher = query.picture, verifier.matcher
    # As the cache reads the index's own photos.
    pixels = image_pixels(picture, resize=matcher.max_side)
    candidates = [_local_features(verifier, Path(row["image"])) for row in rows[:count]]
    found: Reranked = rerank(matcher.extract(pixels), candidates, scores[:count], matcher)
    verified[:count] = found.verified
    return np.concatenate([found.order, unchanged[count:]]), verified


def _local_features(verifier: Verifier, path: Path) -> LocalFeatures | None:
    # A photo that was moved away or damaged since keeps its place in the ranking.
    try:
        return verifier.features.get(path, verifier.matcher)
    except ImageError:
        return None


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
