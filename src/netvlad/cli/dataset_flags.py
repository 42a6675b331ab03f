"""The flags of commands that read a data set."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class WhereFlags:
    """Where a data set lies."""

    data_dir: Path
    """The folder the data set lies in."""

    utm_zone: str | None = None
    """UTM zone such as 31N, where the format does not say."""
