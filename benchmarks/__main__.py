"""Ours against the original's way, in the same run on the same data: a table and a JSON file.

The data are read from the folder in NETVLAD_BENCH_DATA (csv layout, splits train and val), the
weights from the folder in NETVLAD_BENCH_WEIGHTS.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.children import ROOT, measure_in_child
from benchmarks.details import details
from benchmarks.rows import MEASUREMENTS, ROWS, build_row, needed
from benchmarks.running import Measure, measured
from benchmarks.setting import BenchmarkError, Setting, from_environment
from benchmarks.table import rows_table
from netvlad.storage import write_json


def main(arguments: Sequence[str] | None = None, measure: Measure = measure_in_child) -> int:
    """Measure, print, write; 2 when something has to be put right."""
    typed = _parser().parse_args(arguments)
    # What is not the whole suite never takes the whole suite's place.
    usual = "bench-partial.json" if typed.quick or typed.only else "bench.json"
    output = typed.output or ROOT / "build" / usual
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=output.parent) as work:
            setting = from_environment(Path(work), threads=typed.threads, quick=typed.quick)
            names = tuple(typed.only or ROWS)
            _run(setting, names, output, measure, complete=not typed.only)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def _run(
    setting: Setting, names: tuple[str, ...], output: Path, measure: Measure, *, complete: bool
) -> None:
    load = os.getloadavg()[0]
    measurements = needed(names)
    if complete:
        measurements.append(MEASUREMENTS["floor"])
    results = measured(measurements, setting, measure)
    rows = [build_row(name, results) for name in names]
    more = details(results, setting, load)
    write_json(output, [row.to_json() for row in rows])
    write_json(output.with_name(f"{output.stem}-details.json"), more)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(rows_table(rows, more))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=ROWS, help="this row; may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny samples: does it run at all?")
    parser.add_argument("--threads", type=int, default=2, help="on both sides (default: 2)")
    parser.add_argument("--output", type=Path, help="the JSON file (default: build/bench.json)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
