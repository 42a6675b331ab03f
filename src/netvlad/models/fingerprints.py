"""Whether a model is still the one that something was computed with."""

import json

from torch import nn

from netvlad.models.place_model import PlaceModel
from netvlad.storage import fingerprint


def weights_fingerprint(module: nn.Module) -> str:
    """A short name for all parameters and buffers of a module: 16 hexadecimal digits."""
    parts: list[bytes | str] = []
    for key, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        parts += [f"{key} {array.dtype} {array.shape}", array.tobytes()]
    return fingerprint(*parts)


def trunk_fingerprint(model: PlaceModel) -> str:
    """A short name for everything that the trunk's output of an image depends on."""
    return fingerprint(
        weights_fingerprint(model.encoder.trunk),
        repr([type(layer).__name__ for layer in model.encoder.trunk.modules()]),
        repr(model.preprocessing),
        repr(model.spec.resize),
        str(model.minimum_size),
    )


def model_fingerprint(model: PlaceModel) -> str:
    """A short name for everything that a descriptor depends on beside its image."""
    return fingerprint(
        weights_fingerprint(model),
        json.dumps(model.spec.to_json(), sort_keys=True),
        repr(model.preprocessing),
    )
