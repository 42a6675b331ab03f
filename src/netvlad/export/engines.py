"""What runs a network: torch, or an engine that is faster and gives the same descriptors."""

import contextlib
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError, StorageError
from netvlad.export.files import Runner, in_onnxruntime, require_agreement, write_onnx
from netvlad.export.module import fixed_size
from netvlad.models.describer import Describer, evaluating
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel
from netvlad.storage import locked, write_json
from netvlad.types import Note, Reporter, silent

WORTH_PREPARING = 1000
"""Images from which on ``auto`` takes the quarter of a minute to prepare engines."""

_PACKAGES = {"onnxruntime": "export", "openvino": "openvino"}
"""Of each engine but torch: what is imported, and the extra that brings it."""

_FILE, _RECORD = "model.onnx", "engines.json"
_BATCH, _TIMES = 8, 5


def engines_folder() -> Path:
    """Where prepared engines are kept: ``$XDG_CACHE_HOME/netvlad/engines``, or in ``~/.cache``."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = chosen if chosen.is_absolute() else Path.home() / ".cache"
    return base / "netvlad/engines"


@contextlib.contextmanager
def running(
    model: Describer, compute: Compute, count: int, report: Reporter = silent
) -> Iterator[None]:
    """Let the engine that ``compute`` asks for run a model within this block.

    Args:
        model: on its device.
        compute: ``engine`` is what is wanted; ``"auto"`` takes the fastest that was prepared, and
            prepares those that are installed where there are :data:`WORTH_PREPARING` images.
        count: how many images are to be described.
        report: receives a note when engines are prepared.

    Raises:
        SettingsError: an engine is asked for by name and cannot run this model here.
        ModelError: it does not give the model's descriptors.
    """
    engine = engine_of(model, compute, count, report)
    if engine is None or not isinstance(model, PlaceModel):
        yield
        return
    before, model.engine = model.engine, engine
    try:
        yield
    finally:
        model.engine = before


def engine_of(
    model: Describer, compute: Compute, count: int, report: Reporter = silent
) -> Callable[[Tensor], Tensor] | None:
    """The engine that :func:`running` lets run; None for torch. Args and errors: as there."""
    name = compute.engine
    if name == "torch":
        return None
    fits = (
        isinstance(model, PlaceModel) and model.device.type == "cpu" and compute.precision == "32"
    )
    if not fits or not isinstance(model, PlaceModel):
        if name == "auto":
            return None
        raise SettingsError(f"engine {name}: runs netvlad's own models, on the CPU in 32 bits")
    if name != "auto":
        _require_installed(name)
    folder = engines_folder() / model_fingerprint(model)
    milliseconds = _prepared(folder)
    if milliseconds is None or (name != "auto" and name not in milliseconds):
        if name == "auto" and (count < WORTH_PREPARING or not _installed()):
            return None
        try:
            milliseconds = prepare(model, folder, report)
        except (ModelError, StorageError, OSError) as error:
            if name != "auto":
                raise
            report(Note(f"engine: torch, because another cannot be prepared: {error}"))
            return None
    chosen = min(milliseconds, key=lambda engine: milliseconds[engine]) if name == "auto" else name
    if chosen not in milliseconds:
        raise ModelError(f"engine {chosen}: does not give this model's descriptors")
    return None if chosen == "torch" else _tensors(_opened(chosen, folder / _FILE))


def prepare(model: PlaceModel, folder: Path, report: Reporter = silent) -> dict[str, float]:
    """Export a model for the engines that are installed, check and time each.

    Args:
        model: in 32 bits on the CPU.
        folder: where the file and what was measured are kept, for later runs.
        report: receives a note of what was measured.

    Returns:
        milliseconds for an image of a batch, by engine, torch among them. Those that do not give
        the model's descriptors (:func:`~netvlad.export.files.require_agreement`) are left out.

    Raises:
        ModelError: the model cannot be exported.
        SettingsError: the packages that export are not installed.
        StorageError: the file cannot be written.
    """
    with locked(folder, "preparing engines"):
        write_onnx(model, folder / _FILE)
        height, width = fixed_size(model) or (240, 320)
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (_BATCH, 3, height, width), dtype=np.uint8)

        def by_torch(batch: Any) -> Any:
            with torch.inference_mode():
                return model(torch.from_numpy(batch)).numpy()

        with evaluating(model):
            milliseconds = {"torch": _timed(by_torch, images)}
            for name in _installed():
                run = _opened(name, folder / _FILE)
                try:
                    require_agreement(model, run)
                except ModelError as error:
                    report(Note(f"engine {name}: {error}"))
                    continue
                milliseconds[name] = _timed(run, images)
        write_json(folder / _RECORD, {"machine": _machine(), "milliseconds": milliseconds})
    told = ", ".join(f"{name} {time:.0f} ms" for name, time in milliseconds.items())
    report(Note(f"engines: {told} an image of {width}×{height}; kept in {folder}"))
    return milliseconds


def _timed(run: Runner, images: Any) -> float:
    run(images)
    times = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / len(images) * 1e3


def _prepared(folder: Path) -> dict[str, float] | None:
    """What was measured on this machine, of engines that are still installed."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if record["machine"] != _machine() or not (folder / _FILE).exists():
            return None
        usable = {"torch", *_installed()}
        return {name: float(ms) for name, ms in record["milliseconds"].items() if name in usable}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _machine() -> dict[str, Any]:
    """What times depend on: another processor, or another number of its cores."""
    return {
        "processor": platform.processor() or platform.machine(),
        "node": platform.node(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _installed() -> list[str]:
    return [name for name in _PACKAGES if importlib.util.find_spec(name) is not None]


def _require_installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise SettingsError(
            f"engine {name}: is not installed; pip install 'netvlad[{_PACKAGES[name]}]'"
        )


def _opened(name: str, path: Path) -> Runner:
    """An exported file, ready to run."""
    if name == "onnxruntime":
        return in_onnxruntime(path)
    import openvino  # noqa: PLC0415 (an extra)

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 take that by themselves
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda images: compiled(images)[0]


def _tensors(run: Runner) -> Callable[[Tensor], Tensor]:
    return lambda images: torch.from_numpy(run(np.ascontiguousarray(images.numpy())))
