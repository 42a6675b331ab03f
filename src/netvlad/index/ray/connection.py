"""A quiet connection to a Ray cluster, and how many workers it has room for."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netvlad.errors import SettingsError
from netvlad.index.ray.cluster import not_installed

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
