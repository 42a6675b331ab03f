"""Describing images on many machines with Ray Data: the same descriptors, in the same file."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors, passes
from netvlad.descriptors.rows import FileRows, describe_in_file, storage_dtype
from netvlad.errors import ImageError, SettingsError
from netvlad.images import Unreadable
from netvlad.index.ray.cluster import RayCluster, Room, connected, room
from netvlad.index.ray.worker import Order, SectionDescriber, packed, torch_version
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import ImageSet, Note, Progress, Reporter, silent


class SectionsInAnyOrder:
    """Writes the rows of sections as they come.

    Rows go to their place in the file at once, so nothing piles up in memory. The journal is told
    of a section when all before it are there: a kill costs those that had run ahead.
    """

    def __init__(self, rows: FileRows, total: int, section: int) -> None:
        """Go on with a file.

        Args:
            rows: where rows go.
            total: N, images in all.
            section: images of each section, but perhaps the last.
        """
        self._rows, self._total, self._section = rows, total, section
        self._next = rows.sections_done
        self._ahead: dict[int, list[Unreadable]] = {}
        self.done = min(self._next * section, total)

    def missing(self) -> list[range]:
        """The images of each section that is not there."""
        first = range(self._next * self._section, self._total, self._section)
        return [
            range(begin, min(begin + self._section, self._total))
            for begin in first
            if begin // self._section not in self._ahead
        ]

    def put(self, begin: int, values: NDArray[np.floating], unreadable: list[Unreadable]) -> None:
        """Take a section.

        Args:
            begin: its first image.
            values: (B, D) its rows, zero where unreadable.
            unreadable: what has no descriptor.

        Raises:
            StorageError: it cannot be written.
        """
        section = begin // self._section
        if section < self._next or section in self._ahead:
            return
        self._rows.write(np.arange(begin, begin + len(values)), torch.from_numpy(values))
        self._ahead[section] = unreadable
        self.done += len(values)
        while self._next in self._ahead:
            for image in self._ahead.pop(self._next):
                self._rows.leave_out(image)
            self._rows.close_section()
            self._next += 1


_VAIN_ROUNDS = 3
"""So often may the workers die without having finished anything in between."""


def describe_on_ray(
    model: PlaceModel,
    images: ImageSet,
    cluster: RayCluster,
    *,
    output: Path,
    storage: str = "32",
    compute: Compute = Compute(),
    stage: str = "Describing images",
    report: Reporter = silent,
) -> Descriptors:
    """Describe every image as :func:`netvlad.descriptors.describe` does, on the nodes of a cluster.

    A section of images is one piece of work, and its batches are those of the local way, so the
    descriptors are the same. They come back one section at a time and go into the same kind of
    file: either way resumes what the other began.

    A worker or a node that dies costs the sections it had in hand, which are described again. A
    driver that dies costs at most those that were done ahead of one that was not.

    Args: as ``describe``, but every node finds the files of ``images`` at the same paths and
    builds its own model, and whether workers compute on a GPU ``cluster`` says.

    Returns:
        (N, D) descriptors in the order of ``images``, memory-mapped.

    Raises:
        SettingsError: Ray is not installed, no cluster answers, its nodes cannot do the work, or
            ``storage`` is neither.
        StorageError: the file cannot be written, another process is writing it, or it holds
            descriptors of something else.
    """

    def complete(rows: FileRows) -> None:
        sections = SectionsInAnyOrder(rows, len(images), passes.SECTION)
        if sections.missing():
            work = _Work(model, model_fingerprint(model), images, storage, compute)
            _fill(sections, work, cluster, stage, report)

    return describe_in_file(
        model,
        images,
        output,
        complete,
        storage=storage,
        precision=compute.precision,
        stage=stage,
        report=report,
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """What every round has in common: as :func:`describe_on_ray` takes it."""

    model: PlaceModel
    fingerprint: str
    images: ImageSet
    storage: str
    compute: Compute

    def order(self, offered: Room) -> Order:
        return Order(
            spec=self.model.spec.to_json(),
            channels_last=self.model.channels_last,
            fingerprint=self.fingerprint,
            torch_version=torch_version(),
            storage=self.storage,
            compute=replace(self.compute, device="cuda" if offered.gpus else "cpu"),
            cpus=offered.cpus,
        )

    def row(self, section: range) -> pa.Table:
        paths = [str(self.images.path(i).absolute()) for i in section]
        return pa.Table.from_pylist([{"begin": section.start, "paths": paths}])

    def taken(self, row: dict[str, Any]) -> tuple[NDArray[np.floating[Any]], list[Unreadable]]:
        """The rows (B, D) of an answer, and what has none."""
        values = np.frombuffer(row["values"], storage_dtype(self.storage))
        places = [(row["begin"] + i, reason) for i, reason in json.loads(row["unreadable"])]
        return values.reshape(-1, self.model.descriptor_dim).copy(), [
            Unreadable(index, ImageError(self.images.path(index), reason))
            for index, reason in places
        ]


def _fill(
    sections: SectionsInAnyOrder,
    work: _Work,
    cluster: RayCluster,
    stage: str,
    report: Reporter,
) -> None:
    """Describe what is missing, in rounds: one is enough as long as no worker dies."""
    total = len(work.images)
    if sections.done:
        report(Note(f"{stage}: resumed after {sections.done} of {total} images"))
    by_node: Counter[str] = Counter()
    with connected(cluster.resolved()):
        import ray  # noqa: PLC0415 - an extra

        weights = ray.put(packed(work.model))
        names: dict[str, str] = {}
        vain, lost = 0, ""
        while missing := sections.missing():
            offered = room(gpus=cluster.gpus)
            names |= offered.nodes
            report(Note(f"{stage}: {offered}"))
            report(Progress(stage, sections.done, total))
            for row in _round(work, missing, offered, weights):
                if "lost" in row:
                    lost = row["lost"]
                else:
                    by_node[names.get(row["node"], row["node"])] += _take(
                        row, sections, work, report
                    )
                    report(Progress(stage, sections.done, total))
            left = sections.missing()
            vain = vain + 1 if len(left) == len(missing) else 0
            if vain == _VAIN_ROUNDS:
                raise _given_up(left, lost)
            if left:
                again = sum(map(len, left))
                report(Note(f"{stage}: a worker was lost; {again} images are described again"))
    shares = ", ".join(f"{count} on {node}" for node, count in sorted(by_node.items()))
    report(Note(f"{stage}: {shares}"))


def _take(row: dict[str, Any], sections: SectionsInAnyOrder, work: _Work, report: Reporter) -> int:
    """Put the answer to a section where it belongs; how many images it is of.

    Raises:
        SettingsError: the worker is not able to answer, nor would another be.
    """
    if row["trouble"]:
        raise SettingsError(f"engine ray: on {row['host']}: {row['trouble']}")
    values, unreadable = work.taken(row)
    for image in unreadable:
        report(Note(f"skipped {image.error}"))
    sections.put(row["begin"], values, unreadable)
    return len(values)


def _round(
    work: _Work, missing: list[range], offered: Room, weights: Any
) -> Iterator[dict[str, Any]]:
    """The answers to sections, in whatever order; then ``{"lost": why}`` if the round broke off.

    Ray Data puts a new worker in the place of one that died, wherever there is room. It does not
    restart the very same one (``max_restarts=0``): the sections that it had would wait for it, and
    where its node is gone for good and the others are full, for ever. They are dropped
    (``max_errored_blocks``) and left to the next round.
    """
    import ray  # noqa: PLC0415 - an extra

    with warnings.catch_warnings():
        # That named parameters are to replace these two; there are none yet.
        warnings.simplefilter("ignore")
        answers = ray.data.from_arrow([work.row(section) for section in missing]).map_batches(
            SectionDescriber,
            fn_constructor_args=(work.order(offered), weights),
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(
                size=min(offered.workers, len(missing)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=offered.cpus,
            num_gpus=offered.gpus,
            max_restarts=0,
        )
    context = answers.context
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    try:
        for batch in answers.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            yield from batch.to_pylist()
    except Exception as error:
        # What the loss of a node may raise (RayError and others) differs between versions of Ray.
        yield {"lost": " ".join(str(error).split())[:300]}


def _given_up(left: list[range], lost: str) -> SettingsError:
    why = f" ({lost})" if lost else ""
    return SettingsError(
        f"engine ray: {sum(map(len, left))} images could not be described: workers died "
        f"{_VAIN_ROUNDS} times without finishing any{why}; if they lack memory, try a smaller "
        "--batch-size"
    )
