"""Two made-up cities whose descriptors lie on a line, so that every distance can be told by eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from netvlad.types import ImageSet, PlaceDataset

SF = 1e7

# name, city, descriptor, easting, panorama, time, scene
DATABASE = (
    ("c0", "cph", 0.0, 0.0, "0", 10, "y"),
    ("c1", "cph", 10.0, 100.0, "0", 11, "x"),
    ("c2", "cph", 20.1, 500.0, "1", 12, "x"),
    ("s0", "sf", 0.1, SF, "0", 13, "z"),
    ("s1", "sf", 10.1, SF + 100, "0", 14, "x"),
    ("s2", "sf", 20.0, SF + 200, "0", 15, "x"),
)
# name, city, descriptor, easting, panorama, time, subtask, version
QUERIES = (
    ("q0", "cph", 0.08, 0.0, "0", 1, "all", "v1"),  # nearer to sf's s0 than to its own c0
    ("q1", "cph", 10.0, 100.0, "0", 2, "all s2w", "v1"),  # right at once
    ("q2", "sf", 20.09, SF + 200, "0", 3, "all", "v1"),  # nearest is a panorama of cph, then s2
    ("q3", "sf", 5.0, SF + 5000, "0", 4, "all", "v1"),  # has no positive
    ("q4", "sf", 0.1, SF, "0", 13, "", "v1"),  # right, but of no subtask; s0 has its time
    ("q5", "sf", 10.12, SF, "0", 6, "n2o", "v2"),  # wrong: s1 is 100 m off
    ("q6", "sf", 9.98, SF, "1", 7, "all", "v1"),  # a panorama, and wrong
)


def descriptors(rows) -> np.ndarray:
    return np.array([[row[2]] for row in rows], np.float32)


def two_cities() -> PlaceDataset:
    def column(rows, place):
        return np.array([row[place] for row in rows])

    def images(rows, labels):
        positions = np.array([[row[3], 0.0] for row in rows])
        return ImageSet(
            Path("/data"),
            tuple(f"{row[0]}.jpg" for row in rows),
            positions,
            times=column(rows, 5).astype(np.float64),
            labels={name: column(rows, place) for name, place in labels.items()},
        )

    return PlaceDataset(
        name="msls",
        split="val",
        database=images(DATABASE, {"city": 1, "panorama": 4, "scene": 6}),
        queries=images(QUERIES, {"city": 1, "panorama": 4, "subtask": 6, "version": 7}),
    )


def without_labels(dataset: PlaceDataset) -> PlaceDataset:
    return replace(
        dataset,
        database=replace(dataset.database, labels={}),
        queries=replace(dataset.queries, labels={}),
    )
