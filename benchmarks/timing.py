"""Seconds and megabytes, taken the same way on both sides."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch


def synchronise(device: str) -> None:
    """Wait for a GPU; what was started there would otherwise not be in the time."""
    if device != "cpu":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], *, device: str = "cpu") -> float:
    """Wall time of one call."""
    synchronise(device)
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started


def median_seconds(
    work: Callable[[], object], *, repeats: int, warm_up: int = 1, device: str = "cpu"
) -> float:
    """Median wall time of ``repeats`` calls, after ``warm_up`` calls that do not count."""
    for _ in range(warm_up):
        work()
    return statistics.median(seconds_of(work, device=device) for _ in range(repeats))


def peak_mb() -> float:
    """The most memory this process has had in RAM, in megabytes (10⁶ bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            # getrusage's figure begins with what the parent had when it started this process.
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
