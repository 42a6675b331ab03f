"""From the photos that are asked about to queries: described, with what they say of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.index.asking import UNKNOWN, Query
from netvlad.index.naming import photo_facts
from netvlad.index.results import Answer
from netvlad.index.stores.store import Store
from netvlad.index.where import Where
from netvlad.models import OneImage, PlaceModel
from netvlad.types import ImageSet, Reporter, silent


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


@dataclass(frozen=True, eq=False)
class FileQueries:
    """Several image files that are asked about.

    Attributes:
        names: Q of them, as they were given.
        asked: those that can be used, described.
        at: which of the Q each of ``asked`` is.
        reasons: by number, why each of the others cannot be used.
    """

    names: tuple[str, ...]
    asked: list[Query]
    at: list[int]
    reasons: dict[int, str]

    def joined(self, answers: Sequence[Answer]) -> list[Answer]:
        """An answer for each of Q: those to ``asked``, and errors for the others."""
        found = dict(zip(self.at, answers, strict=True))
        return [
            found[i] if i in found else Answer(name, error=self.reasons[i])
            for i, name in enumerate(self.names)
        ]


def file_queries(
    model: PlaceModel,
    queries: Sequence[str | Path],
    *,
    heading: float | None = None,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> FileQueries:
    """Ask about several photos, described in one pass of the model.

    Args:
        model: the index's own.
        queries: Q image files.
        heading: the direction all of them look to; None reads each file's EXIF.
        compute: where and how.
        report: receives progress.
    """
    files = tuple(str(Path(query).absolute()) for query in queries)
    described = describe(
        model,
        ImageSet(Path(), files),
        compute=compute,
        stage="Describing queries",
        report=report,
    )
    good = np.flatnonzero(described.readable).tolist()
    asked = []
    for i in good:
        facts = photo_facts(Path(files[i]))
        if heading is not None:
            facts = replace(facts, heading=heading)
        descriptor = np.asarray(described.values[i], np.float32)
        asked.append(Query(str(queries[i]), descriptor, facts, Path(files[i])))
    reasons = {image.index: image.error.reason for image in described.unreadable}
    return FileQueries(tuple(str(query) for query in queries), asked, good, reasons)


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
