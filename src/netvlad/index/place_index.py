"""Where was this taken? A model, the places it described, and the answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.descriptors import describe
from netvlad.errors import SettingsError
from netvlad.fitting.calibration import Calibration
from netvlad.index.asking import UNKNOWN, Query, Question, answers
from netvlad.index.building import Change, Work, add_to_folder, build_folder, image_set
from netvlad.index.confidence import default_calibration, document_name
from netvlad.index.default_model import default_model
from netvlad.index.local_features import FeatureCache
from netvlad.index.milvus_building import add_to_milvus, build_in_milvus
from netvlad.index.naming import find_places, missing_photos, photo_facts
from netvlad.index.photos import Collection, collect_photos
from netvlad.index.places import Places
from netvlad.index.results import Answer, Place, Position
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.milvus import MilvusStore
from netvlad.index.stores.milvus_address import is_milvus, milvus_address
from netvlad.index.stores.opened import OpenedFolder
from netvlad.index.stores.writing import writing
from netvlad.index.where import Where
from netvlad.models import OneImage, PlaceModel
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import ImageSet, Reporter, silent

__all__ = ["Answer", "Change", "Place", "PlaceIndex", "Position", "Question", "Where", "Work"]

_BLOCK = 4096
Photos = str | Path | Sequence[str | Path]


class PlaceIndex:
    """Places that photos are compared with: in a folder, in Milvus, or in memory.

    Example::

        index = netvlad.PlaceIndex.build(None, "photos", output="my.index")
        answer = index.locate("query.jpg")
        print(answer.places[0].image, answer.position, answer.probability)

    Attributes:
        store: where the places lie.
        folder: the index folder; None in memory and in Milvus.
    """

    def __init__(
        self,
        store: MemoryStore | OpenedFolder | MilvusStore,
        *,
        model: PlaceModel | None = None,
        device: str = "cpu",
    ) -> None:
        """Join places and the model they were described by; see the class methods instead.

        Args:
            store: the places.
            model: None takes the one that the store keeps, when it is first needed.
            device: where that one is put.
        """
        self.store = store
        self.folder = store.folder if isinstance(store, OpenedFolder) else None
        self._device = device
        if model is not None:
            self.__dict__["model"] = model.eval()

    @classmethod
    def build(
        cls,
        model: PlaceModel | None,
        photos: Photos,
        *,
        output: str | Path | None = None,
        positions: str | Path | None = None,
        utm_zone: str | None = None,
        storage: str = "16",
        whiten: int | None = None,
        work: Work | None = None,
        report: Reporter = silent,
    ) -> "PlaceIndex":
        """Make an index of photos.

        Args:
            model: describes them; None fits the default model to them
                (:func:`~netvlad.index.default_model.default_model`).
            photos: files, and folders that are walked.
            output: the folder to make, or an address in Milvus
                (:func:`~netvlad.index.stores.milvus_address.milvus_address`); None keeps the index
                in memory, see :meth:`save`.
            positions: a table of positions (CSV or Parquet: image, latitude, longitude, ...).
            utm_zone: zone of eastings and northings, where the table or the names do not say.
            storage: bits per value of stored descriptors, ``"16"`` or ``"32"``.
            whiten: dimension that descriptors are reduced to, by a PCA whitening learned from them
                (with ``output`` only).
            work: how photos are described.
            report: receives progress and notes.

        Returns:
            The index; ``index.change`` says what was skipped and why.

        Raises:
            DataError: a path does not exist, the table makes no sense, or no photo can be used.
            StorageError: ``output`` holds an index, or cannot be written.
        """
        work = work or Work()
        if work.cluster is not None and (output is None or is_milvus(output)):
            raise SettingsError("describing on a cluster needs output: the folder of an index")
        collection = _collected(photos, positions, utm_zone, work, report)
        if output is not None:
            if is_milvus(output):
                make = partial(build_in_milvus, milvus_address(output))
            else:
                make = partial(build_folder, Path(output))
            change = make(
                model, collection, storage=storage, whiten=whiten, work=work, report=report
            )
            index = cls.open(output, device=work.device if model is None else str(model.device))
        else:
            if whiten is not None:
                raise SettingsError("whiten needs output: an index in memory keeps its dimension")
            chosen = model or default_model(
                image_set(collection.places),
                seed=work.seed,
                batch_size=work.batch_size,
                threads=work.threads,
                precision=work.precision,
                device=work.device,
                report=report,
            )
            index = cls.in_memory(chosen)
            change = index._add_collection(collection, work, report)
        index.change = change
        return index

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "cpu") -> "PlaceIndex":
        """Open an index; the model is loaded when it is first needed.

        Args:
            folder: the index folder, or an address in Milvus
                (:func:`~netvlad.index.stores.milvus_address.milvus_address`).
            device: where the model is put.

        Raises:
            StorageError: there is no index, or it is damaged; or Milvus does not answer.
        """
        if is_milvus(folder):
            return cls(MilvusStore.open(milvus_address(folder)), device=device)
        return cls(OpenedFolder(Path(folder)), device=device)

    @classmethod
    def in_memory(cls, model: PlaceModel) -> "PlaceIndex":
        """An empty index that never touches the disk, for a camera on its way.

        Example::

            index = PlaceIndex.in_memory(model)
            index.add(frame, position=(52.2, 0.12), time=seconds)
            closure = index.locate(frame, time=seconds, exclude_last_s=30, min_probability=0.9)
        """
        return cls(MemoryStore(model.descriptor_dim), model=model)

    change: Change | None = None
    """What :meth:`build` or the last :meth:`add` did; None before."""

    def __len__(self) -> int:
        return len(self.store)

    @property
    def places(self) -> Places:
        """The places, in the order in which they were added."""
        return self.store.places

    @cached_property
    def model(self) -> PlaceModel:
        """The model that described the places, and describes queries."""
        # An index in memory is given its model when it is made.
        assert not isinstance(self.store, MemoryStore)
        return self.store.load_model(self._device)

    def calibration(self, *, reranked: bool = False) -> Calibration:
        """Turns scores into probabilities: the index's own, or the default.

        Args:
            reranked: the one for answers that were re-ranked.

        Raises:
            StorageError: the index's own is damaged.
        """
        kept = self.store.documents.get(document_name(reranked=reranked))
        if kept is None:
            return default_calibration(self._pooling, reranked=reranked)
        return Calibration.from_json(kept, self.name)

    @property
    def name(self) -> str:
        """What messages call it: the folder, or the address in Milvus without a password."""
        if isinstance(self.store, MilvusStore):
            return str(self.store.address)
        return str(self.folder or "index")

    @property
    def _pooling(self) -> str:
        # The specification alone, so that nothing waits for the weights.
        if isinstance(self.store, MemoryStore):
            return self.model.spec.pooling
        return self.store.model_spec().pooling

    @cached_property
    def local_features(self) -> FeatureCache:
        """Local features of the index's photos, for re-ranking."""
        return FeatureCache(None if self.folder is None else self.folder / "features")

    def add(
        self,
        images: Photos | OneImage,
        *,
        position: tuple[float, float] | None = None,
        heading: float | None = None,
        time: float | None = None,
        name: str | None = None,
        positions: str | Path | None = None,
        utm_zone: str | None = None,
        work: Work | None = None,
        report: Reporter = silent,
    ) -> Change:
        """Add photos by their paths, or one image from memory.

        Args:
            images: files and folders; or one image: a Pillow image, (H, W, 3) uint8 numpy or
                (3, H, W) uint8 torch.
            position: latitude and longitude of the one image, WGS84 degrees.
            heading: degrees clockwise from north that it looks to.
            time: seconds that it was taken at, of any clock that all of them share.
            name: what answers call it; None numbers it.
            positions: a table of positions, for paths.
            utm_zone: as for :meth:`build`.
            work: how photos are described.
            report: receives progress and notes.

        Returns:
            What was done; photos that cannot be used are skipped and listed.

        Raises:
            DataError: a path does not exist, or the table makes no sense.
            ModelError: the one image is not uint8 RGB, or is too small.
            StorageError: another process is writing to the folder, or its disk is full; nothing
                has changed.
        """
        if _are_paths(images):
            work = work or Work()
            collection = _collected(images, positions, utm_zone, work, report)
            self.change = self._add_collection(collection, work, report)
            return self.change
        descriptor = self.model.describe(images)
        values = {"time": time, "heading": heading}
        if position is not None:
            values["latitude"], values["longitude"] = position
        known = {key: float(value) for key, value in values.items() if value is not None}
        label = name if name is not None else f"frame-{len(self):06d}"
        if isinstance(self.store, MemoryStore):
            self.store.append_one(descriptor, label, known)
        else:
            columns: dict[str, NDArray[Any] | None] = {k: np.array([v]) for k, v in known.items()}
            self.store.append(Places.of([label], columns), [descriptor[None]])
        self.change = Change(added=1)
        return self.change

    def remove(self, images: Iterable[str | Path]) -> int:
        """Remove places by their paths or names; a folder stands for all photos below it.

        Returns:
            how many places were removed.

        Raises:
            DataError: one of ``images`` names no place; nothing has changed.
            StorageError: another process is writing to the folder.
        """
        wanted = list(images)
        return self.store.remove(lambda places: find_places(places, wanted))

    def remove_missing(self) -> int:
        """Remove the places whose photo is no longer there.

        Returns:
            how many places were removed.

        Raises:
            StorageError: another process is writing to the folder.
        """
        return self.store.remove(missing_photos)

    def locate(
        self,
        query: OneImage,
        *,
        k: int = 5,
        where: Where | None = None,
        heading_deg: float | None = None,
        rerank: bool = False,
        radius_m: float = 25.0,
        min_probability: float | None = None,
        position: tuple[float, float] | None = None,
        heading: float | None = None,
        time: float | None = None,
        exclude_last_s: float | None = None,
    ) -> Answer:
        """Say where one photo was taken.

        Args:
            query: a path, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch.
            k: how many places to return.
            where: which places may be returned.
            heading_deg: only places seen at most so many degrees off the query's heading.
            rerank: verify the first 20 places by geometry.
            radius_m: places at most this far apart are one place (metres).
            min_probability: below it the answer's ``known`` is False; None: the calibration's own.
            position: where the query says it was taken; None reads it from a file's EXIF.
            heading: likewise, in degrees clockwise from north.
            time: likewise, in the seconds of the places' clock.
            exclude_last_s: leave out places whose time lies within so many seconds before
                ``time`` (before the latest place's, without ``time``): a camera's way just now.

        Raises:
            ImageError: the query's file cannot be used.
            ModelError: the query's pixels cannot.
            SettingsError: a setting makes no sense.
        """
        conditions = where or Where()
        if exclude_last_s is not None:
            conditions = self._not_just_now(conditions, time, exclude_last_s)
        question = Question(
            k=k,
            where=conditions,
            heading_deg=heading_deg,
            rerank=rerank,
            radius_m=radius_m,
            min_probability=min_probability,
        )
        descriptor = self.model.describe(query)
        facts = photo_facts(Path(query)) if isinstance(query, str | Path) else UNKNOWN
        if position is not None:
            facts = replace(facts, latitude=position[0], longitude=position[1])
        if heading is not None:
            facts = replace(facts, heading=heading)
        if time is not None:
            facts = replace(facts, time=time)
        asked = Query(_name(query), descriptor, facts, _picture(query) if rerank else None)
        return self._answers([asked], question)[0]

    def locate_all(
        self,
        queries: Sequence[str | Path],
        question: Question | None = None,
        *,
        heading: float | None = None,
        batch_size: int = 8,
        threads: int = 8,
        precision: str = "32",
        report: Reporter = silent,
    ) -> list[Answer]:
        """Say where several photos were taken, with one pass of the model and one search.

        Args:
            queries: image files.
            question: what is asked of each.
            heading: the direction all of them look to; None reads each file's EXIF.
            batch_size: photos of one size per forward pass.
            threads: decoding threads.
            precision: ``"32"``, ``"bf16"`` or ``"16"``.
            report: receives progress.

        Returns:
            one answer for each query, in order; one that cannot be used has an ``error``.

        Raises:
            SettingsError: a heading is needed and unknown.
        """
        names = tuple(str(Path(query).absolute()) for query in queries)
        described = describe(
            self.model,
            ImageSet(Path(), names),
            batch_size=batch_size,
            threads=threads,
            precision=precision,
            stage="Describing queries",
            report=report,
        )
        good = np.flatnonzero(described.readable).tolist()
        asked = []
        for i in good:
            facts = photo_facts(Path(names[i]))
            if heading is not None:
                facts = replace(facts, heading=heading)
            descriptor = np.asarray(described.values[i], np.float32)
            asked.append(Query(str(queries[i]), descriptor, facts, Path(names[i])))
        found = dict(zip(good, self._answers(asked, question or Question()), strict=True))
        reasons = {image.index: image.error.reason for image in described.unreadable}
        return [
            found[i] if i in found else Answer(str(query), error=reasons[i])
            for i, query in enumerate(queries)
        ]

    def save(self, folder: str | Path, *, storage: str = "16") -> None:
        """Write an index in memory to a folder, which :meth:`open` opens.

        Raises:
            SettingsError: this index lies in a folder or in Milvus, or ``folder`` is an address.
            StorageError: the folder holds an index, or cannot be written.
        """
        if isinstance(self.store, MilvusStore):
            raise SettingsError(f"{self.name}: is kept in Milvus; build a folder from the photos")
        if not isinstance(self.store, MemoryStore):
            raise SettingsError(f"{self.folder}: is on disk already; copy the folder")
        if is_milvus(folder):
            raise SettingsError(f"{milvus_address(folder)}: build there instead, or name a folder")
        matrix = self.store.matrix
        dim = self.store.dim
        with writing(Path(folder), "saving it", create=True, dim=dim, storage=storage) as writer:
            writer.put_model(self.model, model_fingerprint(self.model))
            starts = range(0, len(matrix), _BLOCK)
            writer.append(self.places, (matrix[start : start + _BLOCK] for start in starts))
            for name, content in self.store.documents.items():
                writer.put_document(name, content)
            writer.commit()

    def _answers(self, queries: list[Query], question: Question) -> list[Answer]:
        features = self.local_features if question.rerank else None
        calibration = self.calibration(reranked=question.rerank)
        return answers(self.store, queries, question, calibration, features)

    def _add_collection(self, collection: Collection, work: Work, report: Reporter) -> Change:
        if isinstance(self.store, OpenedFolder):
            assert self.folder is not None
            change = add_to_folder(self.folder, self.model, collection, work=work, report=report)
            self.store.refresh()
            return change
        if isinstance(self.store, MilvusStore):
            return add_to_milvus(self.store, self.model, collection, work=work, report=report)
        described = describe(
            self.model,
            image_set(collection.places),
            batch_size=work.batch_size,
            threads=work.threads,
            precision=work.precision,
            stage="Describing photos",
            report=report,
        )
        good = np.flatnonzero(described.readable)
        self.store.append(collection.places.take(good), [described.values[good]])
        return Change(
            added=len(good),
            skipped=described.unreadable,
            notes=collection.notes,
            seconds=described.seconds,
        )

    def _not_just_now(self, where: Where, time: float | None, exclude_last_s: float) -> Where:
        now = self._latest() if time is None else time
        # A place whose time is unknown cannot be told from the present one: it stays out.
        before = now - exclude_last_s
        return replace(where, before=before if where.before is None else min(before, where.before))

    def _latest(self) -> float:
        """The time of the latest place; minus infinity where none is known."""
        times = (
            self.store.column("time") if isinstance(self.store, MemoryStore) else self.places.time
        )
        return float(times[np.isfinite(times)].max(initial=-np.inf))


def _collected(
    photos: Any,
    positions: str | Path | None,
    utm_zone: str | None,
    work: Work,
    report: Reporter,
) -> Collection:
    listed = [photos] if isinstance(photos, str | Path) else list(photos)
    table = None if positions is None else Path(positions)
    return collect_photos(
        listed, positions=table, utm_zone=utm_zone, threads=work.threads, report=report
    )


def _are_paths(images: object) -> bool:
    if isinstance(images, str | Path):
        return True
    return isinstance(images, Sequence) and all(isinstance(i, str | Path) for i in images)


def _name(query: object) -> str:
    return str(query) if isinstance(query, str | Path) else "image"


def _picture(query: Any) -> Path | NDArray[np.uint8]:
    if isinstance(query, str | Path):
        return Path(query)
    pixels = np.asarray(query)
    # (3, H, W), as torch has it.
    return pixels.transpose(1, 2, 0) if pixels.shape[0] == 3 and pixels.shape[2] != 3 else pixels
