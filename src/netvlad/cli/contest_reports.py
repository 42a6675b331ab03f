"""Writing what contests came to: a page, and beside it JSON, CSV and LaTeX."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from netvlad.cli.entrants import Entrant
from netvlad.cli.provenance import provenance
from netvlad.compute import Compute
from netvlad.errors import ImageError, StorageError
from netvlad.evaluation.comparison import Comparison
from netvlad.models.place_model import PlaceModel
from netvlad.reports.evaluation_cards import Overlay
from netvlad.reports.evaluation_files import write_results
from netvlad.reports.evaluation_page import write_evaluation_page
from netvlad.reports.pictures import Picture
from netvlad.reports.saliency_picture import saliency_picture
from netvlad.types import Reporter

_OVERLAY_SIDE = 220  # pixels; shown at half of that


def prepare_folder(folder: Path) -> None:
    """Make the folder of a report before an hour is spent on what goes into it.

    Raises:
        StorageError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_report(
    folder: Path,
    contests: Sequence[Comparison],
    entrants: Sequence[Entrant],
    compute: Compute,
    report: Reporter,
) -> list[Path]:
    """The page, and beside it JSON, CSV and LaTeX; the page is the first of the paths.

    Raises:
        StorageError: they cannot be written.
    """
    told = provenance(compute)
    written = write_results(folder, contests, told)
    page = write_evaluation_page(
        folder / "index.html",
        contests,
        provenance=told,
        overlays=_overlays(entrants),
        report=report,
    )
    return [page, *written]


def unreadable_in(contests: Sequence[Comparison]) -> int:
    """How many images could not be used, each counted once a contest."""
    return sum(
        len({line for trial in one.trials for line in trial.evaluation.unreadable})
        for one in contests
    )


def _overlays(entrants: Sequence[Entrant]) -> Mapping[str, Overlay]:
    """For each NetVLAD model, which parts of a query made it similar to its first answer."""

    def of(model: PlaceModel) -> Overlay:
        def overlay(query: Path, answer: Path) -> Picture | None:
            try:
                towards = model.describe(answer)
            except ImageError:
                return None
            return saliency_picture(query, model, _OVERLAY_SIDE, towards)

        return overlay

    return {
        entrant.competitor.name: of(entrant.model)
        for entrant in entrants
        if isinstance(entrant.model, PlaceModel) and entrant.model.spec.pooling == "netvlad"
    }
