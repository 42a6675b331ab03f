"""A protocol applied to a data set: which queries count, and what each may be answered with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.listed_truth import neighbours_within_frames
from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.protocol_record import Frames, LabelFilter, Protocol, Radius, Suppression
from netvlad.geography import radius_neighbours
from netvlad.storage import fingerprint
from netvlad.types import ImageSet, Neighbours, PlaceDataset, counted


def correct_answers(
    protocol: Protocol,
    dataset: PlaceDataset,
    queries: NDArray[np.int64],
    database: NDArray[np.int64],
) -> Neighbours:
    """The correct answers of some queries among some database images.

    What a query may not be answered with (another city's index, its own time stamp) is not correct
    either.

    Args:
        protocol: what counts as correct.
        dataset: the images.
        queries: (Q,) rows of ``dataset.queries``.
        database: (N,) rows of ``dataset.database``.

    Returns:
        Q rows of indices into the whole ``dataset.database``.

    Raises:
        DataError: the data set lacks the positions, frame numbers, list or time stamps.
    """
    found = _positives(protocol, dataset, queries)
    rows, indices = found.pairs()
    kept = np.zeros(len(dataset.database), np.bool_)
    kept[database] = True
    keep = kept[indices]
    asked = queries[rows]
    if protocol.index_per is not None:
        label = protocol.index_per
        theirs = dataset.database.labels.get(label)
        own = dataset.queries.labels.get(label)
        if theirs is not None and own is not None:
            keep &= own[asked] == theirs[indices]
    if protocol.exclude_same_time:
        own_times, their_times = _times(dataset)
        keep &= own_times[asked] != their_times[indices]
    return Neighbours.from_pairs(rows[keep], indices[keep], len(queries))


def _positives(protocol: Protocol, dataset: PlaceDataset, queries: NDArray[np.int64]) -> Neighbours:
    called = f"{dataset.name} {dataset.split}"
    rule = protocol.positives
    theirs, own = dataset.database.positions, dataset.queries.positions
    if isinstance(rule, Radius) and theirs is not None and own is not None:
        return radius_neighbours(own[queries], theirs, rule.radius_m)
    if isinstance(rule, Radius) and not (rule.or_listed and dataset.positives is not None):
        raise DataError(
            f"{called}: protocol {protocol.name} needs positions of database and queries; "
            "choose one that counts frames or takes the list"
        )
    if isinstance(rule, Frames):
        own_frames, their_frames = _frames(called, protocol, dataset)
        return neighbours_within_frames(own_frames[queries], their_frames, rule.tolerance)
    if dataset.positives is None:
        raise DataError(
            f"{called}: protocol {protocol.name} takes the correct answers from the data set's "
            "list, but it has none; choose a protocol with a radius"
        )
    if len(dataset.positives) != len(dataset.queries):
        raise DataError(
            f"{called}: positives of {len(dataset.positives)} queries, but "
            f"{len(dataset.queries)} queries"
        )
    return dataset.positives.subset(queries)


def _frames(
    called: str, protocol: Protocol, dataset: PlaceDataset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sides = (dataset.queries, dataset.database)
    if all("frame" in side.labels for side in sides):
        own, theirs = (_numbers(called, side) for side in sides)
        return own, theirs
    if len(dataset.queries) != len(dataset.database):
        raise DataError(
            f"{called}: protocol {protocol.name} counts frames, but {len(dataset.queries)} queries "
            f"and {len(dataset.database)} database images are not frame by frame; give both sides "
            "a label frame"
        )
    return np.arange(len(dataset.queries)), np.arange(len(dataset.database))


def _numbers(called: str, images: ImageSet) -> NDArray[np.int64]:
    try:
        return images.labels["frame"].astype(np.int64)
    except ValueError as error:
        raise DataError(
            f"{called}: a label frame is no whole number; number every frame"
        ) from error


def _times(dataset: PlaceDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own, theirs = dataset.queries.times, dataset.database.times
    if own is None or theirs is None:
        raise DataError(
            f"{dataset.name} {dataset.split}: the protocol leaves out images with the query's time "
            "stamp, but there are no time stamps; choose a protocol that does not"
        )
    return own, theirs


@dataclass(frozen=True, eq=False)
class SearchGroup:
    """Queries that are asked of the same database images.

    Attributes:
        queries: (n,) ascending, places in :attr:`PreparedEvaluation.queries`.
        scope: the word of ``index_per`` that the database images carry; None for all.
        without_time: images with this time stamp are left out; None for none.
    """

    queries: NDArray[np.int64]
    scope: str | None = None
    without_time: float | None = None


@dataclass(frozen=True, eq=False)
class PreparedEvaluation:
    """What is asked of what, and what is correct; images are numbered as the data set was opened.

    Attributes:
        protocol: the rules.
        dataset: as it was opened.
        queries: (Q,) ascending rows of ``dataset.queries``: the denominator.
        database: (N,) ascending rows of ``dataset.database``: what may be returned.
        positives: Q rows of correct rows of ``dataset.database``.
        groups: a search for each; every query is in exactly one.
        panoramas: (all database images,) a number for each panorama; None without suppression.
        notes: what a person should know, a sentence each.
        data_fingerprint: 16 hex digits for the names, positions, labels and lists of the data.
    """

    protocol: Protocol
    dataset: PlaceDataset
    queries: NDArray[np.int64]
    database: NDArray[np.int64]
    positives: Neighbours
    groups: tuple[SearchGroup, ...]
    panoramas: NDArray[np.int64] | None
    notes: tuple[str, ...]
    data_fingerprint: str

    def answers_of(self, group: SearchGroup) -> NDArray[np.int64]:
        """Ascending rows of ``dataset.database`` that the queries of a group may be given."""
        images = self.dataset.database
        rows = self.database
        if group.scope is not None and self.protocol.index_per is not None:
            rows = rows[images.labels[self.protocol.index_per][rows] == group.scope]
        if group.without_time is not None and images.times is not None:
            rows = rows[images.times[rows] != group.without_time]
        return rows

    def needed(self) -> PlaceDataset:
        """The data set with the images that count and no others, positives as a list.

        Its descriptors are all that :func:`netvlad.evaluation.by_protocol.evaluate_prepared` needs.
        """
        place = np.full(len(self.dataset.database), -1, np.int64)
        place[self.database] = np.arange(len(self.database))
        return replace(
            self.dataset,
            database=self.dataset.database.subset(self.database),
            queries=self.dataset.queries.subset(self.queries),
            positives=replace(self.positives, indices=place[self.positives.indices]),
        )


def apply(protocol: Protocol, dataset: PlaceDataset) -> PreparedEvaluation:
    """Work out what a protocol makes of a data set; no image is read.

    Raises:
        SettingsError: the protocol is for other data sets.
        DataError: the data set does not know what the protocol asks for (a label, positions, time
            stamps, a list), has another version of the queries, or no query is left.
    """
    if protocol.datasets and dataset.name not in protocol.datasets:
        raise SettingsError(
            f"protocol {protocol.name} is for {' or '.join(protocol.datasets)}, not for "
            f"{dataset.name}; see `netvlad protocols` for others, such as radius-25"
        )
    notes: list[str] = []
    queries = _kept(dataset, "queries", protocol.query_filters, notes)
    database = _kept(dataset, "database", protocol.database_filters, notes)
    queries = _of_version(dataset, protocol.query_version, queries, notes)
    positives = correct_answers(protocol, dataset, queries, database)
    if protocol.count == "with-positive":
        counting = positives.counts() > 0
        if not counting.all():
            without = counted(int(np.sum(~counting)), "queries")
            notes.append(f"not counted: {without} without a correct answer.")
        queries, positives = queries[counting], positives.subset(counting)
    if len(queries) == 0:
        raise DataError(f"{_called(dataset)}: no query counts under protocol {protocol.name}")
    if not positives.counts().any():
        notes.append("No query has a correct answer: every recall is 0; check that both sides fit.")
    _compare_counts(protocol, database, queries, notes)
    return PreparedEvaluation(
        protocol=protocol,
        dataset=dataset,
        queries=queries,
        database=database,
        positives=positives,
        groups=_groups(protocol, dataset, queries),
        panoramas=_panoramas(protocol.suppression, dataset),
        notes=tuple(notes),
        data_fingerprint=data_fingerprint(dataset),
    )


def data_fingerprint(dataset: PlaceDataset) -> str:
    """16 hex digits for what an evaluation depends on, wherever the files lie.

    Names, positions, time stamps and labels of both sides in their order, and the list of correct
    answers. The pixels are not looked at.
    """
    parts: list[bytes | str] = []
    for images in (dataset.database, dataset.queries):
        parts += [str(len(images)), "\0".join(images.names)]
        for numbers in (images.positions, images.times):
            # NaN has many bit patterns; adding 0 turns -0 into 0.
            parts.append(
                b""
                if numbers is None
                else np.where(np.isnan(numbers), np.nan, numbers + 0.0).astype("<f8").tobytes()
            )
        for name in sorted(images.labels):
            parts += [name, "\0".join(images.labels[name].tolist())]
    if dataset.positives is not None:
        parts += [dataset.positives.offsets.astype("<i8").tobytes()]
        parts += [dataset.positives.indices.astype("<i8").tobytes()]
    return fingerprint(*parts)


def _kept(
    dataset: PlaceDataset, side: str, filters: Sequence[LabelFilter], notes: list[str]
) -> NDArray[np.int64]:
    images: ImageSet = getattr(dataset, side)
    kept = np.ones(len(images), np.bool_)
    for wanted in filters:
        words = images.labels.get(wanted.label)
        if words is not None:
            kept &= _carries(words, wanted.keep)
        elif wanted.required:
            raise DataError(
                f"{_called(dataset)}: the {side} have no label {wanted.label}, which the protocol "
                "filters by; open the data set in its owners' layout, or choose another protocol"
            )
        else:
            notes.append(
                f"The {side} have no label {wanted.label}: all of them count, as if filtered "
                "already."
            )
    return np.flatnonzero(kept)


def _carries(words: NDArray[np.str_], wanted: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) whether one of an image's words, which spaces separate, is wanted."""
    distinct, which = np.unique(words, return_inverse=True)
    carried = np.array([bool(set(text.split()) & set(wanted)) for text in distinct.tolist()], bool)
    found: NDArray[np.bool_] = carried[which]
    return found


def _of_version(
    dataset: PlaceDataset, version: str | None, rows: NDArray[np.int64], notes: list[str]
) -> NDArray[np.int64]:
    """The queries of the wanted version, as a label, the split or their folders tell it."""
    if version is None:
        return rows
    words = dataset.queries.labels.get("version")
    if words is not None:
        of_version: NDArray[np.bool_] = np.asarray(words[rows] == version)
        kept: NDArray[np.int64] = rows[of_version]
        return kept
    folders = {name.rpartition("/")[0] for name in dataset.queries.names}
    told = {
        found
        for text in (dataset.split, *folders)
        for found in re.findall(r"(?:^|[^a-z])(v\d+)(?![a-z0-9])", text.lower())
    }
    if told and version not in told:
        raise DataError(
            f"{_called(dataset)}: has queries {', '.join(sorted(told))}, but the protocol is for "
            f"{version}; open the split with those"
        )
    if not told:
        notes.append(f"The protocol is for queries {version}; the data set does not tell which.")
    return rows


def _compare_counts(
    protocol: Protocol,
    database: NDArray[np.int64],
    queries: NDArray[np.int64],
    notes: list[str],
) -> None:
    counts = len(database), len(queries)
    if protocol.published is not None and counts != protocol.published:
        notes.append(
            f"{counted(counts[0], 'database images')} and {counted(counts[1], 'queries')} "
            f"count; under {protocol.name} "
            f"{protocol.published[0]} and {protocol.published[1]} do: figures do not compare."
        )


def _groups(
    protocol: Protocol, dataset: PlaceDataset, rows: NDArray[np.int64]
) -> tuple[SearchGroup, ...]:
    everyone = np.arange(len(rows))
    groups = [SearchGroup(everyone)]
    if protocol.index_per is not None:
        words = _scope_words(protocol.index_per, dataset)[rows]
        groups = [
            SearchGroup(np.flatnonzero(words == word), scope=word)
            for word in np.unique(words).tolist()
        ]
    if protocol.exclude_same_time:
        times = dataset.queries.times
        assert times is not None  # correct_answers has looked
        groups = [part for group in groups for part in _by_time(group, times[rows])]
    return tuple(groups)


def _by_time(group: SearchGroup, times: NDArray[np.float64]) -> list[SearchGroup]:
    own = times[group.queries]
    parts = [
        replace(group, queries=group.queries[own == time], without_time=time)
        for time in np.unique(own[~np.isnan(own)]).tolist()
    ]
    unknown = group.queries[np.isnan(own)]
    return parts + ([replace(group, queries=unknown)] if len(unknown) else [])


def _scope_words(label: str, dataset: PlaceDataset) -> NDArray[np.str_]:
    words = dataset.queries.labels.get(label)
    if words is None or label not in dataset.database.labels:
        raise DataError(
            f"{_called(dataset)}: has no label {label}, which the protocol has an index for each "
            "of; open the data set in its owners' layout, or choose a protocol with one index"
        )
    if (words == "").any():
        raise DataError(
            f"{_called(dataset)}: {int(np.sum(words == ''))} queries have an empty label {label}, "
            "so there is no index to ask; choose a protocol with one index"
        )
    return words


def _panoramas(suppression: Suppression | None, dataset: PlaceDataset) -> NDArray[np.int64] | None:
    if suppression is None:
        return None
    count = len(dataset.database)
    words = dataset.database.labels.get(suppression.label)
    if words is not None:
        numbers = np.unique(words, return_inverse=True)[1].astype(np.int64)
        # What is not known to be of one panorama is not suppressed.
        unknown = np.flatnonzero(words == "")
        numbers[unknown] = count + unknown
        return numbers
    if count % suppression.cut_outs:
        raise DataError(
            f"{_called(dataset)}: {count:,} database images are no whole number of panoramas of "
            f"{suppression.cut_outs}, and there is no label {suppression.label}; choose a "
            "protocol without suppression"
        )
    consecutive: NDArray[np.int64] = np.arange(count) // suppression.cut_outs
    return consecutive


def _called(dataset: PlaceDataset) -> str:
    return f"{dataset.name} {dataset.split}"
