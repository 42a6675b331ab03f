"""Several models on the same queries: each described once, searched, counted, and compared."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.evaluation.applying import PreparedEvaluation, apply
from netvlad.evaluation.by_protocol import Rows, evaluate_prepared
from netvlad.evaluation.comparison import Comparison, Competitor, compare_evaluations
from netvlad.evaluation.evaluate import (
    Evaluated,
    Evaluation,
    describe_sides,
    given_rows,
    with_costs,
)
from netvlad.evaluation.intervals import places_of
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.protocols import find_protocol, protocol_for
from netvlad.evaluation.resizing import Resizing
from netvlad.evaluation.sequences import SequenceSearch
from netvlad.models.describer import Describer
from netvlad.models.fingerprints import model_fingerprint
from netvlad.models.place_model import PlaceModel
from netvlad.storage import fingerprint
from netvlad.types import Note, PlaceDataset, Progress, Reporter, silent

_READ_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Comparing:
    """How models are compared, whichever they are.

    Attributes:
        one_percent: whether recall@1 % is wanted whatever the size of the database.
        sequences: match sequences too, as a row of its own for each model; None does not.
        place_label: the label that tells places apart; None groups queries by position.
        keep: where descriptors are kept, for another comparison; None for memory, or a file for
            the time being.
        storage: ``"32"`` or ``"16"`` bits a value of a descriptor.
        temporary: the folder below which temporary files go.
    """

    one_percent: bool = False
    sequences: SequenceSearch | None = None
    place_label: str | None = None
    keep: Path | None = None
    storage: str = "32"
    temporary: Path = Path("runs")


def compare(
    models: Mapping[str, Evaluated],
    dataset: PlaceDataset,
    protocol: Protocol | str | None = None,
    *,
    how: Comparing = Comparing(),
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Comparison:
    """Compare models on the same queries by the same rules.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from netvlad import ImageSet, PlaceDataset
        >>> at = np.column_stack([100.0 * np.arange(20), np.zeros(20)])
        >>> names = tuple(f"{i}.jpg" for i in range(20))
        >>> images = [ImageSet(Path(side), names, at) for side in ("database", "queries")]
        >>> right, wrong = np.eye(20), np.roll(np.eye(20), 1, axis=0)
        >>> models = {"mine": (right, right), "other": (right, wrong)}
        >>> print(compare(models, PlaceDataset("street", "test", *images)))
        street test · radius-25: 20 queries, 20 database images
                 R@1     R@5    R@10    R@20
        mine   1.000*  1.000   1.000   1.000
        other  0.000   0.250   0.500   1.000
        * better than each other model at R@1 (exact paired tests over queries, 5 % in all)

    Args:
        models: by the names that tables have: models, or descriptors made elsewhere as
            :func:`~netvlad.evaluation.evaluate.evaluate` takes them.
        dataset: the images.
        protocol: the rules, or their name (``netvlad protocols`` lists them); None for the data
            set's own list or radius, all queries, one index.
        how: what else is wanted, and where descriptors go.
        compute: where and how models run.
        report: receives progress and notes.

    Returns:
        figures with intervals, paired tests, and which model is beyond doubt the best;
        ``print(comparison)`` shows a table.

    Raises:
        DataError: there is no model, the data set lacks what the protocol asks for, or descriptors
            do not fit it.
        SettingsError: there is no such protocol, or it resizes images as the loader cannot.
        StorageError: ``how.keep`` cannot be written.
    """
    if not models:
        raise DataError("compare needs at least one model, by name: compare({'mine': model}, ...)")
    rules = [] if protocol is None else [_found(protocol)]
    competitors = [competitor(name, model) for name, model in models.items()]
    return compare_all(competitors, [dataset], rules, how, compute, report)[0]


def compare_all(
    competitors: Sequence[Competitor],
    datasets: Sequence[PlaceDataset],
    protocols: Sequence[Protocol],
    how: Comparing,
    compute: Compute,
    report: Reporter,
    *,
    called: Sequence[str] = (),
) -> list[Comparison]:
    """Every model on every data set by every protocol that is for it.

    All rules are tried before an image is read: what cannot be done is reported at once.

    Args:
        competitors: who takes part.
        datasets: where.
        protocols: by which rules; none for each data set's own.
        how: what else is wanted, and where descriptors go.
        compute: where and how models run.
        report: receives progress and notes.
        called: what people call each data set; none for the names they were opened by.

    Raises:
        DataError: a data set does not know what a protocol asks for, or descriptors do not fit.
        SettingsError: a protocol resizes images as the loader cannot.
    """
    plans = [
        (dataset, [apply(protocol, dataset) for protocol in protocols_for(dataset, protocols)])
        for dataset in datasets
    ]
    if any(one.model is not None for one in competitors):
        for _, prepared in plans:
            for one in prepared:
                one.protocol.resizing_of("database").for_loader()
                one.protocol.resizing_of("queries").for_loader()
    for dataset in datasets:
        places_of(dataset.queries, label=how.place_label)
    found = []
    names = called or [""] * len(plans)
    for name, (dataset, prepared) in zip(names, plans, strict=True):
        entries: list[list[tuple[Competitor, Evaluation]]] = [[] for _ in prepared]
        for each in competitors:
            stage = _Stage(each, dataset, prepared, how, compute, report)
            for of_protocol, rules in zip(entries, prepared, strict=True):
                of_protocol.extend(stage.evaluate(rules))
            stage.close()
        found += [
            compare_evaluations(part, place_label=how.place_label, called=name) for part in entries
        ]
    return found


def competitor(name: str, model: Evaluated, source: str = "") -> Competitor:
    """A model, or descriptors made elsewhere, as it takes part.

    Args:
        name: for tables.
        model: see :func:`~netvlad.evaluation.evaluate.evaluate`.
        source: as it was typed.

    Raises:
        DataError: descriptors are no (n, D) matrices of numbers, or differ in D.
    """
    if isinstance(model, tuple):
        rows = given_rows(model)
        first = rows[0].values if isinstance(rows[0], Descriptors) else rows[0]
        settings = {"descriptor_dim": first.shape[1], "dtype": str(first.dtype)}
        return Competitor(name, source, _fingerprint(model), settings, rows=rows)
    settings = {"resize": model.resize, "descriptor_dim": model.descriptor_dim}
    if isinstance(model, PlaceModel):
        settings = model.spec.to_json() | settings
    return Competitor(name, source, model_fingerprint(model), settings, model=model)


def protocols_for(dataset: PlaceDataset, wanted: Sequence[Protocol]) -> list[Protocol]:
    """The protocols of ``wanted`` that are for a data set; its own rules where none is wanted."""
    if not wanted:
        return [protocol_for(dataset)]
    return [p for p in wanted if not p.datasets or dataset.name in p.datasets]


def find_protocols(names: Sequence[str], datasets: Sequence[PlaceDataset]) -> list[Protocol]:
    """Protocols by name, each of them for one of the data sets at least, and the other way round.

    Raises:
        SettingsError: an unknown protocol, one that is for none of the data sets, or a data set
            that none is for.
    """
    found = [find_protocol(name) for name in dict.fromkeys(names)]
    for protocol in found:
        if not any(protocol in protocols_for(dataset, found) for dataset in datasets):
            raise SettingsError(
                f"protocol {protocol.name} is for {' or '.join(protocol.datasets)}, not for "
                f"{' or '.join(d.name for d in datasets)}; see `netvlad protocols`"
            )
    for dataset in datasets:
        if not protocols_for(dataset, found):
            raise SettingsError(
                f"none of the protocols is for {dataset.name}; name one that is, such as radius-25 "
                "(see `netvlad protocols`)"
            )
    return found


def _found(protocol: Protocol | str) -> Protocol:
    return find_protocol(protocol) if isinstance(protocol, str) else protocol


def _fingerprint(descriptors: tuple[Any, Any]) -> str:
    """16 hex digits for two matrices or files."""
    digest = hashlib.sha256()
    for part in descriptors:
        if isinstance(part, str | Path):
            with Path(part).open("rb") as file:
                while block := file.read(_READ_AT_ONCE):
                    digest.update(block)
        else:
            values = part.values if isinstance(part, Descriptors) else part
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


class _Stage:
    """One model on one data set: images are described once for all protocols of one size."""

    def __init__(
        self,
        one: Competitor,
        dataset: PlaceDataset,
        prepared: Sequence[PreparedEvaluation],
        how: Comparing,
        compute: Compute,
        report: Reporter,
    ) -> None:
        self._competitor, self._dataset, self._how, self._compute = one, dataset, how, compute
        self._report = _labelled(report, one.name)
        self._shared = len(prepared) > 1
        self._sides: dict[tuple[Resizing, Resizing], tuple[Rows, Rows]] = {}
        self._temporary = contextlib.ExitStack()

    def evaluate(self, prepared: PreparedEvaluation) -> list[tuple[Competitor, Evaluation]]:
        """The figures of single images, and of sequences where those are wanted."""
        if self._competitor.model is not None:
            rows: Any = self._described(self._competitor.model, prepared)
        else:
            rows = self._competitor.rows
        entries = []
        for sequences in dict.fromkeys((None, self._how.sequences)):
            one = self._competitor
            if sequences is not None:
                one = replace(
                    one,
                    name=f"{one.name}, sequences of {sequences.length}",
                    settings=dict(one.settings or {})
                    | {"sequence_length": sequences.length, "speeds": list(sequences.speeds)},
                )
            result = evaluate_prepared(
                prepared,
                *rows,
                one_percent=self._how.one_percent,
                sequences=sequences,
                compute=self._compute,
                report=self._report,
            )
            entries.append((one, with_costs(result, *rows)))
        return entries

    def close(self) -> None:
        """Remove what was written for the time being."""
        self._sides.clear()
        self._temporary.close()

    def _described(self, model: Describer, prepared: PreparedEvaluation) -> tuple[Rows, Rows]:
        protocol = prepared.protocol
        key = (protocol.resizing_of("database"), protocol.resizing_of("queries"))
        if key not in self._sides:
            # With several protocols some need images that others leave out.
            images = self._dataset if self._shared else prepared.needed()
            count = len(images.database) + len(images.queries)
            size = count * model.descriptor_dim * int(self._how.storage) // 8
            folder = self._temporary.enter_context(
                descriptor_folder(
                    self._kept_in(images, key), size, self._how.temporary, self._report
                )
            )
            self._sides[key] = describe_sides(
                model,
                images,
                protocol,
                folder=folder,
                storage=self._how.storage,
                compute=self._compute,
                report=self._report,
            )
        return self._sides[key]

    def _kept_in(self, images: PlaceDataset, key: tuple[Resizing, Resizing]) -> Path | None:
        """A folder for each model, data set, size and choice of images: they never collide."""
        if self._how.keep is None:
            return None
        own = fingerprint(
            self._competitor.fingerprint,
            repr(key),
            self._how.storage,
            self._compute.precision,
            *(str(side.root.absolute()) for side in (images.database, images.queries)),
            *("\0".join(side.names) for side in (images.database, images.queries)),
        )
        parts = (images.name, images.split, own)
        return self._how.keep / "-".join(part.replace(":", "-") for part in parts)


@contextlib.contextmanager
def descriptor_folder(
    wanted: Path | None, size_bytes: int, temporary: Path, report: Reporter
) -> Iterator[Path | None]:
    """Where descriptors go: the folder that was asked for, memory, or a file for the time being.

    Raises:
        StorageError: the temporary folder cannot be made.
    """
    if wanted is not None or size_bytes <= psutil.virtual_memory().available // 4:
        yield wanted
        return
    report(
        Note(
            f"{size_bytes / 1e9:.1f} GB of descriptors go to a temporary file below {temporary}; "
            "in a folder that you name they are kept, and a run that was stopped goes on"
        )
    )
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".descriptors-", dir=temporary)
    except OSError as error:
        raise StorageError(f"{temporary}: cannot be written: {error.strerror or error}") from error
    with folder as name:
        yield Path(name)


def _labelled(report: Reporter, name: str) -> Reporter:
    def labelled(event: Progress | Note) -> None:
        if isinstance(event, Progress):
            event = replace(event, stage=f"{name}: {event.stage[:1].lower()}{event.stage[1:]}")
        report(event)

    return labelled
