"""What runs on the nodes of a cluster: a process that holds the model and describes sections."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load, save

from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.images import Unreadable
from netvlad.models import ModelSpec, PlaceModel, build_model
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import ImageSet


@dataclass(frozen=True)
class Order:
    """How sections are to be described: on every node as it would be on the driver's.

    Attributes:
        spec: the model's, as JSON types.
        channels_last: the model's memory format.
        fingerprint: the model's.
        torch_version: the driver's, without what it was built for.
        storage: ``"32"`` or ``"16"``.
        compute: where and how.
        cpus: threads to compute with; 0 leaves torch its own.
    """

    spec: dict[str, Any]
    channels_last: bool
    fingerprint: str
    torch_version: str
    storage: str
    compute: Compute
    cpus: int


class SectionDescriber:
    """Describes a section with each call; Ray keeps one in each worker process.

    Trouble of any kind is an answer, not an exception: Ray takes an exception for a failure of the
    machine and lets the section be tried again.
    """

    def __init__(self, order: Order, weights: Any) -> None:
        """Build the model.

        Args:
            order: how to describe.
            weights: a Ray reference to what :func:`packed` gave.
        """
        import ray  # noqa: PLC0415 - an extra

        self._node = str(ray.get_runtime_context().get_node_id())
        self._order = order
        self._model: PlaceModel | None = None
        self._trouble = ""
        try:
            self._model = _built(order, ray.get(weights))
        except Exception as error:
            self._trouble = _one_line(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Describe sections.

        Args:
            table: a row per section, of ``begin``, its first image, and ``paths``.

        Returns:
            A row per section: ``begin``, ``values`` (B·D numbers, row by row), ``unreadable``
            (JSON of [place in the section, reason] pairs), ``node`` (its id), ``host``, and
            ``trouble``, which is empty where all went well.
        """
        return pa.Table.from_pylist([self._described(row) for row in table.to_pylist()])

    def _described(self, row: dict[str, Any]) -> dict[str, Any]:
        answer = {
            "begin": row["begin"],
            "values": b"",
            "unreadable": "[]",
            "node": self._node,
            "host": socket.gethostname(),
            "trouble": self._trouble,
        }
        if self._model is None:
            return answer
        try:
            found = describe(
                self._model,
                ImageSet(Path(), tuple(row["paths"])),
                storage=self._order.storage,
                compute=self._order.compute,
            )
        except Exception as error:
            return answer | {"trouble": _one_line(error)}
        unreadable = [[image.index, _reason(image)] for image in found.unreadable]
        return answer | {
            "values": np.ascontiguousarray(found.values).tobytes(),
            "unreadable": json.dumps(unreadable),
        }


def packed(model: PlaceModel) -> bytes:
    """The weights of a model as safetensors; with its spec they make the model again."""
    return save(
        {
            name: tensor.detach().to("cpu", memory_format=torch.contiguous_format).clone()
            for name, tensor in model.state_dict().items()
        }
    )


def torch_version() -> str:
    """Of torch here, such as ``"2.13.0"``, whatever it was built for."""
    return str(torch.__version__).partition("+")[0]


def _built(order: Order, weights: bytes) -> PlaceModel:
    if torch_version() != order.torch_version:
        raise RuntimeError(
            f"torch {torch_version()} is installed there, {order.torch_version} here; "
            "install the same"
        )
    if order.cpus:
        torch.set_num_threads(order.cpus)
    spec = ModelSpec.from_json(order.spec)
    model = build_model(spec, weights=None, channels_last=order.channels_last)
    model.load_state_dict(load(weights))
    if model_fingerprint(model) != order.fingerprint:
        raise RuntimeError("the netvlad installed there builds another model; install the same")
    return order.compute.place(model)


def _reason(image: Unreadable) -> str:
    """What is wrong with an image; and where, if it is the machine that lacks it."""
    missing = not image.error.path.exists()
    return image.error.reason + (f" (on {socket.gethostname()})" if missing else "")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
