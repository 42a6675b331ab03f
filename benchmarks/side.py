"""One measurement of one side in a process of its own: its peak memory is nobody else's.

``python -m benchmarks.side ours cache-refresh --work FOLDER`` prints one line of JSON.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.setting import BenchmarkError, Setting, from_environment
from benchmarks.timing import peak_mb

# "module:function", imported when it is called: what one side imports is not in the other's memory.
MEASUREMENTS: dict[str, dict[str, str]] = {
    "ours": {
        "layer-forward": "measure_layer:ours_forward",
        "layer-forward-backward": "measure_layer:ours_forward_backward",
        "mining": "measure_ours:mining",
        "trunk-build": "measure_ours:trunk_build",
        "cache-refresh": "measure_ours:cache_refresh",
        "step-cache": "measure_our_steps:step_cache",
        "training-steps": "measure_our_steps:training_steps",
        "evaluation": "measure_ours:evaluation",
    },
    "original": {
        "layer-forward": "measure_layer:original_forward",
        "layer-forward-backward": "measure_layer:original_forward_backward",
        "mining": "measure_original:mining",
        "cache-refresh": "measure_original:cache_refresh",
        "training-steps": "measure_original:training_steps",
        "evaluation": "measure_original:evaluation",
    },
    "both": {
        "facts": "measure_both:facts",
        "layer-check": "measure_layer:check",
        "mining-data": "measure_both:mining_data",
        "refresh-check": "measure_both:refresh_check",
        "floor": "floor:floor",
    },
}


def measurement(side: str, name: str) -> Callable[[Setting], dict[str, Any]]:
    """The function that measures."""
    module, function = MEASUREMENTS[side][name].split(":")
    found: Callable[[Setting], dict[str, Any]] = getattr(
        import_module(f"benchmarks.{module}"), function
    )
    return found


def measure(side: str, name: str, setting: Setting) -> dict[str, Any]:
    """Measure in this process; adds ``peak_mb``, of all the process did, where it is not told."""
    torch.set_num_threads(setting.threads)
    setting.work.mkdir(parents=True, exist_ok=True)
    found = measurement(side, name)(setting)
    if setting.device != "cpu":
        found["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return {"peak_mb": peak_mb(), **found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; 2 when something has to be put right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=MEASUREMENTS)
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, default=Path("build/bench-work"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("32", "bf16", "16"), default="32")
    typed = parser.parse_args(arguments)
    if typed.name not in MEASUREMENTS[typed.side]:
        parser.error(f"{typed.side} has no {typed.name}; {', '.join(MEASUREMENTS[typed.side])}")
    try:
        setting = from_environment(
            typed.work,
            threads=typed.threads,
            quick=typed.quick,
            device=typed.device,
            precision=typed.precision,
        )
        print(json.dumps(measure(typed.side, typed.name, setting)))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
