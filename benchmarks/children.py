"""A measurement in a child process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.setting import BenchmarkError, Setting

ROOT = Path(__file__).resolve().parents[1]
# numpy's and faiss's matrix products count their threads themselves.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measure_in_child(side: str, name: str, setting: Setting) -> dict[str, Any]:
    """Run ``python -m benchmarks.side`` and read its line.

    Raises:
        BenchmarkError: it failed; the message ends with the last line it wrote.
    """
    command = [sys.executable, "-m", "benchmarks.side", side, name]
    command += ["--work", str(setting.work.resolve()), "--threads", str(setting.threads)]
    command += ["--device", setting.device, "--precision", setting.precision]
    if setting.quick:
        command.append("--quick")
    environment = {
        **os.environ,
        **dict.fromkeys(_THREAD_VARIABLES, str(setting.threads)),
        "NETVLAD_BENCH_DATA": str(setting.data.resolve()),
        "NETVLAD_BENCH_WEIGHTS": str(setting.weights.resolve()),
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise BenchmarkError(f"{side} {name}: {last.removeprefix('benchmarks: ')}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
