"""What is worth knowing beside the seven rows."""

from collections.abc import Mapping
from typing import Any

from benchmarks.rows import ORIGINAL, OURS, Results, epoch_parts
from benchmarks.setting import Setting


def details(results: Results, setting: Setting, load_before: float) -> dict[str, Any]:
    """The machine, the samples, and every single figure; plain JSON.

    Args:
        results: all measurements of the run, whichever there were.
        setting: of the run.
        load_before: processes that kept the machine busy when the run began.
    """
    found: dict[str, Any] = {
        "machine": _without_memory(results["facts"]["both"]),
        "threads": setting.threads,
        "quick": setting.quick,
        "load_before": round(load_before, 2),
        "sizes": {name: _plain(value) for name, value in vars(setting.sizes).items()},
        "measurements": _measurements(results),
    }
    if {"mining", "cache-refresh", "training-steps", "trunk-build"} <= results.keys():
        found["epoch"] = {side: epoch_parts(results, side) for side in (OURS, ORIGINAL)}
    if "evaluation" in results:
        found["same_first_answers"] = _agreement(results)
    if "floor" in results:
        found["floor"] = _without_memory(results["floor"]["both"])
    return found


def _measurements(results: Results) -> dict[str, Any]:
    return {
        name: {
            side: {key: value for key, value in one.items() if key != "answers"}
            for side, one in sides.items()
        }
        for name, sides in results.items()
        if name not in ("facts", "floor")
    }


def _without_memory(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Nobody compares the memory of what has one side."""
    return {key: value for key, value in figures.items() if key != "peak_mb"}


def _agreement(results: Results) -> float:
    """The share of the first five answers of all queries that both sides give alike."""
    ours, original = (results["evaluation"][side]["answers"] for side in (OURS, ORIGINAL))
    pairs = [
        first == second
        for row, other in zip(ours, original, strict=True)
        for first, second in zip(row, other, strict=True)
    ]
    return float(sum(pairs) / len(pairs))


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
