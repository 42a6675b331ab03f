"""A connection to Milvus whose troubles are reported in one line."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netvlad.errors import SettingsError, StorageError
from netvlad.index.stores.milvus.address import TOKEN_VARIABLE, MilvusAddress

TIMEOUT_S = 60.0
"""How long one request may take; the client repeats it within this time when a server falters."""

REQUEST_BYTES = 8 << 20
"""About the most that is sent or asked for at once: a server takes 64 MiB unless told otherwise."""

ROWS_AT_ONCE = 2_000
"""The most rows that are sent or asked for at once; a server gives 16,384."""

_CONNECT_S = 10.0
_LOGGERS = ("pymilvus", "milvus_lite")


def connect(address: MilvusAddress, *, create: bool = False) -> Any:
    """A ``pymilvus.MilvusClient``.

    Args:
        address: whose server or file to open.
        create: whether a file of Milvus Lite is made where there is none.

    Raises:
        SettingsError: pymilvus, or Milvus Lite for an embedded address, is not installed.
        StorageError: nothing answers there, or it refuses the user.
    """
    try:
        # Imported when needed: an extra, and it brings pandas.
        from pymilvus import MilvusClient  # noqa: PLC0415

        if address.embedded:
            import milvus_lite  # noqa: PLC0415, F401
    except ImportError as error:
        raise SettingsError(
            f"{address}: needs {error.name}: pip install 'netvlad[milvus]'"
        ) from error
    for name in _LOGGERS:
        # They print a traceback of each error, which is raised too and reported in one line here.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if address.embedded:
        _require_file(address, create)
    with in_one_line(address):
        return MilvusClient(uri=address.uri, token=address.token, timeout=_CONNECT_S)


@contextlib.contextmanager
def in_one_line(address: MilvusAddress) -> Iterator[None]:
    """Turn what the client raises in the block into an error that names the address.

    Raises:
        StorageError: the server cannot be reached, or refuses.
    """
    import grpc  # noqa: PLC0415 - comes with pymilvus
    from pymilvus.exceptions import MilvusException  # noqa: PLC0415

    try:
        yield
    except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
        reason = " ".join(str(getattr(error, "message", "") or error).split())
        if address.token:
            reason = reason.replace(address.token, "***")
        raise StorageError(f"{address}: {_remedy(reason, address)} ({reason[:300]})") from error


def _require_file(address: MilvusAddress, create: bool) -> None:
    # The client would make an empty one to look into.
    file = Path(address.uri)
    if not file.exists() and not create:
        raise StorageError(f"{file}: does not exist; make one with `netvlad index build`")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{file}: cannot be made: {error.strerror or error}") from error


def _remedy(reason: str, address: MilvusAddress) -> str:
    said = reason.lower()
    if address.embedded and "open local milvus failed" in said:
        return "cannot be opened; one process at a time may use a file of Milvus Lite"
    if "auth" in said or "permission" in said or "privilege" in said:
        return f"refuses this user; give user:password@ in the address or set {TOKEN_VARIABLE}"
    if any(word in said for word in ("fail connecting", "unavailable", "timeout", "deadline")):
        return "cannot be reached; start the server, or correct host and port"
    return "Milvus could not do it; look into the server's log"
