"""Gardens Point: one walk over a campus, on its left by day and on its right by day and by night.

Source: Glover, Day and Night with Lateral Pose Change Datasets, 2014; 200 aligned frames each.
"""

from pathlib import Path

import numpy as np

from netvlad.datasets.readers.frame_folders import frames_in
from netvlad.datasets.readers.listed_truth import neighbours_within_frames
from netvlad.datasets.readers.npy_truth import refuse_zone
from netvlad.datasets.readers.published import note_on_counts
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, PlaceDataset

WALKS = ("day_left", "day_right", "night_right")

SPLITS = tuple(f"{q}-{d}" for d in WALKS for q in reversed(WALKS) if q != d)
"""Queries first: papers take any two of the three walks, either way round."""

PUBLISHED = dict.fromkeys(SPLITS, (200, 200))

LAYOUT = "day_left/, day_right/ and night_right/, 200 frames each"

TOLERANCE = 2
"""How many frames from the query a correct database image may be, as in VPR-Bench."""


def read_gardens_point(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open two walks; frame k of one shows the place of frame k of the other.

    Args:
        root: the folder that holds the walks' folders.
        split: one of :data:`SPLITS`, such as ``night_right-day_right``: queries, then database.
        utm_zone: None; there are no positions.

    Raises:
        DataError: a folder is missing or empty, or the walks have different numbers of frames.
        SettingsError: there is no such split, or ``utm_zone`` is given.
    """
    refuse_zone("gardens-point", utm_zone)
    if split not in SPLITS:
        raise SettingsError(f"gardens-point has no split {split}; choose from {', '.join(SPLITS)}")
    walks = split.split("-")
    queries, database = (frames_in(root, walk, LAYOUT) for walk in walks)
    if len(queries) != len(database):
        raise DataError(
            f"{root}: {walks[0]} has {len(queries)} frames but {walks[1]} has {len(database)}; "
            "frame k of one must show the place of frame k of the other"
        )
    frames = np.arange(len(queries), dtype=np.int64)
    return PlaceDataset(
        name="gardens-point",
        split=split,
        database=_image_set(root, database, walks[1]),
        queries=_image_set(root, queries, walks[0]),
        positives=neighbours_within_frames(frames, frames, TOLERANCE),
        notes=note_on_counts("gardens-point", split, (len(database), len(queries)), PUBLISHED),
    )


def _image_set(root: Path, names: tuple[str, ...], walk: str) -> ImageSet:
    condition, side = walk.split("_")
    return ImageSet(
        root,
        names,
        times=np.arange(len(names), dtype=np.float64),
        labels={
            "condition": np.full(len(names), condition),
            "side": np.full(len(names), side),
        },
    )
