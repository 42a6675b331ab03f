"""Files that programs other than netvlad run, ONNX and torch.export's, checked by running them."""

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from netvlad.errors import ModelError, SettingsError
from netvlad.export.module import dynamic_shapes, fixed_size, smallest_side, traced
from netvlad.models.describer import evaluating
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel
from netvlad.models.registry import BACKBONES
from netvlad.storage import written_beside

METADATA_FILE = "netvlad.json"
LARGEST_DIFFERENCE = 1e-4
SMALLEST_COSINE = 0.9999

_BATCH_SIZES = (1, 3)
# Odd and even, lying and standing.
_IMAGE_SIZES = ((96, 128), (131, 97), (160, 226))
_OCTAVES = 6

Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Runs the exported file on (B, 3, H, W) images."""


@dataclass(frozen=True)
class Agreement:
    """How close an exported file and its model are.

    Attributes:
        largest_difference: between two components of a descriptor.
        smallest_cosine: between two descriptors of one image.
        images: how many were compared.
    """

    largest_difference: float
    smallest_cosine: float
    images: int


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
        return require_agreement(model, in_onnxruntime(temporary))


def in_onnxruntime(path: Path) -> Runner:
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


def require_agreement(model: PlaceModel, run: Runner) -> Agreement:
    """Run both on noise and on picture-like images of two batch sizes and three image sizes.

    The model is used in evaluation mode and left in the mode it was in.

    Raises:
        ModelError: they differ by more than 1e-4 in a component, or a cosine is below 0.9999.
    """
    largest, smallest, count = 0.0, 1.0, 0
    with evaluating(model):
        for images in _test_batches(model):
            with torch.inference_mode():
                expected = model(torch.from_numpy(images)).cpu().numpy().astype(np.float64)
            found = run(images).astype(np.float64)
            if found.shape != expected.shape:
                raise ModelError(
                    f"the exported model gives descriptors of shape {found.shape} where "
                    f"{expected.shape} are expected; it was not kept"
                )
            # np.maximum and np.minimum hand a NaN on, unlike max and min.
            largest = float(np.maximum(largest, np.abs(found - expected).max()))
            smallest = float(np.minimum(smallest, (found * expected).sum(axis=1).min()))
            count += len(images)
    if not (largest <= LARGEST_DIFFERENCE and smallest >= SMALLEST_COSINE):
        raise ModelError(
            f"the exported model differs from torch by {largest:.1e} (allowed: "
            f"{LARGEST_DIFFERENCE:.0e}), smallest cosine {smallest:.6f}; it was not kept"
        )
    return Agreement(largest, smallest, count)


def _test_batches(model: PlaceModel) -> Iterator[NDArray[np.uint8]]:
    """(B, 3, H, W) uint8 images: of each batch the first is a picture, the others alternate."""
    random = np.random.default_rng(0)
    side = smallest_side(model)
    fixed = fixed_size(model)
    sizes = [(max(h, side), max(w, side)) for h, w in _IMAGE_SIZES] if fixed is None else [fixed]
    for batch_size in _BATCH_SIZES:
        for height, width in sizes:
            images = [
                _picture(random, height, width)
                if number % 2 == 0
                else random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                for number in range(batch_size)
            ]
            yield np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


def _picture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) noise with the spectrum of photos: each octave half as strong as the one below."""
    total = np.zeros((height, width, 3))
    for octave in range(_OCTAVES):
        cells = 2 ** (octave + 1)
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth) - 127.5) / 2**octave
    return np.clip(total + 127.5, 0, 255).astype(np.uint8)
