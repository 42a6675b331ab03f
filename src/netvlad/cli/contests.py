"""Running contests: every entrant on every data set, by every protocol that is for it."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from netvlad.cli.entrants import Entrant
from netvlad.cli.protocol_choice import protocols_for
from netvlad.compute import Compute
from netvlad.errors import StorageError
from netvlad.evaluation.applying import PreparedEvaluation, apply
from netvlad.evaluation.by_protocol import Rows
from netvlad.evaluation.comparison import Comparison, Competitor, compare_evaluations
from netvlad.evaluation.evaluate import Evaluation, Sides, describe_sides, evaluate_rows
from netvlad.evaluation.places import places_of
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.resizing import Resizing
from netvlad.evaluation.sequences import SequenceSearch
from netvlad.models.describer import Describer
from netvlad.storage import fingerprint
from netvlad.types import Note, PlaceDataset, Progress, Reporter


@dataclass(frozen=True)
class Work:
    """How describing and searching are done.

    Attributes:
        folder: where descriptors are kept; None for memory, or a file for the time being.
        storage: ``"32"`` or ``"16"`` bits a value.
        compute: where and how models run.
        temporary: the folder below which temporary files go.
        one_percent: whether recall@1 % is wanted whatever the size of the database.
        sequences: matches sequences too; None does not.
        place_label: the label that tells places apart; None groups queries by position.
    """

    compute: Compute
    folder: Path | None = None
    storage: str = "32"
    temporary: Path = Path("runs")
    one_percent: bool = False
    sequences: SequenceSearch | None = None
    place_label: str | None = None


def run_contests(
    entrants: Sequence[Entrant],
    datasets: Sequence[PlaceDataset],
    protocols: Sequence[Protocol],
    work: Work,
    report: Reporter,
    *,
    called: Sequence[str] = (),
) -> list[Comparison]:
    """Every entrant on every data set by every protocol that is for it.

    All rules are tried before an image is read: what cannot be done is said at once.

    Args:
        entrants: who takes part.
        datasets: where.
        protocols: by which rules; none for each data set's own.
        work: how.
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
    if any(entrant.model is not None for entrant in entrants):
        for _, prepared in plans:
            for one in prepared:
                one.protocol.resizing_of("database").for_loader()
                one.protocol.resizing_of("queries").for_loader()
    for dataset in datasets:
        places_of(dataset.queries, label=work.place_label)
    contests = []
    names = called or [""] * len(plans)
    for name, (dataset, prepared) in zip(names, plans, strict=True):
        entries: list[list[tuple[Competitor, Evaluation]]] = [[] for _ in prepared]
        for entrant in entrants:
            stage = _Stage(entrant, dataset, prepared, work, report)
            for found, one in zip(entries, prepared, strict=True):
                found.extend(stage.evaluate(one))
            stage.close()
        contests += [_measured(found, work, name) for found in entries]
    return contests


def _measured(
    entries: Sequence[tuple[Competitor, Evaluation]], work: Work, called: str
) -> Comparison:
    return compare_evaluations(entries, place_label=work.place_label, called=called)


class _Stage:
    """One entrant on one data set: images are described once for all protocols of one size."""

    def __init__(
        self,
        entrant: Entrant,
        dataset: PlaceDataset,
        prepared: Sequence[PreparedEvaluation],
        work: Work,
        report: Reporter,
    ) -> None:
        self._entrant, self._dataset, self._work = entrant, dataset, work
        self._report = _labelled(report, entrant.competitor.name)
        self._shared = len(prepared) > 1
        self._sides: dict[tuple[Resizing, Resizing], Sides] = {}
        self._temporary = contextlib.ExitStack()

    def evaluate(self, prepared: PreparedEvaluation) -> list[tuple[Competitor, Evaluation]]:
        """The figures of single images, and of sequences where those are wanted."""
        rows: tuple[Rows, Rows]
        if self._entrant.model is None:
            assert self._entrant.rows is not None
            rows = self._entrant.rows
        else:
            sides = self._described(self._entrant.model, prepared)
            rows = (sides.database, sides.queries)
        entries = []
        for sequences in dict.fromkeys((None, self._work.sequences)):
            competitor = self._entrant.competitor
            if sequences is not None:
                competitor = Competitor(
                    f"{competitor.name}, sequences of {sequences.length}",
                    competitor.source,
                    competitor.fingerprint,
                    dict(competitor.settings or {})
                    | {"sequence_length": sequences.length, "speeds": list(sequences.speeds)},
                )
            evaluation = evaluate_rows(
                prepared,
                *rows,
                one_percent=self._work.one_percent,
                sequences=sequences,
                compute=self._work.compute,
                report=self._report,
            )
            entries.append((competitor, evaluation))
        return entries

    def close(self) -> None:
        """Remove what was written for the time being."""
        self._sides.clear()
        self._temporary.close()

    def _described(self, model: Describer, prepared: PreparedEvaluation) -> Sides:
        protocol = prepared.protocol
        key = (protocol.resizing_of("database"), protocol.resizing_of("queries"))
        if key not in self._sides:
            # With several protocols some need images that others leave out.
            images = self._dataset if self._shared else prepared.needed()
            count = len(images.database) + len(images.queries)
            size = count * model.descriptor_dim * int(self._work.storage) // 8
            folder = self._temporary.enter_context(
                descriptor_folder(
                    self._kept_in(images, key), size, self._work.temporary, self._report
                )
            )
            self._sides[key] = describe_sides(
                model,
                images,
                protocol,
                folder=folder,
                storage=self._work.storage,
                compute=self._work.compute,
                report=self._report,
            )
        return self._sides[key]

    def _kept_in(self, images: PlaceDataset, key: tuple[Resizing, Resizing]) -> Path | None:
        """A folder for each model, data set, size and choice of images: they never collide."""
        if self._work.folder is None:
            return None
        own = fingerprint(
            self._entrant.competitor.fingerprint,
            repr(key),
            self._work.storage,
            self._work.compute.precision,
            *(str(side.root.absolute()) for side in (images.database, images.queries)),
            *("\0".join(side.names) for side in (images.database, images.queries)),
        )
        parts = (images.name, images.split, own)
        return self._work.folder / "-".join(part.replace(":", "-") for part in parts)


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
