"""What an exported file says about itself."""

import json
from importlib.metadata import version

from netvlad.export.module import fixed_size, smallest_side
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel
from netvlad.models.registry import BACKBONES


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
