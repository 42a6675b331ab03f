"""Files that programs other than netvlad run: ONNX, and torch.export's."""

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from netvlad.errors import ModelError, SettingsError
from netvlad.export.checking import Agreement, Runner, require_agreement
from netvlad.export.module import dynamic_shapes, fixed_size, smallest_side, traced
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel
from netvlad.models.registry import BACKBONES
from netvlad.storage import written_beside

METADATA_FILE = "netvlad.json"


def write_torch_export(model: PlaceModel, path: str | Path) -> Agreement:
    """Write a model as an exported program, load it again and compare it with the model.

    The program takes and gives what :func:`~netvlad.export.files.write_onnx` says, and carries
    :func:`~netvlad.export.files.metadata` as JSON in its extra file ``netvlad.json``.

    Raises:
        ModelError: the file does not give the model's descriptors; no file is left.
        StorageError: the file cannot be written.
    """
    program = traced(model)
    with written_beside(Path(path)) as temporary:
        buffer = io.BytesIO()
        torch.export.save(
            program, buffer, extra_files={METADATA_FILE: json.dumps(metadata(model), indent=2)}
        )
        temporary.write_bytes(buffer.getbuffer())
        with temporary.open("rb") as file:
            loaded = torch.export.load(io.BytesIO(file.read())).module()
        return require_agreement(
            model, lambda images: loaded(torch.from_numpy(images)).detach().numpy()
        )


def metadata(model: PlaceModel) -> dict[str, str]:
    """Text by name: what goes in and out, and which model it is.

    Returns:
        ``input``, ``output``, ``arch``, ``pooling``, ``dim``, ``mean`` and ``std`` (JSON lists in
        0..255; the graph applies them), ``image_size`` (``"HEIGHTxWIDTH"`` or ``"any"``),
        ``minimum_side``, ``spec`` (JSON), ``fingerprint``, ``licence``, ``netvlad_version``.
    """
    fixed, resize = fixed_size(model), model.spec.resize
    sides = "H, W" if fixed is None else f"{fixed[0]}, {fixed[1]}"
    before = ""
    if fixed is not None:
        before = f"; resize photos to {fixed[0]}x{fixed[1]} (antialiased bilinear) before"
    elif resize is not None:
        before = f"; reduce photos to at most {resize} pixels a side (antialiased bilinear) before"
    return {
        "input": f"images: (batch, 3, {sides}) uint8 RGB, 0..255, EXIF rotation applied{before}",
        "output": f"descriptors: (batch, {model.descriptor_dim}) float32, L2-normalised",
        "arch": model.spec.arch,
        "pooling": model.spec.pooling,
        "dim": str(model.descriptor_dim),
        "mean": json.dumps(list(model.preprocessing.mean)),
        "std": json.dumps(list(model.preprocessing.std)),
        "image_size": "any" if fixed is None else f"{fixed[0]}x{fixed[1]}",
        "minimum_side": str(min(fixed) if fixed is not None else smallest_side(model)),
        "spec": json.dumps(model.spec.to_json(), sort_keys=True),
        "fingerprint": model_fingerprint(model),
        "licence": _licence(model),
        "netvlad_version": version("netvlad"),
    }


def _licence(model: PlaceModel) -> str:
    """The terms of the weights that the backbone usually starts from: a model does not say more."""
    record = BACKBONES.get(model.spec.arch)
    published = None if record is None else record.weights.get("imagenet")
    if model.spec.from_scratch or published is None:
        return "that of the weights' owner"
    return f"that of the weights' owner; published {model.spec.arch} weights: {published.licence}"


OPSET = 18
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def write_onnx(model: PlaceModel, path: str | Path) -> Agreement:
    """Write a model as one ONNX file, run it in onnxruntime and compare it with torch.

    The graph takes ``images`` (batch, 3, height, width) uint8 RGB and gives ``descriptors`` (batch,
    D) float32, L2-normalised: preprocessing, aggregation and whitening are inside. Batch, height
    and width are free; with a fixed ``spec.resize``, images of that very size are expected. What
    :func:`~netvlad.export.files.metadata` says is in its ``metadata_props``.

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
    with written_beside(Path(path)) as temporary:
        program.save(temporary, external_data=False)
        return require_agreement(model, _in_onnxruntime(temporary))


def _in_onnxruntime(path: Path) -> Runner:
    """An ONNX file in onnxruntime, on the CPU."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["descriptors"], {"images": images})[0]


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
