"""What is needed to repeat a result, and what it was computed with."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import torch

from netvlad.compute import Compute

_PACKAGES = ("netvlad", "torch", "numpy", "scipy", "opencv-python-headless", "Pillow", "simplejpeg")


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
