"""Comparisons whose every rank can be told: images on a line, and models that look too far.

Query ``i`` shows place ``i // per_place``; the database has an image of each place, 100 m apart. A
model describes an image by its place, and a query by its place plus a jump plus a tenth: places are
then answered in the order p + jump, p + jump + 1, p + jump − 1, ..., so that the first correct
answer has the rank 2 × jump (0 is the first), and none is among 20 where the jump is 10 or more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netvlad.evaluation.comparison import Comparison, Competitor, compare_evaluations
from netvlad.evaluation.evaluate import Evaluation, evaluate
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.recall import CUTOFFS
from netvlad.types import ImageSet, Neighbours, PlaceDataset

MARGIN = 20


def line_dataset(
    places: int,
    per_place: int = 1,
    *,
    located: bool = True,
    labels: Mapping[str, Sequence[str]] | None = None,
    name: str = "line",
) -> PlaceDataset:
    """``places`` × ``per_place`` queries; without positions the correct answers are listed."""
    shown = np.repeat(np.arange(places), per_place)
    size = places + MARGIN

    def images(prefix: str, numbers: NDArray[np.int64], offset_m: float) -> ImageSet:
        positions = np.column_stack([100.0 * numbers + offset_m, np.zeros(len(numbers))])
        names = tuple(f"{prefix}/{i}.jpg" for i in range(len(numbers)))
        return ImageSet(Path("/data"), names, positions if located else None)

    queries = images("queries", shown, 3.0)
    listed = Neighbours(np.arange(len(shown) + 1), shown)
    return PlaceDataset(
        name,
        "test",
        images("database", np.arange(size), 0.0),
        replace(queries, labels={k: np.array(words) for k, words in (labels or {}).items()}),
        positives=None if located else listed,
    )


def line_evaluation(
    dataset: PlaceDataset,
    jumps: NDArray[np.floating],
    protocol: Protocol | str | None = None,
    *,
    one_percent: bool = False,
) -> Evaluation:
    """A model that jumps so far at each query; NaN is an image without descriptor."""
    places = len(dataset.database) - MARGIN
    shown = np.repeat(np.arange(places), len(dataset.queries) // places)
    return evaluate(
        (
            np.arange(len(dataset.database), dtype=np.float32)[:, None],
            (shown + np.asarray(jumps) + 0.1).astype(np.float32)[:, None],
        ),
        dataset,
        protocol=protocol,
        one_percent=one_percent,
    )


def line_comparison(
    dataset: PlaceDataset,
    jumps: Mapping[str, NDArray[np.floating]],
    protocol: Protocol | str | None = None,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
) -> Comparison:
    """Models by name."""
    return compare_evaluations(
        [
            (Competitor(name, f"runs/{name}"), line_evaluation(dataset, their, protocol))
            for name, their in jumps.items()
        ],
        cutoffs=cutoffs,
    )
