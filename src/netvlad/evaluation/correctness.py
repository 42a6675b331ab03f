"""Which database images are correct answers under a protocol."""

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.listed_truth import neighbours_within_frames
from netvlad.errors import DataError
from netvlad.evaluation.protocol_record import Frames, Protocol, Radius
from netvlad.geography import radius_neighbours
from netvlad.types import ImageSet, Neighbours, PlaceDataset


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
