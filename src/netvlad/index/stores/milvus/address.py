"""Where a place index lies in Milvus: addresses as a person types them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from netvlad.errors import SettingsError

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
