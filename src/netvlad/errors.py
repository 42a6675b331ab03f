"""Every kind of trouble this package reports, one exception type each.

All derive from :class:`NetvladError`. A message names the file or the field, says what is wrong and
what to do about it, in one line: the command line prints it as it is.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path


class NetvladError(Exception):
    """Base of all errors that a user can do something about.

    Example:
        >>> import netvlad
        >>> try:
        ...     netvlad.open_dataset("pitts30", ".", "test")
        ... except netvlad.NetvladError as error:
        ...     print(str(error).partition("?")[0])
        there is no data set called pitts30; did you mean pitts30k
    """


class DataError(NetvladError):
    """A data set is missing, incomplete or contradicts itself."""


class ImageError(NetvladError):
    """One image cannot be used.

    Attributes:
        path: the file.
        reason: what is wrong with it, without the file's name.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


class SettingsError(NetvladError):
    """A setting has no valid value, or two settings contradict each other."""


class ModelError(NetvladError):
    """A model cannot be built, or is given something it cannot describe."""


class WeightsError(NetvladError):
    """Weights cannot be found, downloaded, verified or fitted into a model."""


class CheckpointError(NetvladError):
    """A run folder or a checkpoint cannot be read, or does not fit."""


class ClusterError(NetvladError):
    """Cluster centres cannot be computed, read, or do not fit the model."""


class StorageError(NetvladError):
    """A file or a folder cannot be written, locked or trusted."""


class ExtraError(NetvladError):
    """What is asked for needs a package that is not installed: one of the extras."""


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Import the packages of an extra in this block: where one is missing, a line says the remedy.

    Args:
        name: of the extra, as ``pip install 'netvlad[NAME]'`` has it.

    Raises:
        ExtraError: a package is missing.
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise ExtraError(f"{missing} is not installed: pip install 'netvlad[{name}]'") from error
