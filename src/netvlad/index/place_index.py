"""Where was this taken? A model, the places it described, and the answers."""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, cast

from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError, WeightsError
from netvlad.export.engines import engine_of as network_engine
from netvlad.fitting.calibration import Calibration
from netvlad.index.address import engine_of, open_store, shown
from netvlad.index.answer import (
    Query,
    Question,
    answers,
    file_queries,
    image_query,
    not_just_now,
)
from netvlad.index.build import Change, Photos, are_paths, build_folder
from netvlad.index.photo_descriptors import Cluster, fitted_whitening, model_or_default
from netvlad.index.photos import Collection, collect_photos
from netvlad.index.places import Places, find_places, missing_photos
from netvlad.index.probability import HERE, default_calibrations, document_name
from netvlad.index.results import Answer, Place, Position
from netvlad.index.stores.memory import MemoryStore
from netvlad.index.stores.store import Store, frame_name
from netvlad.index.where import Where
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import Matcher
from netvlad.matching.registry import DEFAULT_MATCHER, load_matcher, matcher_name
from netvlad.models import Describer, ModelSpec, OneImage, PlaceModel
from netvlad.models.image_inputs import image_pixels
from netvlad.types import Note, Reporter, counted, silent

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
        features: str | None = None,
        compute: Compute = Compute(),
        cluster: Cluster | None = None,
        seed: int = 123,
        report: Reporter = silent,
    ) -> "PlaceIndex":
        """Make an index of photos: in a folder or in Milvus (``output``), or in memory.

        ``PlaceIndex.build("photos")`` learns a model from the photos themselves.

        Args:
            photos: files, and folders with all below them.
            model: describes them; None fits the default model to them
                (:func:`~netvlad.index.photo_descriptors.default_model`).
            output: the folder to make, or an address in Milvus
                (:func:`~netvlad.index.stores.milvus.client.milvus_address`); None keeps the index
                in memory, see :meth:`save`.
            positions: a table of positions (CSV or Parquet: image, latitude, longitude, ...).
            utm_zone: zone of eastings and northings, where the table or the names do not say.
            storage: bits per value of stored descriptors, ``"16"`` or ``"32"``.
            whiten: dimension that descriptors are reduced to, by a PCA whitening learned from them;
                0 for no whitening. None whitens the default model in part, see
                :class:`~netvlad.models.whitening.PartialWhitening`, and no other.
            features: the local features that are kept of each photo, by which :meth:`locate`
                verifies places: one of :data:`~netvlad.matching.registry.MATCHERS`, or
                ``"none"``; None takes ``"sift"``, and nothing in Milvus, which cannot keep them.
            compute: where and how photos are described.
            cluster: machines that describe the photos of an index folder; None is this one alone.
            seed: of the default model's centres, and of whitening's sample.
            report: receives progress and notes.

        Returns:
            The index; ``index.change`` says what was skipped and why.

        Raises:
            DataError: a path does not exist, the table makes no sense, or no photo can be used.
            ModelError: ``model`` is not of netvlad's own making, and could not be saved.
            SettingsError: settings contradict each other, or something is not installed.
            StorageError: ``output`` holds an index, or cannot be written.
        """
        own = None if model is None else _place_model(model)
        engine = None if output is None else engine_of(output)
        if cluster is not None and (output is None or engine):
            raise SettingsError("describing on a cluster needs output: the folder of an index")
        if engine and features not in (None, "none"):
            raise SettingsError(f"features {features}: only index folders and memory keep them")
        matcher = None if engine else feature_matcher(features, compute, report)
        collection = _collected(photos, positions, utm_zone, compute, report)
        if output is None:
            chosen = model_or_default(own, collection.places, compute, seed, report)
            memory = MemoryStore(chosen.descriptor_dim, chosen, matcher)
            change = memory.add(chosen, collection, compute, report, matcher=matcher)
            whitening = fitted_whitening(memory.matrix, whiten, default=own is None, seed=seed)
            if whitening is not None:
                memory.whiten(whitening)
            store: Store = memory
        else:
            make = partial(build_folder, Path(output), cluster=cluster, matcher=matcher)
            if engine:
                make = partial(engine.build, engine.parse(output))
            change = make(
                own,
                collection,
                storage=storage,
                whiten=whiten,
                compute=compute,
                seed=seed,
                report=report,
            )
            store = open_store(output)
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
    def in_memory(
        cls, model: Describer, *, features: str = "none", compute: Compute = Compute()
    ) -> "PlaceIndex":
        """An empty index that never touches the disk, for a camera on its way.

        ``features`` as for :meth:`build`; finding and comparing them takes RootSIFT about a quarter
        of a second a frame.

        Example::

            index = PlaceIndex.in_memory(model)
            index.add(frame, position=(52.2, 0.12), time=seconds)
            closure = index.locate(frame, time=seconds, exclude_last_s=30, min_probability=0.9)

        Raises:
            ModelError: ``model`` is not of netvlad's own making, and could not be saved.
            SettingsError: there are no such features.
        """
        own, matcher = _place_model(model), feature_matcher(features, compute)
        return cls(MemoryStore(own.descriptor_dim, own, matcher), compute=compute)

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
        return self._loaded_model(silent)

    def _loaded_model(self, report: Reporter) -> PlaceModel:
        model = self.compute.place(self.store.load_model())
        model.engine = network_engine(model, self.compute, 1, report)
        return model

    @property
    def name(self) -> str:
        """What messages call it: the folder, or the address in Milvus without a password."""
        return self.store.name

    def calibrations(
        self, *, reranked: bool | str = False, report: Reporter = silent
    ) -> tuple[Calibration, ...]:
        """What turns scores into probabilities: the index's own, then the default ones.

        The first whose features an answer has counts, see
        :func:`~netvlad.index.probability.first_place_probability`.

        Args:
            reranked: those for answers that were verified, or by which matcher. For learned ones
                there is no default: without one of the index's own, answers are judged as if they
                were not verified.
            report: receives a note where they are judged so.

        Raises:
            SettingsError: there is no matcher of that name.
            StorageError: one of the index's own is damaged.
        """
        matcher = matcher_name(reranked)
        names = dict.fromkeys(document_name(reranked=name or False) for name in (matcher, None))
        kept = [name for name in names if name in self.store.documents]
        own = [Calibration.from_json(self.store.documents[name], self.name) for name in kept]
        if matcher not in (None, DEFAULT_MATCHER) and document_name(reranked=reranked) not in kept:
            report(
                Note(
                    "probabilities are those of answers that are not verified; fit some to "
                    f"{matcher}: netvlad index calibrate --matcher {matcher}"
                )
            )
        verified = matcher == DEFAULT_MATCHER
        usual = default_calibrations(self._spec, verified=verified)
        if verified and document_name(reranked=reranked) not in kept:
            # One that was fitted without verification knows less of verified answers.
            return (*usual[:-1], *own, usual[-1])
        return (*own, *usual)

    @property
    def _spec(self) -> ModelSpec:
        """What the model is made of, without waiting for its weights."""
        return self.store.model_spec()

    @cached_property
    def feature_cache(self) -> FeatureCache:
        """Local features of the index's photos that the index itself does not keep."""
        return FeatureCache(None if self.folder is None else self.folder / "features")

    def matcher(self, name: str = DEFAULT_MATCHER, *, report: Reporter = silent) -> Matcher:
        """What verification compares photos by, loaded when it is first asked for.

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

        Args:
            images: files, and folders with all below them; or a Pillow image, (H, W, 3) uint8 numpy
                or (3, H, W) uint8 torch. For paths, ``positions``, ``utm_zone``, ``cluster`` and
                ``report`` are as for :meth:`build`; the others are for one image.
            position: latitude and longitude, WGS84 degrees.
            heading: degrees clockwise from north that it looks to.
            time: seconds that it was taken at, of any clock that all of them share.
            name: what answers call it; None numbers it, like none before it.

        Returns:
            What was done; photos that cannot be used are skipped and listed.

        Raises:
            DataError: a path does not exist, or the table makes no sense.
            ModelError: the image is not uint8 RGB, or is too small.
            SettingsError: something is not installed.
            StorageError: another process is writing to the folder, or its disk is full; nothing has
                changed.
        """
        kept = self.store.features
        matcher = None if kept is None else self.matcher(kept, report=report)
        if are_paths(images):
            collection = _collected(images, positions, utm_zone, self.compute, report)
            self.change = self.store.add(
                self.model, collection, self.compute, report, cluster=cluster, matcher=matcher
            )
            return self.change
        image = cast(OneImage, images)
        descriptor = self.model.describe(image)
        features = []
        if matcher is not None:
            features = [matcher.extract(image_pixels(image, resize=matcher.max_side))]
        values = {"time": time, "heading": heading}
        if position is not None:
            values["latitude"], values["longitude"] = position
        known = {key: float(value) for key, value in values.items() if value is not None}
        frame = frame_name(self.store.next_frame) if name is None else name
        self.store.append_one(descriptor, frame, known, features)
        self.change = Change(added=1)
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
        rerank: bool | str | None = None,
        radius_m: float = 25.0,
        min_probability: float = HERE,
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
        self._verifying(question, report)  # before work that would be in vain
        if "model" not in self.__dict__:
            self.__dict__["model"] = self._loaded_model(report)  # an engine may take its time
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
        if engine_of(folder):
            raise SettingsError(f"{shown(folder)}: build there instead, or name a folder")
        self.store.save(Path(folder), storage=storage)

    def _answers(self, queries: list[Query], question: Question, report: Reporter) -> list[Answer]:
        matcher = self._verifying(question, report)
        reranked = False if matcher is None else matcher.name
        calibrations = self.calibrations(reranked=reranked, report=report)
        cache = self.feature_cache
        return answers(self.store, queries, question, calibrations, matcher, cache, report)

    def _verifying(self, question: Question, report: Reporter) -> Matcher | None:
        name = question.matcher(self.store.features)
        if name is None:
            return None
        try:
            return self.matcher(name, report=report)
        except (SettingsError, WeightsError) as error:
            if question.rerank is not None:
                raise
            # Nobody asked for it, and the machine that built the index may have had more.
            report(Note(f"places are not verified: {error}"))
            return None


