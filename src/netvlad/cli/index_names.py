"""Which index a command means: a folder, an address in Milvus, named first or by --store."""

from pathlib import Path

from netvlad.errors import SettingsError
from netvlad.index.stores.milvus_address import is_milvus, milvus_address


def named_index(index: str | None, photos: list[str], store: str | None) -> tuple[str, list[str]]:
    """The index and the photos; with --store all that stands without a flag are photos.

    Args:
        index: what stands first, without a flag.
        photos: what follows it.
        store: what --store names.

    Raises:
        SettingsError: no index is named.
    """
    if store is not None:
        return store, photos if index is None else [index, *photos]
    if index is None:
        raise SettingsError("name the index: a folder, or milvus://HOST:19530/COLLECTION")
    return index, photos


def index_folder(index: str, command: str) -> Path:
    """The folder of an index, for a command that is for folders alone.

    Raises:
        SettingsError: ``index`` is an address in Milvus.
    """
    if is_milvus(index):
        raise SettingsError(
            f"{milvus_address(index)}: `netvlad index {command}` is for index folders; Milvus "
            "looks after its own data"
        )
    return Path(index)
