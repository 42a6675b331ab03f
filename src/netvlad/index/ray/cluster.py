"""Which Ray cluster is meant; Ray itself is not imported here."""

import os
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from netvlad.errors import SettingsError

_PROBE_S = 5.0


@dataclass(frozen=True)
class RayCluster:
    """Machines that describe photos together, by Ray (https://www.ray.io).

    Attributes:
        address: ``"auto"`` for the cluster that this machine is a node of, or ``"HOST:PORT"``.
            None starts a Ray of its own on this machine, which listens on 127.0.0.1 alone and
            ends with the work.
        gpus: whether workers take the GPUs of the cluster, if it has any.
    """

    address: str | None = None
    gpus: bool = True

    def resolved(self) -> str | None:
        """``"HOST:PORT"`` of a cluster that answers; None for a Ray of its own.

        Worth a call before long work whose result the cluster is needed for.

        Raises:
            SettingsError: Ray is not installed, or no cluster answers.
        """
        if find_spec("ray") is None:
            raise not_installed()
        if self.address is None:
            return None
        if "://" in self.address:
            raise SettingsError(
                f"address {self.address}: give HOST:PORT, or auto on a machine of the cluster"
            )
        address = _noted_address() if self.address == "auto" else self.address
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f"address {address}: give HOST:PORT, or auto")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S).close()
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"address {address}: no Ray cluster answers there ({error}); start one with "
                "`ray start --head`, or leave --address away to use this machine alone"
            ) from error
        return address


def not_installed() -> SettingsError:
    """What to say where Ray is missing."""
    return SettingsError("engine ray: Ray is not installed; pip install 'netvlad[ray]'")


def _noted_address() -> str:
    """Where ``"auto"`` leads: as Ray finds it, but without waiting minutes for a cluster gone."""
    told = os.environ.get("RAY_ADDRESS", "")
    if told and told != "auto":
        return told
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    try:
        return noted.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            "address auto: no Ray cluster runs on this machine; start one with `ray start --head`, "
            "join one with `ray start --address=HOST:PORT`, or give --address HOST:PORT"
        ) from error
