"""A connection to Milvus whose troubles are reported in one line."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from netvlad.errors import SettingsError, StorageError

TOKEN_VARIABLE = "NETVLAD_MILVUS_TOKEN"
"""The environment variable that holds ``user:password`` or an API key for servers that want one."""

FORMS = "milvus://HOST:19530/COLLECTION, or milvus:///FOLDERS/FILE.db/COLLECTION for Milvus Lite"

_SCHEMES = {"milvus": "http", "milvus+tls": "https"}
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,248}")
_PORT = 19530


@dataclass(frozen=True)
class MilvusAddress:
    """A collection of a Milvus server, or of a file of Milvus Lite.

    Attributes:
        uri: what the client connects to: ``http://host:port``, ``https://host:port`` or a path.
        collection: the name of the collection of places.
        shown: the address as it may be printed: without user and password.
        token: ``user:password`` or an API key; empty where the server wants none.
    """

    uri: str
    collection: str
    shown: str
    token: str = field(default="", repr=False)

    @property
    def embedded(self) -> bool:
        """Whether it is a file of Milvus Lite."""
        return not self.uri.startswith("http")

    def __str__(self) -> str:
        return self.shown


def milvus_address(location: str | Path | MilvusAddress) -> MilvusAddress:
    """Take an address apart.

    Forms::

        milvus://host:19530/collection              a server; the port may be left out
        milvus://user:password@host/collection      %-escapes for / @ : in a password
        milvus+tls://host:443/collection            over TLS
        milvus:///absolute/path/to/file.db/collection    Milvus Lite, embedded

    A user and password, or an API key, may also come from :data:`TOKEN_VARIABLE`, where other
    users of the machine and the shell's history do not see them.

    Raises:
        SettingsError: it has another form; a password in it is not repeated.
    """
    if isinstance(location, MilvusAddress):
        return location
    text = str(location)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused(text) from None
    if parts.scheme not in _SCHEMES or parts.query or parts.fragment:
        raise _refused(text)
    above, _, collection = parts.path.rpartition("/")
    if not _COLLECTION.fullmatch(collection):
        raise _refused(text)
    if not parts.netloc:
        # Collapsed slashes (milvus:/home/...) are what pathlib makes of an address.
        file = unquote(above)
        if parts.scheme != "milvus" or not file.endswith(".db"):
            raise _refused(text)
        return MilvusAddress(file, collection, f"milvus://{file}/{collection}")
    if host is None or above:
        raise _refused(text)
    named = f"[{host}]" if ":" in host else host
    token = os.environ.get(TOKEN_VARIABLE, "")
    if parts.username is not None:
        token = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    server = f"{named}:{port or _PORT}"
    return MilvusAddress(
        f"{_SCHEMES[parts.scheme]}://{server}",
        collection,
        f"{parts.scheme}://{server}/{collection}",
        token,
    )


def _refused(text: str) -> SettingsError:
    without_password = re.sub(r"//.*@", "//", text)
    return SettingsError(
        f"{without_password}: is not an address in Milvus; give {FORMS} (names of collections have "
        "letters, digits and underscores)"
    )


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
