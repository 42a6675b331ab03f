"""Weights for a backbone: published ones by name, others from a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from netvlad.errors import WeightsError
from netvlad.models.backbones.backbone import Backbone
from netvlad.models.published import Progress, WeightsRecord, locate_published
from netvlad.models.torch_files import read_torch_file

_CONTAINERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "encoder.", "backbone.", "features.")
_SHOWN_KEYS = 3


def load_backbone_weights(
    backbone: Backbone,
    weights: str | Path,
    *,
    published: Mapping[str, WeightsRecord],
    translate_key: Callable[[str], str] = str,
    progress: Progress | None = None,
) -> None:
    """Load weights into a backbone.

    Args:
        backbone: is changed in place.
        weights: a name in ``published``, or a file of ``torch.save`` or ``.safetensors``. Keys may
            be the backbone's own, torchvision's (``features.0.weight``) or the published ones,
            behind ``module.`` and ``encoder.``, at the top or under ``state_dict``; keys of other
            layers are ignored. Half precision is converted.
        published: the weights known by name.
        translate_key: turns a published key into the backbone's own.
        progress: told how far a download is.

    Raises:
        WeightsError: the weights cannot be found, downloaded, verified or read, or do not fit.
    """
    record = published.get(str(weights))
    if record is not None:
        path = locate_published(record, progress=progress)
    else:
        path = Path(weights)
        if not path.exists():
            names = ", ".join([*published, "none"])
            raise WeightsError(f"{path}: there is no such file, nor weights of that name ({names})")
    tensors = read_tensors(path)
    state = {translate_key(_without_prefixes(key)): value for key, value in tensors.items()}
    _fit(backbone, state, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a flat mapping of names to tensors, without running code from the file.

    Args:
        path: a ``.safetensors`` file, or one of ``torch.save`` that holds a mapping, directly or
            under ``state_dict``.

    Returns:
        The tensors by name, on the CPU; entries that are no tensors are left out.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    content: Any
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    else:
        content = read_torch_file(path, error=WeightsError)
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        content = {}
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no weights (no mapping from names to tensors)")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: is not a safetensors file, or is damaged") from error


def _without_prefixes(key: str) -> str:
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return _without_prefixes(key.removeprefix(prefix))
    return key


def _fit(backbone: Backbone, state: Mapping[str, Tensor], path: Path) -> None:
    own = backbone.state_dict()
    # The count of training batches is not needed to use a network, and files may lack it.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        shown = ", ".join(missing[:_SHOWN_KEYS]) + (", ..." if len(missing) > _SHOWN_KEYS else "")
        raise WeightsError(
            f"{path}: does not fit {backbone.name}: {len(missing)} of {len(own)} weights are "
            f"missing ({shown})"
        )
    for key, value in own.items():
        if key in state and state[key].shape != value.shape:
            raise WeightsError(
                f"{path}: does not fit {backbone.name}: {key} has shape "
                f"{tuple(state[key].shape)}, expected {tuple(value.shape)}"
            )
    with torch.no_grad():
        for key, value in own.items():
            if key in state:
                value.copy_(state[key])
