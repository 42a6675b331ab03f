"""The page that ``netvlad datasets show`` writes: what a data set looks like."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from netvlad.geography import radius_neighbours
from netvlad.reports.pages import write_page
from netvlad.reports.pictures import small_picture
from netvlad.reports.plots import Plot, histogram, images_map
from netvlad.reports.printable import printable
from netvlad.types import ImageSet, PlaceDataset, Progress, Reporter, counted, silent

THUMBNAILS = 400
"""How many pictures the page holds, half of them queries."""

_FIRST = 24  # shown before somebody wants to see all

_SIDE = 280
_MOST_WORDS = 30


def write_dataset_page(path: Path, dataset: PlaceDataset, *, report: Reporter = silent) -> Path:
    """Write one split as a self-contained page: map, histograms and contact sheets.

    The pictures are taken at even distances from each list, so the page is the same each time.

    Args:
        path: the page, which is returned, too.
        dataset: the split.
        report: called with the progress.

    Raises:
        StorageError: it cannot be written.
    """
    database, queries = _positions(dataset.database), _positions(dataset.queries)
    return write_page(
        path,
        "dataset.html",
        name=printable(dataset.name),
        split=printable(dataset.split),
        database=len(dataset.database),
        queries=len(dataset.queries),
        radius="" if dataset.positives is not None else f"{dataset.radius_m:g} m",
        zone=dataset.database.utm_zone or "",
        unknown=int(np.isnan(np.concatenate([database, queries])).any(axis=1).sum()),
        map=images_map(database, queries),
        charts=_charts(dataset, database, queries),
        sheets=_sheets(dataset, report),
        first=_FIRST,
        conditions=_conditions(dataset),
        notes=[printable(note) for note in dataset.notes],
    )


def _positions(images: ImageSet) -> NDArray[np.float64]:
    return np.full((len(images), 2), np.nan) if images.positions is None else images.positions


def _charts(
    dataset: PlaceDataset, database: NDArray[np.float64], queries: NDArray[np.float64]
) -> list[Plot]:
    charts = []
    radius = dataset.radius_m if dataset.positives is None else None
    away = _nearest(queries, database)
    if len(away):
        title, within = "From each query to the nearest database image", ""
        if radius is not None:
            within = f"; {(away <= radius).mean():.1%} of them within {radius:g} m"
        text = f"Median {np.median(away):.1f} m{within}."
        charts.append(histogram(title, text, away, "m", mark=radius))
    places = np.unique(database[np.isfinite(database).all(axis=1)], axis=0)
    if len(places) > 1:
        apart = np.asarray(cKDTree(places).query(places, k=2)[0], np.float64)[:, 1]
        title = "From each database position to the next one"
        text = f"Median {np.median(apart):.1f} m; {len(places)} different positions for "
        text += f"{counted(len(dataset.database), 'images')}."
        charts.append(histogram(title, text, apart, "m"))
    counts = _positive_counts(dataset, database, queries)
    if len(counts):
        title, none = "Correct database images of each query", int((counts == 0).sum())
        text = f"Median {np.median(counts):.0f}; {none} of {len(counts)} queries have none."
        charts.append(histogram(title, text, counts.astype(np.float64), "images", whole=True))
    return charts


def _nearest(queries: NDArray[np.float64], database: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres from each query that has a position to the nearest database image that has one."""
    queries, database = (p[np.isfinite(p).all(axis=1)] for p in (queries, database))
    if len(queries) == 0 or len(database) == 0:
        return np.zeros(0)
    return np.atleast_1d(np.asarray(cKDTree(database).query(queries)[0], np.float64))


def _positive_counts(
    dataset: PlaceDataset, database: NDArray[np.float64], queries: NDArray[np.float64]
) -> NDArray[np.int64]:
    if dataset.positives is not None:
        return dataset.positives.counts()
    if np.isnan(database).all() or np.isnan(queries).all():
        return np.zeros(0, np.int64)
    return radius_neighbours(queries, database, dataset.radius_m).counts()


def _sheets(dataset: PlaceDataset, report: Reporter) -> list[tuple[str, int, list[Any]]]:
    chosen = []
    for title, images in (("Database", dataset.database), ("Queries", dataset.queries)):
        count = min(THUMBNAILS // 2, len(images))
        places = np.linspace(0, len(images) - 1, count).round().astype(np.int64)
        # What is shown at first comes from the whole list, too.
        first = np.linspace(0, count - 1, min(_FIRST, count)).round().astype(np.int64)
        chosen.append(
            (title, images, [*places[first].tolist(), *np.delete(places, first).tolist()])
        )
    total, done = sum(len(rows) for _, _, rows in chosen), 0
    sheets = []
    for title, images, rows in chosen:
        thumbnails = []
        for row in rows:
            thumbnails.append(_thumbnail(images, row))
            done += 1
            report(Progress("Reading pictures", done, total))
        sheets.append((title, len(images), thumbnails))
    return sheets


def _thumbnail(images: ImageSet, row: int) -> dict[str, Any]:
    heading = ""
    if images.headings is not None and np.isfinite(images.headings[row]):
        heading = f"{images.headings[row] % 360:.0f}°"
    picture = small_picture(images.path(row), _SIDE)
    return {"picture": picture, "name": printable(images.names[row]), "heading": heading}


def _conditions(dataset: PlaceDataset) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """For each label with few words: the word, and how many database images and queries it has."""
    tables = []
    for label in dict.fromkeys([*dataset.database.labels, *dataset.queries.labels]):
        counted: list[dict[str, int]] = []
        for images in (dataset.database, dataset.queries):
            words = images.labels.get(label, np.zeros(0, np.str_))
            found, counts = np.unique(words, return_counts=True)
            counted.append(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        words_of_both = sorted({*counted[0], *counted[1]})
        if 1 < len(words_of_both) <= _MOST_WORDS:
            rows = [
                (w or "unknown", counted[0].get(w, 0), counted[1].get(w, 0)) for w in words_of_both
            ]
            tables.append((label, rows))
    return tables
