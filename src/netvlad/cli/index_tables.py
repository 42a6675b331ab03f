"""What ``netvlad index`` prints."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from netvlad.cli.console import facts_table, table_of
from netvlad.evaluation.confidence import ConfidenceMeasures
from netvlad.index.build import Change
from netvlad.index.places import Places
from netvlad.search.tuning import Trial


def change_line(name: str, change: Change) -> str:
    """What a build or an addition did to the index called ``name``."""
    done = [f"added {change.added}"]
    for count, what in (
        (change.replaced, "described again because the file has changed"),
        (change.unchanged, "there already"),
        (change.updated, "with other positions, headings, times or tags than before"),
        (len(change.skipped), "skipped because they cannot be used"),
    ):
        if count:
            done.append(f"{count} {what}")
    described = change.added + change.replaced
    if described and change.seconds > 0:
        done.append(f"{described / change.seconds:.1f} photos/s")
    if change.extracting_s >= 1:
        done.append(f"local features in {change.extracting_s:.0f} s")
    return f"{name}: " + ", ".join(done)


def info_table(name: str, figures: dict[str, Any]) -> Table:
    """The figures of ``netvlad index info``, for people."""
    model = figures["model"]
    clusters = f" {model['num_clusters']}" if model["pooling"] == "netvlad" else ""
    whitened = " whitened in part" if model.get("whitened_directions") else ""
    rows = {
        "places": f"{figures['places']}",
        "with a position": f"{figures['with_position']}",
        "with a heading": f"{figures['with_heading']}",
        "with a time": f"{figures['with_time']}",
        "model": f"{model['arch']}, {model['pooling']}{clusters}{whitened}",
        "fingerprint": figures["model_fingerprint"],
        "descriptors": f"{figures['dim']} dimensions in {figures['storage']} bits",
        "search": figures["search"],
        "probabilities": "fitted to this index" if figures["calibrated"] else "by default",
        "made": figures["created"],
    }
    if "generation" in figures:
        rows["rows of removed photos"] = f"{figures['removed_rows']}"
        megabytes = f"{figures['features_bytes'] / 1e6:.1f} MB"
        rows["local features"] = (
            f"{figures['features']}, {megabytes}" if figures["features"] else ""
        )
        rows["generation"] = f"{figures['generation']}, written {figures['updated']}"
        rows["size"] = f"{figures['size_bytes'] / 1e6:.1f} MB"
    if figures["bounding_box"]:
        south, west, north, east = figures["bounding_box"]
        rows["south, west"] = f"{south}, {west}"
        rows["north, east"] = f"{north}, {east}"
    if figures["times"]:
        rows["taken"] = " to ".join(_date(value) for value in figures["times"])
    return facts_table(name, rows)


def place_lines(places: Places) -> Iterator[str]:
    """One place on a line, columns separated by tabs; what is unknown is empty."""
    for row in map(places.row, range(len(places))):
        numbers = (row[name] for name in ("latitude", "longitude", "heading", "time"))
        cells = ("" if number is None else f"{number:.10g}" for number in numbers)
        yield "\t".join([row["image"], *cells, ";".join(row["tags"] or ())])


def trial_table(title: str, trials: Sequence[Trial]) -> Table:
    """Ways to search, a row each."""
    numbers = ["breadth", "re-scored", "R@1", f"R@{trials[0].at}", "p50 ms", "p99 ms"]
    numbers += ["build s", "MB"]
    rows = (
        (
            trial.kind,
            *((f"{trial.breadth}", f"{trial.rescored}") if trial.kind != "exact" else ("", "")),
            f"{trial.recall_at_1:.4f}",
            f"{trial.recall:.4f}",
            f"{trial.p50_ms:.2f}",
            f"{trial.p99_ms:.2f}",
            f"{trial.build_s:.1f}",
            f"{trial.megabytes:.1f}",
        )
        for trial in trials
    )
    return table_of(title, ["search", *numbers], rows, right=numbers)


def confidence_table(title: str, measures: ConfidenceMeasures) -> Table:
    """How good probabilities are."""
    low, high = measures.ece_interval
    facts = {
        "answers": f"{measures.answers}",
        "of these right": f"{measures.right}",
        "expected calibration error": f"{measures.ece:.3f} ({low:.3f} to {high:.3f})",
        "area under the ROC curve": f"{measures.auc:.3f}",
        "recall at 100 % precision": f"{measures.recall_at_full_precision:.3f}",
    }
    return facts_table(title, facts, justify="right")


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
