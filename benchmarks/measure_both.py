"""What belongs to neither side: counts, data for both, a check."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import torch

from benchmarks.mining_data import made_descriptors, write_hdf5, write_numpy
from benchmarks.original.refresh import DATASET
from benchmarks.samples import open_split, recipe, usable_queries
from benchmarks.setting import CHANNELS, NUM_CLUSTERS, Setting
from netvlad.training.mining import mining_task

Measured = dict[str, Any]
_PACKAGES = ("netvlad", "torch", "numpy", "faiss-cpu", "h5py", "Pillow")


def facts(setting: Setting) -> Measured:
    """The size of an epoch, and what it is measured on."""
    train = open_split(setting, "train")
    usable = usable_queries(mining_task(train, recipe(setting)))
    gpu = torch.cuda.get_device_name() if setting.device != "cpu" else None
    return {
        "images": len(train.database) + len(train.queries),
        "usable_queries": len(usable),
        "refreshes": -(-len(usable) // setting.sizes.block),
        "data": setting.data.resolve().name,
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or 0,
        "hardware_threads": psutil.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def mining_data(setting: Setting) -> Measured:
    """Descriptors of all train images, in a file for each side."""
    train = open_split(setting, "train")
    positions = train.database.joined(train.queries).positions
    assert positions is not None
    values = made_descriptors(positions, NUM_CLUSTERS * CHANNELS)
    setting.work.mkdir(parents=True, exist_ok=True)
    write_numpy(setting.work / "descriptors.npy", values)
    write_hdf5(setting.work / "descriptors.hdf5", values)
    return {"rows": len(values), "dim": values.shape[1]}


def refresh_check(setting: Setting) -> Measured:
    """How far the two refreshes' descriptors are apart (ours come from half precision)."""
    ours = np.load(setting.work / "refresh-ours.npy")
    with h5py.File(setting.work / "refresh.hdf5", "r") as file:
        original = file[DATASET][:]
    return {
        "largest_difference": float(np.abs(ours - original).max()),
        "largest_distance": float(np.linalg.norm(ours - original, axis=1).max()),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
