"""The flags of commands that take photos instead of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Group, Parameter

from netvlad.cli.models import choose_device
from netvlad.index.building import Work

PHOTOS = Group("Photos", sort_key=1)
MACHINE = Group("Machine", sort_key=4)


@Parameter(name="*", group=PHOTOS)
@dataclass(frozen=True)
class PositionFlags:
    """Where the photos were taken, where their own metadata do not say."""

    positions: Path | None = None
    """A table (CSV or Parquet) with the columns image, latitude, longitude (or easting, northing,
    zone) and optionally altitude, heading, time, tags. It wins over file names and EXIF."""

    utm_zone: str | None = None
    """UTM zone such as 31N of eastings and northings, where neither table nor names say."""


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class WorkFlags:
    """Where and how to compute."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""

    precision: Literal["32", "bf16", "16"] = "32"
    """Arithmetic of the network."""

    batch_size: int = 24
    """Photos per forward pass."""

    threads: int = 8
    """Threads that decode images."""

    def work(self, seed: int = 123) -> Work:
        """As the index takes them."""
        return Work(
            batch_size=self.batch_size,
            threads=self.threads,
            precision=self.precision,
            device=choose_device(self.device),
            seed=seed,
        )
