"""The page that ``netvlad locate --output`` writes: queries, their positions and their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from netvlad.index.results import Answer, Place
from netvlad.reports.pages import write_page
from netvlad.reports.pictures import Picture, fitted_picture, small_picture
from netvlad.reports.place_map import distance_text, place_map
from netvlad.reports.printable import printable
from netvlad.types import Progress, Reporter, silent

_QUERY_SIDE = 320
_PLACE_SIDE = 240
_MATCHES_WIDTH = 1200
_MATCHES_URI = 160_000
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


@dataclass(frozen=True)
class PlaceCard:
    """One place as the page shows it.

    Attributes:
        rank: from 1.
        picture: its photo.
        name: its file with the last folder, or its name.
        path: the whole of it.
        score: two or three digits of it.
        facts: what else is known about it, a few words each.
        tags: as they are.
        coordinates: latitude and longitude; empty when unknown.
        map_link: where OpenStreetMap shows them; empty when unknown.
    """

    rank: int
    picture: Picture
    name: str
    path: str
    score: str
    facts: tuple[str, ...]
    tags: tuple[str, ...]
    coordinates: str
    map_link: str


@dataclass(frozen=True)
class MatchPicture:
    """A place beside the query, with lines between what was found in both.

    Attributes:
        rank: the place's, from 1.
        picture: both photos in one.
    """

    rank: int
    picture: Picture


@dataclass(frozen=True)
class QuerySection:
    """One query as the page shows it.

    Attributes:
        number: from 1.
        name: the query as it was given.
        picture: its photo.
        kind: ``"known"``, ``"unknown"``, ``"failed"`` or ``"unjudged"``.
        verdict: the answer in words.
        coordinates: of the fused position, when the verdict is that the query is a place.
        map_link: where OpenStreetMap shows them; empty without coordinates.
        map: an SVG element; empty when nothing has a position.
        cards: the places, best first.
        matches: pictures of inlier matches.
    """

    number: int
    name: str
    picture: Picture
    kind: str
    verdict: str
    coordinates: str
    map_link: str
    map: Markup
    cards: tuple[PlaceCard, ...]
    matches: tuple[MatchPicture, ...]


def write_locate_page(
    path: Path,
    answers: Sequence[Answer],
    *,
    index: str,
    matches: Mapping[tuple[int, int], NDArray[np.uint8]] | None = None,
    report: Reporter = silent,
) -> Path:
    """Write answers as one self-contained page, which fetches nothing from anywhere.

    A photo that cannot be read is replaced by the reason. Thumbnails take at most 20 kB each.

    Args:
        path: the page.
        answers: one for each query; ``Answer.query`` and ``Place.image`` are read as files.
        index: the index's name.
        matches: (query, place), both numbered from 0 as they stand in ``answers``, to a picture of
            their inlier matches, (H, W, 3) uint8.
        report: called with the progress.

    Returns:
        ``path``.

    Raises:
        StorageError: it cannot be written.
    """
    thumbnails: dict[str, Picture] = {}
    sections = []
    for number, answer in enumerate(answers):
        report(Progress("Writing the page", number, len(answers), "queries"))
        sections.append(_section(number, answer, matches or {}, thumbnails))
    report(Progress("Writing the page", len(answers), len(answers), "queries"))
    kinds = [section.kind for section in sections]
    return write_page(
        path,
        "locate.html",
        index=printable(index),
        sections=sections,
        counts={kind: kinds.count(kind) for kind in ("known", "unknown", "unjudged", "failed")},
        any_position=any(section.map for section in sections),
        any_probability=any(answer.probability is not None for answer in answers),
        any_distance=any(p.distance_m is not None for a in answers for p in a.places),
        any_inliers=any(p.inliers is not None for a in answers for p in a.places),
    )


def _section(
    number: int,
    answer: Answer,
    matches: Mapping[tuple[int, int], NDArray[np.uint8]],
    thumbnails: dict[str, Picture],
) -> QuerySection:
    kind, verdict = _verdict(answer)
    picture = small_picture(answer.query, _QUERY_SIDE)
    if not picture.uri and answer.error is not None:
        picture = Picture("", reason=answer.error)
    coordinates, link = "", ""
    if answer.position is not None and kind != "unknown":
        coordinates = _coordinates(answer.position.latitude, answer.position.longitude)
        link = _map_link(answer.position.latitude, answer.position.longitude)
    return QuerySection(
        number=number + 1,
        name=printable(answer.query),
        picture=Picture(picture.uri, picture.width, picture.height, printable(picture.reason)),
        kind=kind,
        verdict=printable(verdict),
        coordinates=coordinates,
        map_link=link,
        map=Markup(place_map(answer)),
        cards=tuple(_card(rank, place, thumbnails) for rank, place in enumerate(answer.places, 1)),
        matches=tuple(
            MatchPicture(i + 1, _match_picture(matches[number, i]))
            for i in range(len(answer.places))
            if (number, i) in matches
        ),
    )


def _verdict(answer: Answer) -> tuple[str, str]:
    """The kind of an answer, and the answer in words that follow the coordinates, if any."""
    if answer.error is not None:
        return "failed", f"No answer: {answer.error}"
    if not answer.places:
        return "unjudged", "No place of this index meets the conditions"
    sure = ""
    if answer.probability is not None:
        sure = f"probability\N{NO-BREAK SPACE}{answer.probability:.2f}"
    if answer.known is False:
        return "unknown", "Not a place in this index" + (f" ({sure})" if sure else "")
    return "known" if answer.known else "unjudged", _where(answer, sure)


def _where(answer: Answer, sure: str) -> str:
    if answer.position is not None:
        within = f"± {distance_text(answer.position.error_m)}".replace(" ", "\N{NO-BREAK SPACE}")
        return f"{within}\N{NO-BREAK SPACE}· {sure}" if sure else within
    if sure:
        return f"A place of this index · {sure}"
    if any(place.latitude is not None for place in answer.places):
        return "The first place has no position"
    return "No positions in this index"


def _card(rank: int, place: Place, thumbnails: dict[str, Picture]) -> PlaceCard:
    if place.image not in thumbnails:
        thumbnails[place.image] = small_picture(place.image, _PLACE_SIDE)
    coordinates, link = "", ""
    if place.latitude is not None and place.longitude is not None:
        coordinates = _coordinates(place.latitude, place.longitude)
        link = _map_link(place.latitude, place.longitude)
    return PlaceCard(
        rank=rank,
        picture=thumbnails[place.image],
        name=printable("/".join(PurePath(place.image).parts[-2:])),
        path=printable(place.image),
        score=f"{place.score:.3f}",
        facts=tuple(_facts(place)),
        tags=tuple(printable(tag) for tag in place.tags),
        coordinates=coordinates,
        map_link=link,
    )


def _facts(place: Place) -> list[str]:
    facts = []
    if place.distance_m is not None:
        facts.append(f"{distance_text(place.distance_m)} from the query's own position")
    if place.inliers is not None:
        facts.append(f"{place.inliers} inlier{'' if place.inliers == 1 else 's'}")
    if place.heading is not None:
        point = _COMPASS[round(place.heading / 45) % 8]
        facts.append(f"looking {point} ({round(place.heading) % 360}°)")
    if place.time is not None:
        facts.append(_date(place.time))
    return facts


def _date(seconds: float) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # a clock that counts something else
        return f"time {seconds:g} s"
    return f"{moment:%Y-%m-%d %H:%M}"


def _coordinates(latitude: float, longitude: float) -> str:
    return f"{latitude:.5f}, {longitude:.5f}"


def _map_link(latitude: float, longitude: float) -> str:
    return (
        f"https://www.openstreetmap.org/?mlat={latitude:.6f}&mlon={longitude:.6f}"
        f"#map=19/{latitude:.6f}/{longitude:.6f}"
    )


def _match_picture(pixels: NDArray[np.uint8]) -> Picture:
    image = Image.fromarray(pixels).convert("RGB")
    if image.width > _MATCHES_WIDTH:
        height = max(1, round(image.height * _MATCHES_WIDTH / image.width))
        image = image.resize((_MATCHES_WIDTH, height), Image.Resampling.LANCZOS)
    return fitted_picture(image, _MATCHES_URI)
