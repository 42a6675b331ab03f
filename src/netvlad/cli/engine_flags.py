"""The flags that say which machines describe photos."""

from dataclasses import dataclass
from typing import Literal

from cyclopts import Parameter

from netvlad.cli.flags import MACHINE
from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.index.address import engine_of
from netvlad.index.ray import RayCluster


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class EngineFlags:
    """One machine or many."""

    engine: Literal["local", "ray"] = "local"
    """Who describes the photos: this machine alone, or a Ray cluster (pip install 'netvlad[ray]'),
    whose nodes all find them at the same paths."""

    address: str | None = None
    """The Ray cluster: auto on one of its machines, or HOST:PORT [default: a Ray of its own on
    this machine, shut down at the end]."""

    def cluster(self, compute: Compute, index: str) -> RayCluster | None:
        """The machines that describe for ``index``; None is this one alone.

        Raises:
            SettingsError: there is an address, but nothing to find there; or the index lies where
                a cluster cannot be used.
        """
        if self.engine == "ray" and engine_of(index):
            raise SettingsError("--engine ray: works for index folders, not for Milvus")
        if self.engine == "ray":
            return RayCluster(self.address, compute.device != "cpu")
        if self.address is not None:
            raise SettingsError(f"--address {self.address}: is that of a cluster; add --engine ray")
        return None
