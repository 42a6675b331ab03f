"""The page that ``netvlad locate --output`` writes: queries, their positions and their places."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netvlad.index.position import metres_around
from netvlad.index.results import VERDICTS, Answer, Place, Position
from netvlad.reports.evaluation_words import distance
from netvlad.reports.pages import write_page
from netvlad.reports.pictures import Picture, fitted_picture, small_picture
from netvlad.reports.plots import Plot, Values, answer_map
from netvlad.reports.printable import printable
from netvlad.types import Progress, Reporter, counted, silent

_QUERY_SIDE = 320
_PLACE_SIDE = 240
_MATCHES_WIDTH = 1200
_MATCHES_URI = 160_000
# What a map shows at first, in metres.
_LEAST_EXTENT_M = 40.0
_START_M = 25.0
_GAP = 3.0
_FARTHEST_M = 500.0
ELLIPSE_SHARE = 0.9
"""Of all positions like this one, how many lie inside the ellipse."""

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


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
        path: the page, which is returned, too.
        answers: one for each query; ``Answer.query`` and ``Place.image`` are read as files.
        index: the index's name.
        matches: (query, place), both numbered from 0 as they stand in ``answers``, to a picture of
            their inlier matches, (H, W, 3) uint8.
        report: called with the progress.

    Raises:
        StorageError: it cannot be written.
    """
    thumbnails: dict[str, Picture] = {}
    sections = []
    for number, answer in enumerate(answers):
        report(Progress("Writing the page", number, len(answers), "queries"))
        sections.append(_section(number, answer, matches or {}, thumbnails))
    report(Progress("Writing the page", len(answers), len(answers), "queries"))
    kinds = [section["kind"] for section in sections]
    return write_page(
        path,
        "locate.html",
        index=printable(index),
        sections=sections,
        counts={kind: kinds.count(kind) for kind in (*VERDICTS, "failed")},
        any_position=any(section["map"] for section in sections),
        any_probability=any(answer.probability is not None for answer in answers),
        any_distance=any(p.distance_m is not None for a in answers for p in a.places),
        any_inliers=any(p.inliers is not None for a in answers for p in a.places),
    )


def _section(
    number: int,
    answer: Answer,
    matches: Mapping[tuple[int, int], NDArray[np.uint8]],
    thumbnails: dict[str, Picture],
) -> dict[str, Any]:
    """One query, by the names that the template has for its parts."""
    kind, verdict = _verdict(answer)
    picture = small_picture(answer.query, _QUERY_SIDE)
    if not picture.uri and answer.error is not None:
        picture = Picture("", reason=answer.error)
    return {
        "number": number + 1,
        "name": printable(answer.query),
        "picture": replace(picture, reason=printable(picture.reason)),
        "kind": kind,
        "verdict": printable(verdict),
        **_on_the_map(None if kind == "elsewhere" else answer.position),
        "map": place_map(answer),
        "cards": [_card(rank, place, thumbnails) for rank, place in enumerate(answer.places, 1)],
        "matches": [
            {"rank": i + 1, "picture": _match_picture(matches[number, i])}
            for i in range(len(answer.places))
            if (number, i) in matches
        ],
    }


def place_map(answer: Answer) -> Plot | None:
    """The places around the fused position, or around the first place that has one.

    At first the map shows the places nearest to its centre, as long as none is three times as far
    as the one before, nor farther than 500 m; the others are found by zooming out. The fused
    position is left out when the verdict is "elsewhere", because then there is
    nothing that it could be the position of.
    """
    position = answer.position if answer.verdict != "elsewhere" else None
    known = [
        (rank, place, place.latitude, place.longitude)
        for rank, place in enumerate(answer.places, 1)
        if place.latitude is not None
        and place.longitude is not None
        and np.isfinite(place.latitude + place.longitude)
    ]
    if not known and position is None:
        return None
    centre = known[0][2:] if position is None else (position.latitude, position.longitude)
    metres = metres_around([k[2] for k in known], [k[3] for k in known], centre)
    ellipse = None if position is None else ellipse_of(position.covariance)
    reach = 0.0 if ellipse is None else float(np.abs(ellipse).max())
    away = np.linalg.norm(metres, axis=1)
    shown = max(_START_M, reach)
    for metre in np.sort(away):
        if metre > min(_GAP * shown, max(_FARTHEST_M, reach)):
            break
        shown = max(shown, float(metre))
    near = np.concatenate([metres[away <= shown], [[-reach, -reach], [reach, reach]]])
    room = 0.2 * np.maximum(np.ptp(near, axis=0), _LEAST_EXTENT_M)
    # Places at one spot, such as views in several directions, share a mark.
    spots: dict[tuple[float, float], list[int]] = {}
    for number, spot in enumerate(metres.round().tolist()):
        spots.setdefault((spot[0], spot[1]), []).append(number)
    drawn = []
    for numbers in spots.values():
        ranks = _runs([known[i][0] for i in numbers])
        for i in numbers:
            rank, place = known[i][:2]
            told = f"{rank}. {escape(_short(place.image))}<br>score {place.score:.3f}"
            told += f", {distance(float(away[i]))} from the middle"
            mark = ranks if i == numbers[0] else ""
            drawn.append((*metres[i].tolist(), place.heading, mark, told))
    # The best place last, so that it lies on top.
    beyond = [distance(metre) for metre in away[away > shown].tolist()]
    words = f"{counted(len(known), 'places')}" + (f", {len(beyond)} of them outside" * bool(beyond))
    return answer_map(
        drawn[::-1], ellipse, (near.min(axis=0) - room, near.max(axis=0) + room), words
    )


