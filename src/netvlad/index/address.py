"""Where an index lies, in a folder or in Milvus: an address, and what opens it."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from netvlad.index.stores.opened import OpenedFolder
from netvlad.index.stores.store import Store

_SCHEME = re.compile(r"([a-z][a-z+]*):/")
_ENGINES = dict.fromkeys(("milvus", "milvus+tls"), "netvlad.index.stores.milvus")
"""By the scheme of an address, the package with ``parse``, ``build`` and ``open_store``."""


def engine_of(place: object) -> Any:
    """The package that keeps the index of this address; None for a folder.

    It is imported when an address asks for it. Its ``parse`` makes of an address what its
    ``build`` and ``open_store`` take.
    """
    scheme = _SCHEME.match(str(place))
    name = None if scheme is None else _ENGINES.get(scheme[1])
    return None if name is None else import_module(name)


def shown(place: str | Path) -> str:
    """A place as messages may print it: an address without a password."""
    engine = engine_of(place)
    return str(place if engine is None else engine.parse(place))


def open_store(place: str | Path) -> Store:
    """Open the places of an index.

    Args:
        place: the index folder, or an address in Milvus
            (:func:`~netvlad.index.stores.milvus.client.milvus_address`).

    Raises:
        SettingsError: pymilvus is not installed.
        StorageError: there is no index, or it is damaged; or Milvus does not answer.
    """
    engine = engine_of(place)
    if engine is None:
        return OpenedFolder(Path(place))
    store: Store = engine.open_store(engine.parse(place))
    return store