def feature_matcher(
    name: str | None, compute: Compute = Compute(), report: Reporter = silent
) -> Matcher | None:
    """What finds the local features that an index keeps; None for ``"none"``, RootSIFT for None.

    Raises:
        SettingsError: there are none of that name, or a package is not installed.
        WeightsError: weights cannot be had.
    """
    if name == "none":
        return None
    return load_matcher(name or DEFAULT_MATCHER, compute=compute, report=report)


def _collected(
    photos: Any,
    positions: str | Path | None,
    utm_zone: str | None,
    compute: Compute,
    report: Reporter,
) -> Collection:
    listed = [photos] if isinstance(photos, str | Path) else photos
    if not isinstance(listed, Iterable):
        raise SettingsError(
            f"photos are of type {type(photos).__name__}; give paths of files and folders (of an "
            "ImageSet: [images.path(i) for i in range(len(images))])"
        )
    table = None if positions is None else Path(positions)
    return collect_photos(
        list(listed), positions=table, utm_zone=utm_zone, threads=compute.threads, report=report
    )


def _place_model(model: object) -> PlaceModel:
    """Refuse a model that an index cannot keep, before any work."""
    if not isinstance(model, PlaceModel):
        name = getattr(model, "name", type(model).__name__)
        raise ModelError(
            f"model {name}: is code of your own, but an index keeps its model as weights and "
            "settings, which a netvlad.PlaceModel has; netvlad.describe and netvlad.evaluate take "
            "it, or give a PlaceModel"
        )
    return model
