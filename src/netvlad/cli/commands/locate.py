"""``netvlad locate``: where were these photos taken?"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from netvlad.cli.console import fail, reporting, show, show_json
from netvlad.cli.flags import ComputeFlags
from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.index.answer import Question
from netvlad.index.photos import find_photos
from netvlad.index.place_index import PlaceIndex
from netvlad.index.probability import HERE
from netvlad.index.results import VERDICTS, Answer, Place, match_pictures
from netvlad.index.where import Where
from netvlad.matching.registry import MatcherName
from netvlad.types import counted

FILTERS = Group("Which places", sort_key=2)


@Parameter(name="*", group=FILTERS)
@dataclass(frozen=True)
class FilterFlags:
    """Which places a query may be answered with."""

    bbox: tuple[float, float, float, float] | None = None
    """Only places inside this box: SOUTH WEST NORTH EAST, in degrees."""

    after: str | None = None
    """Only places taken at or after this time: 2024-05-31, 2024-05-31T12:00 (UTC), or seconds."""

    before: str | None = None
    """Only places taken before this time."""

    tag: list[str] | None = None
    """Only places with this tag; several: with one of them."""

    heading_deg: float | None = None
    """Only places seen at most so many degrees off the query's own heading."""

    heading: float | None = None
    """The queries' heading in degrees clockwise from north [default: from EXIF]."""

    def where(self) -> Where:
        """As the index takes them.

        Raises:
            SettingsError: one of them makes no sense.
        """
        return Where(
            bounding_box=self.bbox,
            after=None if self.after is None else _seconds("--after", self.after),
            before=None if self.before is None else _seconds("--before", self.before),
            tags=tuple(self.tag or ()),
        )


def locate(
    queries: list[Path],
    /,
    *,
    index: str,
    k: Annotated[int, Parameter(name=["-k", "--top"])] = 5,
    rerank: Annotated[bool | None, Parameter(negative="--no-rerank")] = None,
    matcher: MatcherName | None = None,
    radius_m: float = 25.0,
    min_probability: float = HERE,
    json: bool = False,
    output: Path | None = None,
    filters: FilterFlags = FilterFlags(),
    compute: ComputeFlags = Compute(),
    strict: bool = False,
) -> None:
    """Say where photos were taken: the most similar places of an index, best first.

    ```
    netvlad locate query.jpg --index my.index
    ```

    A score is the cosine similarity of two descriptors: 1 for the same picture. Where the index
    keeps local features, its first 20 places are verified by their geometry. The probability says
    how likely the first place is right: from 0.8 on it is "here", below 0.1 "no place of this
    index", between them "perhaps here"; where there is too little to judge by, "cannot tell". The
    position is that of the places that agree with the first; half of all queries
    answered like this one lie within the metres behind ±.

    Args:
        queries: Photos, and folders of photos.
        index: The index folder, from `netvlad index build`, or milvus://HOST:19530/COLLECTION.
        k: How many places to show.
        rerank: Verify the first 20 places by the geometry of local features [default: where the
            index keeps some].
        matcher: Verify by these local features [default: those that the index keeps, else sift].
            All but sift are learned: pip install 'netvlad[matching]'.
        radius_m: Places at most this far apart are one place (metres).
        min_probability: From this probability on the verdict is "here".
        json: Print a list with an object for each query, and nothing else.
        output: Write a page with pictures and maps to this file (.html).
        strict: Exit with 1 when a query could not be used.
    """
    question = Question(
        k=k,
        where=filters.where(),
        heading_deg=filters.heading_deg,
        rerank=matcher or rerank,
        radius_m=radius_m,
        min_probability=min_probability,
    )
    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        answers = opened.locate_all(
            as_typed(queries), question, heading=filters.heading, report=report
        )
        if output is not None:
            pictures, verified = None, any(answer.verified for answer in answers)
            if verified and (name := question.matcher(opened.store.features)):
                pictures = match_pictures(answers, matcher=opened.matcher(name))
            from netvlad.reports.locate_page import write_locate_page  # noqa: PLC0415 - charts

            write_locate_page(output, answers, index=opened.name, matches=pictures)
    if json:
        show_json([answer.to_json() for answer in answers])
    else:
        show(*(line for answer in answers for line in _lines(answer)))
    failed = [answer for answer in answers if answer.error is not None]
    for answer in failed:
        print(f"- {answer.query}: {answer.error}", file=sys.stderr)
    if failed and (strict or len(failed) == len(answers)):
        fail(f"{counted(len(failed), 'queries')} could not be used", 1 if strict else 2)


def as_typed(queries: list[Path]) -> list[str]:
    """The photos that files and folders stand for, under the names that were typed.

    Raises:
        DataError: a path does not exist, or holds no images.
    """
    names = []
    for query in queries:
        if query.is_dir():
            base = query.absolute()
            names += [str(query / photo.relative_to(base)) for photo in find_photos([query])]
        else:
            find_photos([query])
            names.append(str(query))
    return names


def _lines(answer: Answer) -> list[str]:
    if answer.error is not None:
        return []
    lines = [answer.query]
    lines.append(f"  {_verdict(answer)}")
    if not answer.places:
        lines.append("  no place of the index may be returned")
    for rank, place in enumerate(answer.places, 1):
        lines.append(f"  {rank:>2}  " + "  ".join(_cells(place)))
    return lines


def _verdict(answer: Answer) -> str:
    words, sure = VERDICTS[answer.verdict], []
    if answer.position is not None and answer.verdict != "elsewhere":
        where = answer.position
        words += f": {where.latitude:.6f}, {where.longitude:.6f} ± {where.error_m:.0f} m"
    if answer.probability is not None:
        sure.append(f"probability {answer.probability:.2f}")
    if answer.verified:
        sure.append("verified")
    return f"{words} ({', '.join(sure)})" if sure else words


def _cells(place: Place) -> list[str]:
    cells = [f"{place.score:.3f}"]
    if place.latitude is not None and place.longitude is not None:
        cells.append(f"{place.latitude:.6f}, {place.longitude:.6f}")
    if place.heading is not None:
        cells.append(f"{place.heading:3.0f}°")
    if place.distance_m is not None:
        cells.append(f"{place.distance_m:.0f} m from the query's own position")
    if place.inliers is not None:
        cells.append(counted(place.inliers, "inliers"))
    return [*cells, place.image]


def _seconds(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{flag} {text}: give a date such as 2024-05-31 or 2024-05-31T12:00, or seconds"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
