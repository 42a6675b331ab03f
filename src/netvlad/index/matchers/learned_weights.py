"""The published weights of learned matchers: fetched once, kept in torch's cache, fitted."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from netvlad.errors import WeightsError
from netvlad.models.weights import WeightsRecord, locate_published, read_torch_file
from netvlad.storage import fingerprint
from netvlad.types import Reporter

_STATISTICS = ("running_mean", "running_var")
_SHOWN_KEYS = 3


def load_weights(module: nn.Module, weights: WeightsRecord, report: Reporter) -> str:
    """Load published weights into a network and put it into evaluation mode.

    Args:
        module: is changed in place.
        weights: which; the file in torch's cache, downloaded where it is not there.
        report: receives the progress of the download, and a note that its SHA-256 is not known.

    Returns:
        a fingerprint of the file.

    Raises:
        WeightsError: the file cannot be downloaded, is damaged, or holds another network's weights.
        StorageError: the download cannot be written.
    """
    path = locate_published(weights, report=report)
    content = read_torch_file(
        path, error=lambda reason: WeightsError(f"{reason}; delete it and try again")
    )
    if weights.entry and isinstance(content, Mapping):
        content = content.get(weights.entry)
    if not isinstance(content, Mapping):
        content = {}
    _fit(
        module,
        {_renamed(str(k)): v for k, v in content.items() if isinstance(v, Tensor)},
        path,
    )
    module.eval()
    return fingerprint(path.read_bytes())


def _renamed(key: str) -> str:
    """LightGlue's first files list its layers by kind; its modules count them."""
    return re.sub(r"^(self|cross)_attn\.(\d+)\.", r"transformers.\2.\1_attn.", key)


def _fit(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    needed = {name for name, _ in module.named_parameters()}
    # Other buffers are constants that the network computes itself; files may lack them.
    needed |= {name for name, _ in module.named_buffers() if name.endswith(_STATISTICS)}
    missing = sorted(needed - set(state))
    kind = type(module).__name__
    if missing:
        shown = ", ".join(missing[:_SHOWN_KEYS]) + (", ..." if len(missing) > _SHOWN_KEYS else "")
        raise WeightsError(
            f"{path}: does not fit {kind}: {len(missing)} of {len(needed)} weights are missing "
            f"({shown}); delete it and try again"
        )
    for name, value in module.state_dict().items():
        if name in state and state[name].shape != value.shape:
            raise WeightsError(
                f"{path}: does not fit {kind}: {name} has shape {tuple(state[name].shape)}, "
                f"expected {tuple(value.shape)}; delete it and try again"
            )
    module.load_state_dict(state, strict=False)
