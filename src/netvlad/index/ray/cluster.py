"""Which Ray cluster is meant; Ray itself is not imported here."""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from netvlad.descriptors import Descriptors
from netvlad.errors import SettingsError
from netvlad.models import PlaceModel
from netvlad.types import ImageSet

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

    def describe(self, model: PlaceModel, images: ImageSet, **settings: Any) -> Descriptors:
        """See :func:`netvlad.index.ray.engine.describe_on_ray`."""
        from netvlad.index.ray.engine import describe_on_ray  # noqa: PLC0415 - it imports this

        return describe_on_ray(model, images, self, **settings)


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


MAX_CPUS = 8
"""Of one worker: beyond, a network of this size gains little from further threads."""

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Of what other processes report: without this, the death of a worker is told on stdout.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Room:
    """What a cluster has for workers; all workers are alike, so that their results are.

    Attributes:
        nodes: names of the nodes that work, by their id.
        workers: how many fit.
        cpus: of each worker; threads it computes with.
        gpus: of each worker, 0 or 1.
    """

    nodes: dict[str, str]
    workers: int
    cpus: int
    gpus: int

    def __str__(self) -> str:
        each = f"{self.cpus} CPU{'s' * (self.cpus != 1)}" + " and a GPU" * self.gpus
        return (
            f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)}, "
            f"{self.workers} worker{'s' * (self.workers != 1)} with {each} each"
        )


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to Ray; a connection that was there before is used and left as it is.

    Args:
        address: ``"HOST:PORT"``; None starts a Ray of its own, which ends with the block.

    Raises:
        SettingsError: Ray is not installed, or refuses the connection.
    """
    ray = _imported(address)
    levels = {name: logging.getLogger(name).level for name in ("ray", "ray.data")}
    already = ray.is_initialized()
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if not already:
            _initialise(ray, address)
        yield
    finally:
        if not already:
            ray.shutdown()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def room(*, gpus: bool) -> Room:
    """What the cluster has at this moment.

    Args:
        gpus: whether to use GPUs; a cluster that has some works with those nodes alone.

    Raises:
        SettingsError: no node has a CPU.
    """
    import ray  # noqa: PLC0415 - an extra

    alive = [node for node in ray.nodes() if node["Alive"]]
    equipped = [node for node in alive if gpus and _number(node, "GPU")]
    if equipped:
        cpus = min(_number(node, "CPU") // _number(node, "GPU") for node in equipped)
        workers = sum(_number(node, "GPU") for node in equipped)
        return Room(_names(equipped), workers, min(cpus, MAX_CPUS), 1)
    equipped = [node for node in alive if _number(node, "CPU")]
    if not equipped:
        raise SettingsError("engine ray: no node of the cluster has a CPU to give; add one")
    cpus = min(MAX_CPUS, *(_number(node, "CPU") for node in equipped))
    workers = sum(_number(node, "CPU") // cpus for node in equipped)
    return Room(_names(equipped), workers, cpus, 0)


def _imported(address: str | None) -> Any:
    """Ray, which reads these variables when it is imported; what is set already stays."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is None or address.rpartition(":")[0] in _LOCAL_HOSTS:
        # Ray takes this machine for one of a network, and listens there, unless it is told that
        # clusters are not wanted; it treats macOS and Windows so without being told.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise not_installed() from error
    return ray


def _initialise(ray: Any, address: str | None) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address=address or "local",
                # Only who starts a cluster may say what it consists of.
                **({"include_dashboard": False} if address is None else {}),
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    except Exception as error:
        # Whatever Ray raises here (ConnectionError, RuntimeError, TimeoutError, its own ones).
        reason = " ".join(str(error).split())[:200]
        where = "here" if address is None else f"at {address}"
        raise SettingsError(f"engine ray: no Ray {where} ({reason})") from error


def _number(node: dict[str, Any], resource: str) -> int:
    return int(node["Resources"].get(resource, 0))


def _names(nodes: list[dict[str, Any]]) -> dict[str, str]:
    """A name for each id: the node's own, with the id's beginning where several share it."""
    names = [str(node.get("NodeName") or node["NodeManagerAddress"]) for node in nodes]
    return {
        node["NodeID"]: name if names.count(name) == 1 else f"{name} ({node['NodeID'][:8]})"
        for node, name in zip(nodes, names, strict=True)
    }
