"""Whether a model is still the one that something was computed with."""

import io

import torch
from torch import Tensor, nn

from netvlad.errors import ModelError
from netvlad.models.describer import Describer
from netvlad.models.place_model import PlaceModel
from netvlad.storage import fingerprint


def weights_fingerprint(module: nn.Module | Describer) -> str:
    """A short name for all parameters and buffers of a module: 16 hexadecimal digits.

    Raises:
        ModelError: a part of its state is neither a tensor nor can be written to a file.
    """
    state = sorted(module.state_dict().items())
    return fingerprint(*(part for key, value in state for part in _content(key, value)))


def trunk_fingerprint(model: PlaceModel) -> str:
    """A short name for everything that the trunk's output of an image depends on."""
    return fingerprint(
        weights_fingerprint(model.encoder.trunk),
        repr([type(layer).__name__ for layer in model.encoder.trunk.modules()]),
        repr(model.preprocessing),
        repr(model.spec.resize),
        str(model.minimum_size),
    )


def model_fingerprint(model: Describer) -> str:
    """A short name for everything that a descriptor depends on beside its image.

    Raises:
        ModelError: a part of the model's state is neither a tensor nor can be written to a file.
    """
    return fingerprint(weights_fingerprint(model), *model.identity)


def _content(key: str, value: object) -> tuple[str, bytes]:
    try:
        if isinstance(value, Tensor):
            array = value.detach().cpu().contiguous().numpy()
            return f"{key} {array.dtype} {array.shape}", array.tobytes()
    except (TypeError, RuntimeError):
        # numpy knows neither bfloat16 nor quantised numbers.
        pass
    file = io.BytesIO()
    try:
        torch.save(value, file)
    except Exception as error:  # whatever a module keeps as its state may refuse in its own way
        raise ModelError(
            f"a model's state {key} is a {type(value).__name__} that cannot be written to a file "
            f"({error}); keep tensors there"
        ) from error
    return key, file.getvalue()