def ellipse_of(covariance: tuple[tuple[float, float], tuple[float, float]]) -> Values | None:
    """(64, 2) points of the rim of the ellipse that holds nine in ten of a normal distribution.

    Its squared semi-axes are the eigenvalues times −2·ln(1 − 0.9), the quantile of χ² with two
    degrees of freedom. None for a covariance that is not finite.
    """
    matrix = np.array(covariance, np.float64)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
        return None
    values, vectors = np.linalg.eigh(matrix)
    axes = vectors * np.sqrt(np.maximum(values, 0.0) * -2.0 * np.log1p(-ELLIPSE_SHARE))
    angles = np.linspace(0, 2 * np.pi, 64)
    rim: Values = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes.T
    return rim


def _runs(ranks: list[int]) -> str:
    """``"1, 3–6"``; of many runs the first three, and how many places there are besides."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    text = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs[:3])
    besides = sum(len(run) for run in runs[3:])
    return f"{text} +{besides}" if besides else text


def _short(image: str) -> str:
    return printable("/".join(PurePath(image).parts[-2:]))


def _verdict(answer: Answer) -> tuple[str, str]:
    """The kind of an answer, and the answer in words that follow the coordinates, if any."""
    if answer.error is not None:
        return "failed", f"No answer: {answer.error}"
    if not answer.places:
        return "cannot-tell", "No place of this index meets the conditions"
    sure = ""
    if answer.probability is not None:
        sure = f"probability\N{NO-BREAK SPACE}{answer.probability:.2f}"
    if answer.verdict == "elsewhere":
        return "elsewhere", f"No place of this index ({sure})"
    kind = answer.verdict
    if answer.position is not None:
        within = f"± {distance(answer.position.error_m)}".replace(" ", "\N{NO-BREAK SPACE}")
        return kind, f"{within}\N{NO-BREAK SPACE}· {sure}" if sure else within
    if sure:
        return kind, f"{VERDICTS[answer.verdict].capitalize()} · {sure}"
    some = any(place.latitude is not None for place in answer.places)
    return kind, "The first place has no position" if some else "No positions in this index"


def _card(rank: int, place: Place, thumbnails: dict[str, Picture]) -> dict[str, Any]:
    if place.image not in thumbnails:
        thumbnails[place.image] = small_picture(place.image, _PLACE_SIDE)
    return {
        "rank": rank,
        "picture": thumbnails[place.image],
        "name": _short(place.image),
        "path": printable(place.image),
        "score": f"{place.score:.3f}",
        "facts": _facts(place),
        "tags": [printable(tag) for tag in place.tags],
        **_on_the_map(place),
    }


def _facts(place: Place) -> list[str]:
    facts = []
    if place.distance_m is not None:
        facts.append(f"{distance(place.distance_m)} from the query's own position")
    if place.inliers is not None:
        facts.append(counted(place.inliers, "inliers"))
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


def _on_the_map(spot: Place | Position | None) -> dict[str, str]:
    """The coordinates of a place, and where OpenStreetMap shows them; empty when unknown."""
    if spot is None or spot.latitude is None or spot.longitude is None:
        return {"coordinates": "", "map_link": ""}
    at = f"{spot.latitude:.6f}", f"{spot.longitude:.6f}"
    return {
        "coordinates": f"{spot.latitude:.5f}, {spot.longitude:.5f}",
        "map_link": "https://www.openstreetmap.org/?mlat={0}&mlon={1}#map=19/{0}/{1}".format(*at),
    }


def _match_picture(pixels: NDArray[np.uint8]) -> Picture:
    image = Image.fromarray(pixels).convert("RGB")
    if image.width > _MATCHES_WIDTH:
        height = max(1, round(image.height * _MATCHES_WIDTH / image.width))
        image = image.resize((_MATCHES_WIDTH, height), Image.Resampling.LANCZOS)
    return fitted_picture(image, _MATCHES_URI)
