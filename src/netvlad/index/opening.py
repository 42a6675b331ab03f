"""Where an index lies, in memory, in a folder or in Milvus, and what is known of each alike."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from netvlad.fitting.calibration import Calibration
from netvlad.index.confidence import default_calibration, document_name
from netvlad.index.stores.opened import OpenedFolder
from netvlad.index.stores.store import Store
from netvlad.matching.registry import DEFAULT_MATCHER, matcher_name
from netvlad.types import Note, Reporter, silent

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
            (:func:`~netvlad.index.stores.milvus.address.milvus_address`).

    Raises:
        SettingsError: pymilvus is not installed.
        StorageError: there is no index, or it is damaged; or Milvus does not answer.
    """
    engine = engine_of(place)
    if engine is None:
        return OpenedFolder(Path(place))
    store: Store = engine.open_store(engine.parse(place))
    return store


def store_calibration(
    store: Store, pooling: str, *, reranked: bool | str = False, report: Reporter = silent
) -> Calibration:
    """Turns scores into probabilities: the index's own, or the default.

    Args:
        store: the places, and the index's own calibrations beside them.
        pooling: of the model that described the places.
        reranked: the one for answers that were re-ranked, or by which matcher. For learned ones
            there is no default: without one of the index's own, answers are judged as if they
            were not re-ranked.
        report: receives a note where they are judged so.

    Raises:
        SettingsError: there is no matcher of that name.
        StorageError: the index's own is damaged.
    """
    kept = store.documents.get(document_name(reranked=reranked))
    if kept is not None:
        return Calibration.from_json(kept, store.name)
    matcher = matcher_name(reranked)
    if matcher in (None, DEFAULT_MATCHER):
        return default_calibration(pooling, reranked=matcher is not None)
    report(
        Note(
            "probabilities are those of answers that are not re-ranked; fit some to "
            f"{matcher}: netvlad index calibrate --matcher {matcher}"
        )
    )
    return store_calibration(store, pooling)
