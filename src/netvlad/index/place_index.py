"""Where was this taken? A model, the places it described, and the answers."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self, cast

from netvlad.compute import Compute
from netvlad.fitting.calibration import Calibration
from netvlad.index.address import (
    make_index,
    open_store,
    require_folder,
    require_place_model,
    store_calibration,
)
from netvlad.index.answer import (
    Query,
    Question,
    Verifier,
    answers,
    file_queries,
    image_query,
    not_just_now,
)
from netvlad.index.build import (
    Change,
    Photos,
    add_image,
    are_paths,
    collected,
)
from netvlad.index.photo_descriptors import Cluster
from netvlad.index.places import Places, find_places, missing_photos
from netvlad.index.results import Answer, Place, Position
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.store import Store
from netvlad.index.where import Where
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import Matcher
from netvlad.matching.registry import DEFAULT_MATCHER, load_matcher
from netvlad.models import Describer, ModelSpec, OneImage, PlaceModel
from netvlad.types import Reporter, counted, silent

__all__ = ["Answer", "Change", "Place", "PlaceIndex", "Position", "Question", "Where"]


class PlaceIndex:
    """Places that photos are compared with: in a folder, in Milvus, or in memory.

    Example::

        with netvlad.PlaceIndex.build("photos", output="my.index") as index:
            answer = index.locate("query.jpg")
            print(answer.places[0].image, answer.position, answer.probability)

    In memory, with frames instead of files:
        >>> import netvlad, numpy
        >>> frames = numpy.random.default_rng(0).integers(0, 256, (3, 96, 128, 3), numpy.uint8)
        >>> index = PlaceIndex.in_memory(netvlad.load_model("efficientnet-lite0-avg"))
        >>> for number, frame in enumerate(frames):
        ...     _ = index.add(frame, position=(52.2, 0.12 + number / 1000))
        >>> index
        PlaceIndex('index in memory', 3 places, efficientnet-lite0 avg, 112-D)
        >>> place = index.locate(frames[1]).places[0]
        >>> place.image, round(place.score, 3), place.longitude
        ('frame-000001', 1.0, 0.121)

    Attributes:
        store: where the places lie.
        folder: the index folder; None in memory and in Milvus.
        compute: where and how photos and queries are described.
        change: what :meth:`build` or the last :meth:`add` did; None before.
    """

    def __init__(
        self, store: Store, *, model: PlaceModel | None = None, compute: Compute = Compute()
    ) -> None:
        """Join places and the model they were described by; see the class methods instead.

        Args:
            store: the places.
            model: None takes the one that the store keeps, when it is first needed.
            compute: where and how the model runs.
        """
        self.store = store
        self.folder = store.folder
        self.change: Change | None = None
        self.compute = compute
        self._matchers: dict[str, Matcher] = {}
        if model is not None:
            self.__dict__["model"] = compute.place(model)

    @classmethod
    def build(
        cls,
        photos: Photos,
        model: Describer | None = None,
        *,
        output: str | Path | None = None,
        positions: str | Path | None = None,
        utm_zone: str | None = None,
        storage: str = "16",
        whiten: int | None = None,
        compute: Compute = Compute(),
        cluster: Cluster | None = None,
        seed: int = 123,
        report: Reporter = silent,
    ) -> "PlaceIndex":
        """Make an index of photos: in a folder or in Milvus (``output``), or in memory.

        ``PlaceIndex.build("photos")`` learns a model from the photos themselves.

        Args and errors: see :func:`~netvlad.index.address.make_index`.

        Returns:
            The index; ``index.change`` says what was skipped and why.
        """
        store, change = make_index(
            photos,
            model,
            output=output,
            positions=positions,
            utm_zone=utm_zone,
            storage=storage,
            whiten=whiten,
            compute=compute,
            cluster=cluster,
            seed=seed,
            report=report,
        )
        index = cls(store, compute=compute)
        index.change = change
        return index

    @classmethod
    def open(cls, folder: str | Path, *, compute: Compute = Compute()) -> "PlaceIndex":
        """Open an index; the model is loaded when it is first needed, and run as ``compute`` says.

        Args and errors: see :func:`~netvlad.index.address.open_store`.
        """
        return cls(open_store(folder), compute=compute)

    @classmethod
    def in_memory(cls, model: Describer, *, compute: Compute = Compute()) -> "PlaceIndex":
        """An empty index that never touches the disk, for a camera on its way.

        Example::

            index = PlaceIndex.in_memory(model)
            index.add(frame, position=(52.2, 0.12), time=seconds)
            closure = index.locate(frame, time=seconds, exclude_last_s=30, min_probability=0.9)

        Raises:
            ModelError: ``model`` is not of netvlad's own making, and could not be saved.
        """
        model = require_place_model(model)
        return cls(MemoryStore(model.descriptor_dim, model), compute=compute)

    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        places = counted(len(self), "places")
        spec = self._spec
        return (
            f"PlaceIndex({self.name!r}, {places}, {spec.arch} {spec.pooling}, {self.store.dim}-D)"
        )

    def close(self) -> None:
        """Let go of the files, or of the connection; the index cannot be asked any more."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def places(self) -> Places:
        """The places, in the order in which they were added."""
        return self.store.places

    @cached_property
    def model(self) -> PlaceModel:
        """The model that described the places, and describes queries."""
        return self.compute.place(self.store.load_model())

    @property
    def name(self) -> str:
        """What messages call it: the folder, or the address in Milvus without a password."""
        return self.store.name

    def calibration(
        self, *, reranked: bool | str = False, report: Reporter = silent
    ) -> Calibration:
        """Turns scores into probabilities: see :func:`~netvlad.index.address.store_calibration`."""
        return store_calibration(self.store, self._spec.pooling, reranked=reranked, report=report)

    @property
    def _spec(self) -> ModelSpec:
        """What the model is made of, without waiting for its weights."""
        return self.store.model_spec()

    @cached_property
    def local_features(self) -> FeatureCache:
        """Local features of the index's photos, for re-ranking."""
        return FeatureCache(None if self.folder is None else self.folder / "features")

    def matcher(self, name: str = DEFAULT_MATCHER, *, report: Reporter = silent) -> Matcher:
        """What re-ranking compares photos by, loaded when it is first asked for.

        Args and errors: see :func:`~netvlad.matching.registry.load_matcher`.
        """
        if name not in self._matchers:
            self._matchers[name] = load_matcher(name, compute=self.compute, report=report)
        return self._matchers[name]

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
        cluster: Cluster | None = None,
        report: Reporter = silent,
    ) -> Change:
        """Add photos by their paths, or one image from memory.

        Args and errors: for paths ``positions``, ``utm_zone``, ``cluster`` and ``report`` as
        :meth:`build` takes them; for one image the others, see
        :func:`~netvlad.index.build.add_image`.

        Returns:
            What was done; photos that cannot be used are skipped and listed.
        """
        if are_paths(images):
            collection = collected(images, positions, utm_zone, self.compute, report)
            self.change = self.store.add(
                self.model, collection, self.compute, report, cluster=cluster
            )
        else:
            self.change = add_image(
                self.store,
                self.model,
                cast(OneImage, images),
                position=position,
                heading=heading,
                time=time,
                name=name,
            )
        return self.change

    def remove(self, images: Iterable[str | Path]) -> int:
        """Remove places by their paths or names, folders for all photos below; how many there were.

        Raises:
            DataError: one of ``images`` names no place; nothing has changed.
            StorageError: another process is writing to the folder.
        """
        wanted = list(images)
        return self.store.remove(lambda places: find_places(places, wanted))

    def remove_missing(self) -> int:
        """Remove the places whose photo is no longer there; how many there were.

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
        rerank: bool | str = False,
        radius_m: float = 25.0,
        min_probability: float | None = None,
        position: tuple[float, float] | None = None,
        heading: float | None = None,
        time: float | None = None,
        exclude_last_s: float | None = None,
    ) -> Answer:
        """Say where one photo was taken.

        Args and errors: what is asked, ``k`` to ``min_probability``, see
        :class:`~netvlad.index.answer.Question`; the photo and what it says of itself, see
        :func:`~netvlad.index.answer.image_query`; ``exclude_last_s`` leaves out what was seen
        just now, see :func:`~netvlad.index.answer.not_just_now`. A matcher may be missing, see
        :meth:`matcher`.
        """
        conditions = where or Where()
        if exclude_last_s is not None:
            conditions = not_just_now(self.store, conditions, time, exclude_last_s)
        question = Question(
            k=k,
            where=conditions,
            heading_deg=heading_deg,
            rerank=rerank,
            radius_m=radius_m,
            min_probability=min_probability,
        )
        asked = image_query(
            self.model,
            query,
            position=position,
            heading=heading,
            time=time,
        )
        return self._answers([asked], question, silent)[0]

    def locate_all(
        self,
        queries: Sequence[str | Path],
        question: Question | None = None,
        *,
        heading: float | None = None,
        report: Reporter = silent,
    ) -> list[Answer]:
        """Say where several photos were taken, with one pass of the model and one search.

        Args and errors: see :func:`~netvlad.index.answer.file_queries` and, for a matcher that
        may be missing, :meth:`matcher`; ``question`` is what is asked of each.

        Returns:
            one answer for each query, in order; one that cannot be used has an ``error``.
        """
        question = question or Question()
        if question.matcher is not None:
            self.matcher(question.matcher, report=report)  # before work that would be in vain
        asked, reasons = file_queries(
            self.model, queries, heading=heading, compute=self.compute, report=report
        )
        found = iter(self._answers(asked, question, report))
        return [
            Answer(str(query), error=reasons[i]) if i in reasons else next(found)
            for i, query in enumerate(queries)
        ]

    def save(self, folder: str | Path, *, storage: str = "16") -> None:
        """Write an index in memory to a folder, which :meth:`open` opens.

        Args and errors: see :meth:`~netvlad.index.stores.store.Store.save`.
        """
        self.store.save(require_folder(folder), storage=storage)

    def _answers(self, queries: list[Query], question: Question, report: Reporter) -> list[Answer]:
        name = question.matcher
        verifier = None if name is None else Verifier(self.matcher(name), self.local_features)
        calibration = self.calibration(reranked=question.rerank, report=report)
        return answers(self.store, queries, question, calibration, verifier, report)
