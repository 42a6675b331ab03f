"""From what was measured to the seven rows that are reported."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

OURS, ORIGINAL = "ours", "original"
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Measurement -> side -> what it returned."""


@dataclass(frozen=True)
class Measurement:
    """What is run for some rows.

    Attributes:
        name: as ``benchmarks.side`` knows it.
        sides: who is measured, in this order.
        rounds: how often, the sides in turn; seconds are the median, megabytes the largest.
    """

    name: str
    sides: tuple[str, ...] = (OURS, ORIGINAL)
    rounds: int = 1


@dataclass(frozen=True)
class Row:
    """One line of the table, and of the JSON file. A ratio above 1 means that ours is faster."""

    name: str
    ours_seconds: float
    original_seconds: float
    ratio: float
    ours_peak_mb: float
    original_peak_mb: float

    def to_json(self) -> dict[str, str | float]:
        """The fields, by name."""
        return asdict(self)


_BOTH = ("both",)
MEASUREMENTS = {
    measurement.name: measurement
    for measurement in (
        Measurement("facts", _BOTH),
        Measurement("layer-check", _BOTH),
        Measurement("layer-forward", rounds=3),
        Measurement("layer-forward-backward", rounds=3),
        Measurement("mining-data", _BOTH),
        Measurement("mining", rounds=3),
        Measurement("trunk-build", (OURS,)),
        Measurement("cache-refresh"),
        Measurement("refresh-check", _BOTH),
        Measurement("step-cache", (OURS,)),
        Measurement("training-steps"),
        Measurement("evaluation"),
        Measurement("floor", _BOTH),
    )
}
"""In the order in which they run; later ones use files of earlier ones."""

_EPOCH = ("mining-data", "mining", "trunk-build", "cache-refresh", "step-cache", "training-steps")
ROWS: dict[str, tuple[str, ...]] = {
    "layer-forward": ("layer-check", "layer-forward"),
    "layer-forward-backward": ("layer-check", "layer-forward-backward"),
    "mining-per-query": ("mining-data", "mining"),
    "cache-refresh": ("trunk-build", "cache-refresh", "refresh-check"),
    "training-epoch": _EPOCH,
    "training-epoch-with-cache-build": _EPOCH,
    "evaluation": ("evaluation",),
}
"""The rows, and what has to be measured for each."""


def titles(sizes: Mapping[str, Any]) -> dict[str, str]:
    """What each row times, for samples of these sizes."""
    return {
        "layer-forward": (f"NetVLAD layer, {sizes['layer_images']} maps of 512×15×20, 64 clusters"),
        "layer-forward-backward": "the same with gradients",
        "mining-per-query": "positive and hard negatives of one query",
        "cache-refresh": f"describing {sum(sizes['refresh'])} train images again",
        "training-epoch": "an epoch of the train split, scaled from samples",
        "training-epoch-with-cache-build": "the first epoch: trunk cache included",
        "evaluation": f"describing and searching {sum(sizes['evaluation'])} images of val",
    }


def needed(names: tuple[str, ...]) -> list[Measurement]:
    """What to measure for the rows ``names``, in order; the facts always."""
    wanted = {"facts"}.union(*(ROWS[name] for name in names))
    return [measurement for name, measurement in MEASUREMENTS.items() if name in wanted]


def combined(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Several rounds of one measurement as one: median times, the largest memory."""
    found = dict(rounds[-1])
    for key in found:
        if key == "peak_mb":
            found[key] = max(r[key] for r in rounds)
        elif key == "seconds" or key.endswith("_seconds"):
            found[key] = statistics.median(r[key] for r in rounds)
    if len(rounds) > 1:
        found["rounds"] = [r["seconds"] for r in rounds]
    return found


def epoch_parts(results: Results, side: str) -> dict[str, float]:
    """Seconds of a whole epoch of the train split by what they go into.

    Every cost grows linearly with the number of images or queries, so samples are scaled: all
    train images are described at each refresh, and each usable query is mined and stepped once.
    """
    facts = results["facts"]["both"]
    described = facts["images"] * facts["refreshes"]
    parts = {
        "refresh": described * results["cache-refresh"][side]["per_image"],
        "mining": facts["usable_queries"] * results["mining"][side]["seconds"],
        "steps": facts["usable_queries"] * results["training-steps"][side]["per_query"],
        "cache build": 0.0,
    }
    if side == OURS:
        parts["cache build"] = facts["images"] * results["trunk-build"][OURS]["per_image"]
    return parts


def build_row(name: str, results: Results) -> Row:
    """One row of what was measured for it."""
    ours, original = (_seconds(name, results, side) for side in (OURS, ORIGINAL))
    return Row(
        name=name,
        ours_seconds=ours,
        original_seconds=original,
        ratio=original / ours,
        ours_peak_mb=_peak(name, results, OURS),
        original_peak_mb=_peak(name, results, ORIGINAL),
    )


def _seconds(name: str, results: Results, side: str) -> float:
    if name == "training-epoch":
        parts = epoch_parts(results, side)
        return sum(parts.values()) - parts["cache build"]
    if name == "training-epoch-with-cache-build":
        return sum(epoch_parts(results, side).values())
    return float(results[_main(name)][side]["seconds"])


def _peak(name: str, results: Results, side: str) -> float:
    """An epoch's peak is the largest of its parts; each had a process of its own."""
    parts = {
        "training-epoch": ("mining", "cache-refresh", "training-steps"),
        "training-epoch-with-cache-build": (
            "trunk-build",
            "mining",
            "cache-refresh",
            "training-steps",
        ),
    }.get(name, (_main(name),))
    return max(float(results[p][side]["peak_mb"]) for p in parts if side in results[p])


def _main(name: str) -> str:
    return "mining" if name == "mining-per-query" else name
