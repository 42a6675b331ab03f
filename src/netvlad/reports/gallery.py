"""Queries with their first answers, as a page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netvlad.errors import ImageError
from netvlad.evaluation import positives_of
from netvlad.images import read_image
from netvlad.reports.pictures import jpeg_uri
from netvlad.types import Matches, PlaceDataset

THUMBNAIL_HEIGHT = 120


@dataclass(frozen=True)
class Answer:
    """One database image that was returned.

    Attributes:
        picture: a data URI.
        caption: how far it is from the query.
        correct: whether it lies within the radius.
    """

    picture: str
    caption: str
    correct: bool


@dataclass(frozen=True)
class QueryRow:
    """A query and its first answers.

    Attributes:
        picture: a data URI.
        name: the query's file.
        answers: best first.
    """

    picture: str
    name: str
    answers: tuple[Answer, ...]


def query_rows(
    dataset: PlaceDataset,
    matches: Matches,
    queries: Sequence[int] | NDArray[np.int64],
    top: int = 5,
) -> list[QueryRow]:
    """The rows of a gallery, one for each of ``queries``."""
    positives = positives_of(dataset)
    rows = []
    for query in (int(q) for q in queries):
        right = set(positives.row(query).tolist())
        answers = tuple(
            Answer(
                thumbnail(dataset.database.path(index)),
                _distance(dataset, query, index),
                index in right,
            )
            for index in matches.indices[query, :top].tolist()
            if index >= 0
        )
        picture = thumbnail(dataset.queries.path(query))
        rows.append(QueryRow(picture, dataset.queries.names[query], answers))
    return rows


def thumbnail(path: object, height: int = THUMBNAIL_HEIGHT) -> str:
    """An image file as a small JPEG in a data URI; empty when it cannot be read."""
    try:
        picture = Image.fromarray(read_image(str(path)))
    except ImageError:
        return ""
    width = max(1, round(picture.width * height / picture.height))
    if picture.height != height:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return jpeg_uri(picture)


def _distance(dataset: PlaceDataset, query: int, index: int) -> str:
    if dataset.queries.positions is None or dataset.database.positions is None:
        return ""
    away = np.linalg.norm(dataset.queries.positions[query] - dataset.database.positions[index])
    return f"{away:.0f} m away" if np.isfinite(away) else "position unknown"
