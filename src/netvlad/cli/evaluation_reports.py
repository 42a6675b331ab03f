"""What an evaluation leaves in its folder: a page, and beside it JSON, CSV and LaTeX."""

import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from netvlad.compute import Compute
from netvlad.errors import ImageError, StorageError
from netvlad.evaluation.comparison import Comparison
from netvlad.models.place_model import PlaceModel
from netvlad.reports.evaluation_files import write_results
from netvlad.reports.evaluation_gallery import Overlay
from netvlad.reports.evaluation_page import write_evaluation_page
from netvlad.reports.pictures import Picture
from netvlad.reports.saliency_picture import saliency_picture
from netvlad.types import Reporter

_PACKAGES = ("netvlad", "torch", "numpy", "scipy", "opencv-python-headless", "Pillow", "simplejpeg")
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
    comparisons: Sequence[Comparison],
    compute: Compute,
    report: Reporter,
) -> list[Path]:
    """The page, and beside it JSON, CSV and LaTeX; the page is the first of the paths.

    Raises:
        StorageError: they cannot be written.
    """
    told = provenance(compute)
    written = write_results(folder, comparisons, told)
    page = write_evaluation_page(
        folder / "index.html",
        comparisons,
        provenance=told,
        overlays=_overlays(comparisons),
        report=report,
    )
    return [page, *written]


def unreadable_in(comparisons: Sequence[Comparison]) -> int:
    """How many images could not be used, each counted once a comparison."""
    return sum(
        len({line for trial in one.trials for line in trial.evaluation.unreadable})
        for one in comparisons
    )


def _overlays(comparisons: Sequence[Comparison]) -> Mapping[str, Overlay]:
    """For each NetVLAD model, which parts of a query made it similar to its first answer."""

    def of(model: PlaceModel) -> Overlay:
        def overlay(query: Path, answer: Path) -> Picture | None:
            try:
                towards = model.describe(answer)
            except ImageError:
                return None
            return saliency_picture(query, model, _OVERLAY_SIDE, towards)

        return overlay

    found = [trial.competitor for one in comparisons for trial in one.trials]
    return {
        one.name: of(one.model)
        for one in found
        if isinstance(one.model, PlaceModel) and one.model.spec.pooling == "netvlad"
    }


def provenance(compute: Compute) -> dict[str, str]:
    """The command, versions, machine and date, by what a person calls them."""
    device = compute.torch_device()
    processor = platform.processor() or platform.machine()
    found = {
        "command": shlex.join(["netvlad", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "processor": f"{processor}, {os.cpu_count()} logical cores, {torch.get_num_threads()} used",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": compute.precision,
    }
    return {name: value for name, value in found.items() if value}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
