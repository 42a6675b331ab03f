"""All measurements of a run, one after the other."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.rows import Measurement, combined
from benchmarks.setting import Setting
from benchmarks.table import duration

Measure = Callable[[str, str, Setting], dict[str, Any]]
"""Takes a side and the name of a measurement."""


def measured(
    measurements: Sequence[Measurement], setting: Setting, measure: Measure
) -> dict[str, dict[str, dict[str, Any]]]:
    """Measurement -> side -> figures; tells on stderr how far it is."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for number, measurement in enumerate(measurements, start=1):
        rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in measurement.sides}
        for _ in range(1 if setting.quick else measurement.rounds):
            for side in measurement.sides:
                started = time.perf_counter()
                found = measure(side, measurement.name, setting)
                rounds[side].append(found)
                figure = f": {duration(found['seconds'])}" if "seconds" in found else ""
                print(
                    f"[{number}/{len(measurements)}] {measurement.name}, {side}{figure} "
                    f"({duration(time.perf_counter() - started)} in all)",
                    file=sys.stderr,
                )
        results[measurement.name] = {side: combined(some) for side, some in rounds.items()}
    return results
