"""ONNX: a file that onnxruntime, TensorRT, OpenVINO and others run without Python or torch."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import ModelError, SettingsError
from netvlad.export.checking import Agreement, require_agreement
from netvlad.export.metadata import metadata
from netvlad.export.module import dynamic_shapes, traced
from netvlad.models.place_model import PlaceModel
from netvlad.storage import written_beside

OPSET = 18
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def write_onnx(model: PlaceModel, path: Path) -> Agreement:
    """Write a model as one ONNX file, run it in onnxruntime and compare it with torch.

    The graph takes ``images`` (batch, 3, height, width) uint8 RGB and gives ``descriptors`` (batch,
    D) float32, L2-normalised: preprocessing, aggregation and whitening are inside. Batch, height
    and width are free; with a fixed ``spec.resize``, images of that very size are expected. What
    :func:`~netvlad.export.metadata.metadata` says is in its ``metadata_props``.

    Returns:
        How close the file and torch are.

    Raises:
        SettingsError: the packages for ONNX are not installed.
        ModelError: the model cannot be exported, or the file does not give the model's
            descriptors; no file is left.
        StorageError: the file cannot be written.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"--format onnx needs {', '.join(missing)}: pip install 'netvlad[export]'"
        )
    with _quiet():
        program = torch.onnx.export(
            traced(model),
            (),
            dynamo=True,
            dynamic_shapes=dynamic_shapes(model),
            input_names=["images"],
            output_names=["descriptors"],
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{path}: torch gave no ONNX program for this model")
    program.model.metadata_props.update(metadata(model))
    with written_beside(path) as temporary:
        program.save(temporary, external_data=False)
        return require_agreement(model, _Session(temporary).run)


class _Session:
    """An ONNX file in onnxruntime, on the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime  # noqa: PLC0415 (an extra)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe (B, 3, H, W) images."""
        descriptors: NDArray[np.float32]
        (descriptors,) = self._session.run(["descriptors"], {"images": images})
        return descriptors


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages and opsets that this model does not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
