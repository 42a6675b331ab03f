"""Which index a command means."""

from pathlib import Path

from netvlad.errors import SettingsError
from netvlad.index.address import engine_of, shown


def index_folder(index: str, command: str) -> Path:
    """The folder of an index, for a command that is for folders alone.

    Raises:
        SettingsError: ``index`` is an address in Milvus.
    """
    if engine_of(index):
        raise SettingsError(
            f"{shown(index)}: `netvlad index {command}` is for index folders; Milvus "
            "looks after its own data"
        )
    return Path(index)
