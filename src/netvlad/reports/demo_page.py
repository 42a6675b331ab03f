"""The page that ``netvlad demo`` writes."""

from pathlib import Path
from typing import Protocol

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from netvlad.evaluation import Evaluation, positives_of
from netvlad.evaluation.recall import first_correct
from netvlad.reports.figures import AnswerMap, curve_svg
from netvlad.reports.gallery import QueryRow, query_rows
from netvlad.reports.pages import write_page
from netvlad.training.state import TrainingState
from netvlad.types import PlaceDataset

ROWS = 6


class Demonstration(Protocol):
    """What the page needs to know of a demo."""

    @property
    def test(self) -> PlaceDataset: ...  # noqa: D102
    @property
    def before(self) -> Evaluation: ...  # noqa: D102
    @property
    def after(self) -> Evaluation: ...  # noqa: D102
    @property
    def training(self) -> TrainingState: ...  # noqa: D102


def write_demo_page(path: Path, demo: Demonstration) -> Path:
    """Write the page: the table, the curve, two maps, and queries with their top five.

    Raises:
        StorageError: it cannot be written.
    """
    before, after = (_ranks(demo.test, e) for e in (demo.before, demo.after))
    history = [row for row in demo.training.history if "recall@1" in row]
    galleries = [
        (
            "Learned",
            "Wrong before training, right after. Answers of the trained model, best first.",
            _rows(demo, np.flatnonzero((before > 0) & (after == 0))),
        ),
        (
            "Still wrong",
            "Queries whose first answer is wrong after training.",
            _rows(demo, np.flatnonzero(after > 0)),
        ),
        ("Right all along", "", _rows(demo, np.flatnonzero((before == 0) & (after == 0)))),
    ]
    return write_page(
        path,
        "demo.html",
        arch="EfficientNet-Lite0",
        dim=demo.after.descriptor_dim,
        epochs=demo.training.history,
        gain=demo.after.recalls.at[1] - demo.before.recalls.at[1],
        before=demo.before.recalls,
        after=demo.after.recalls,
        radius=demo.test.radius_m,
        curve=Markup(
            curve_svg(
                {f"R@{n}": [row[f"recall@{n}"] for row in history] for n in (5, 1)},
                [row["epoch"] for row in history],
            )
        ),
        map_before=Markup(_map(demo.test, demo.before, before == 0)),
        map_after=Markup(_map(demo.test, demo.after, after == 0)),
        galleries=galleries,
    )


def _rows(demo: Demonstration, queries: NDArray[np.int64]) -> list[QueryRow]:
    return query_rows(demo.test, demo.after.matches, queries[:ROWS])


def _ranks(dataset: PlaceDataset, evaluation: Evaluation) -> NDArray[np.int64]:
    return first_correct(evaluation.matches, positives_of(dataset))


def _map(dataset: PlaceDataset, evaluation: Evaluation, correct: NDArray[np.bool_]) -> str:
    assert dataset.database.positions is not None
    assert dataset.queries.positions is not None
    return AnswerMap(
        dataset.database.positions,
        dataset.queries.positions,
        evaluation.matches.indices[:, 0],
        correct,
    ).to_svg()
