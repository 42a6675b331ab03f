"""Probabilities of verified answers, fitted and measured: ``python -m benchmarks.probabilities``.

Every query is asked twice of an index of its own: one that holds a few photos of its place, and one
without any within 100 m. Sizes from 3 photos on; average pooling below 32 photos, NetVLAD above.
The calibrations are fitted on the split train (``--write`` puts them where the package reads its
defaults) and measured on val and test, with the photos of train as others. About a third of a
second an answer and core.

Data: ``NETVLAD_BENCH_DATA``, tables with the splits train, val and test; headings in the names
(``yaw060``) say which photos of a place look the way a query does. ``NETVLAD_BENCH_ALIKE``, a table
with a split test whose places look alike, such as the storeys of a tower: every second place is
fitted on, the others are measured on, and its photos make the larger indexes of the first.
``python -m benchmarks.plots`` draws the result.
"""

import argparse
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

import netvlad
from benchmarks.children import ROOT
from netvlad.errors import DataError
from netvlad.evaluation.confidence import Reliability, measure_confidence, reliability
from netvlad.fitting.calibration import Calibration, fit_calibration
from netvlad.fitting.whitening import whiten_rows
from netvlad.index.answer import CANDIDATES
from netvlad.index.photo_descriptors import (
    FEWEST_PHOTOS,
    LONGEST_SIDE,
    default_model,
    fitted_whitening,
)
from netvlad.index.probability import (
    FEATURES,
    HERE,
    LOCATED_FEATURES,
    VERIFIED_FEATURES,
    default_calibrations,
    features_of_answers,
)
from netvlad.matching.extracting import features_of
from netvlad.matching.features import LocalFeatures
from netvlad.matching.rerank import rerank
from netvlad.matching.sift import ROOT_SIFT
from netvlad.models import ModelSpec
from netvlad.storage import write_json
from netvlad.types import ImageSet

RADIUS_M, AWAY_M = 25.0, 100.0
FITTED, MEASURED = (3, 10, 30, 100, 300, 1000, 1800), (10, 100, 1000, 10_000)
KINDS = {
    "verified-located": LOCATED_FEATURES,
    "verified": VERIFIED_FEATURES,
    "partly-whitened": FEATURES,
}
LEARNED_ALIKE = ("verified-located",)  # without positions, places that look alike cannot be told
RESULTS = ROOT / "build/bench-probabilities.json"
DEFAULTS = Path(netvlad.__file__).parent / "index/default_calibration.json"


@dataclass(frozen=True, eq=False)
class Photos:
    """N photos: files, (N, 2) metres, the split of each, whether it is a query, and headings."""

    files: list[Path]
    positions: NDArray[np.float64]
    split: NDArray[np.str_]
    query: NDArray[np.bool_]
    heading: NDArray[np.float64]

    def joined(self, others: "Photos") -> "Photos":
        return Photos(
            self.files + others.files,
            np.concatenate([self.positions, others.positions]),
            np.append(self.split, others.split),
            np.append(self.query, others.query),
            np.append(self.heading, others.heading),
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """What a calibration reads of n answers, and whether each is right, by kind; size; query."""

    features: dict[str, NDArray[np.float64]]
    right: dict[str, NDArray[np.bool_]]
    size: NDArray[np.int64]
    query: NDArray[np.int64]


def photos_of(data: Path, names: Sequence[str]) -> Photos:
    files, positions, split, query = [], [], [], []
    for name in names:
        dataset = netvlad.open_dataset("csv", data, name)
        for side, asks in ((dataset.database, False), (dataset.queries, True)):
            assert side.positions is not None
            files += [side.path(i) for i in range(len(side))]
            positions += side.positions.tolist()
            split += [name] * len(side)
            query += [asks] * len(side)
    yaw = [re.search(r"yaw(\d+)", file.name) for file in files]
    heading = np.array([np.nan if found is None else float(found[1]) for found in yaw])
    return Photos(files, np.array(positions), np.array(split), np.array(query), heading)


def among(photos: Photos, others: Photos) -> Photos:
    """Photos, and others that are far away and ask nothing."""
    silent, nowhere = np.zeros(len(others.files), np.bool_), others.positions + 1e7
    elsewhere = np.full(len(others.files), "elsewhere")
    return photos.joined(Photos(others.files, nowhere, elsewhere, silent, others.heading))


def crops_of(photos: Photos, sources: NDArray[np.int64], count: int, folder: Path) -> Photos:
    """Random parts of some of the photos: where their photo is; every second one mirrored, and so
    nowhere."""
    random = np.random.default_rng(5)
    chosen = random.choice(sources, count)
    shares, corners = random.uniform(0.5, 0.8, count), random.uniform(0, 1, (count, 2))

    def cut(n: int) -> Path:
        with Image.open(photos.files[chosen[n]]) as opened:
            picture = opened.convert("RGB")
        width, height = (round(shares[n] * side) for side in picture.size)
        left, top = (
            int(c * (side - part))
            for c, side, part in zip(corners[n], picture.size, (width, height), strict=True)
        )
        part = picture.crop((left, top, left + width, top + height)).resize(picture.size)
        path = folder / f"{n:06d}.jpg"
        (ImageOps.mirror(part) if n % 2 else part).save(path, quality=90)
        return path

    with ThreadPoolExecutor() as pool:
        files = list(pool.map(cut, range(count)))
    positions = photos.positions[chosen]
    positions[1::2] = 1e7 * np.arange(2, 2 + len(positions[1::2]))[:, None]
    nothing = np.zeros(count, np.bool_)
    return Photos(files, positions, np.full(count, "elsewhere"), nothing, np.full(count, np.nan))


def measure_among(city: Photos, alike: Photos, size: int) -> None:
    """The shipped calibrations, in an index of ``size`` photos most of which are made of others."""
    with tempfile.TemporaryDirectory() as folder:
        photos = among(city, alike)
        sources = np.flatnonzero(~np.isin(photos.split, ("val", "test")))
        missing = size - int((~photos.query).sum())
        photos = photos.joined(crops_of(photos, sources, missing, Path(folder)))
        second = descriptors_of(photos, "train", average=False)[1]
        found = answered(photos, (second, second), asked(photos, ("val", "test"), (size,), 7))
    shipped = default_calibrations(ModelSpec(whitened_directions=64), verified=True)
    every = np.ones(len(found.size), np.bool_)
    for kind, calibration in zip(KINDS, shipped, strict=True):
        told_of(f"{kind}, {size:,} photos", calibration, found, kind, every)


def told_of(
    label: str, calibration: Calibration, found: Answers, kind: str, these: NDArray[np.bool_]
) -> Reliability:
    told, right = calibration.probability(found.features[kind][these]), found.right[kind][these]
    figures = measure_confidence(told, right, groups=found.query[these])
    here = told >= HERE
    print(
        f"{label}: {figures.answers} answers, {figures.right} right, ECE {figures.ece:.3f}, AUC "
        f"{figures.auc:.3f}; here {here.mean():.2f}, of which right {right[here].mean():.3f}; of "
        f"absent places here {here[1::2].mean():.3f}",
        flush=True,
    )
    return reliability(told, right, bins=5)


def descriptors_of(
    photos: Photos, split: str, *, average: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, D) by average pooling, and by the default model of 300 photos of a split."""
    own = np.flatnonzero((photos.split == split) & ~photos.query)
    some = np.random.default_rng(1).choice(own, min(300, len(own)), replace=False)
    sample = ImageSet(Path(), tuple(str(photos.files[i]) for i in some))
    images = ImageSet(Path(), tuple(map(str, photos.files)))
    pooled = netvlad.load_model("efficientnet-lite0-avg").resized(LONGEST_SIDE)
    first = netvlad.describe(pooled, images).values if average else np.empty((0, 0), np.float32)
    second = netvlad.describe(default_model(sample), images).values
    whitening = fitted_whitening(second[some], None, default=True)
    assert whitening is not None
    return first, whiten_rows(whitening, second)


def asked_alike(photos: Photos, odd: bool) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Every second query of every second place, of all photos: with its place, then without."""
    place = np.unique(photos.positions, axis=0, return_inverse=True)[1].reshape(-1)
    database = np.flatnonzero(~photos.query)
    for query in np.flatnonzero(photos.query & (place % 2 == odd))[::2].tolist():
        away = np.linalg.norm(photos.positions[database] - photos.positions[query], axis=1)
        yield query, len(database), database
        yield query, len(database), database[away > AWAY_M]


def asked(
    photos: Photos, splits: Sequence[str], sizes: Sequence[int], seed: int
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """A query, the size of its index and the photos in it: with its place, then without."""
    random = np.random.default_rng(seed)
    ours, fitting = np.isin(photos.split, splits), splits == ("train",)
    database = np.flatnonzero(ours & ~photos.query)
    city = np.flatnonzero((photos.split != "elsewhere") & ~photos.query)
    queries = np.flatnonzero(ours & photos.query)
    for number, query in enumerate(queries.tolist()):
        away = np.linalg.norm(photos.positions - photos.positions[query], axis=1)
        turned = np.abs((photos.heading - photos.heading[query] + 180) % 360 - 180)
        place = database[away[database] <= RADIUS_M]
        place = place[np.argsort((turned + away)[place], kind="stable")]
        # Each query is fitted on at one size, in turn, and measured on at all.
        for size in sizes[number % len(sizes) :][:1] if fitting else sizes:
            pool = database if fitting or size <= 100 else city
            pool = pool if size <= len(pool) else np.flatnonzero(~photos.query)
            shown = (
                1 if size < 5 else random.integers(1, 5) if size < 20 else random.integers(3, 13)
            )
            near = place[:shown]
            rest, far = pool[away[pool] > RADIUS_M], pool[away[pool] > AWAY_M]
            others = random.choice(rest, min(size - len(near), len(rest)), replace=False)
            yield query, size, np.concatenate([near, others])
            yield query, size, random.choice(far, min(size, len(far)), replace=False)


def answered(
    photos: Photos,
    descriptors: tuple[NDArray[np.float32], NDArray[np.float32]],
    questions: Iterator[tuple[int, int, NDArray[np.int64]]],
) -> Answers:
    @lru_cache(4000)
    def local(i: int) -> LocalFeatures:
        return features_of(ROOT_SIFT, photos.files[i])

    features: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    sizes, queries = [], []
    for query, size, index in questions:
        rows = descriptors[size >= FEWEST_PHOTOS]
        similar = (rows @ rows[query])[index]
        best = np.argsort(-similar)[:CANDIDATES]
        found = rerank(local(query), [local(i) for i in index[best].tolist()], similar[best])
        for kind, names in KINDS.items():
            alone = names == FEATURES
            order = np.arange(len(best)) if alone else found.order
            ranked = index[best][order]
            support = None if alone else [found.support]
            ground = photos.positions[ranked] - photos.positions[ranked[0]]
            looks = features_of_answers(similar[best][order][None], ground[None], support, RADIUS_M)
            features[kind].append(looks.matrix(names)[0])
            off = photos.positions[ranked[0]] - photos.positions[query]
            right[kind].append(bool(np.hypot(*off) <= RADIUS_M))
        sizes.append(size)
        queries.append(query)
        if len(sizes) % 200 == 0:
            print(f"{len(sizes)} answers", flush=True)
    columns = {kind: np.array(rows) for kind, rows in features.items()}
    truth = {kind: np.array(answers) for kind, answers in right.items()}
    return Answers(columns, truth, np.array(sizes), np.array(queries))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the package's defaults")
    parser.add_argument(
        "--among", type=int, help="measure the defaults in an index of so many photos instead"
    )
    chosen = parser.parse_args(arguments)
    folders = [os.environ.get(f"NETVLAD_BENCH_{name}") for name in ("DATA", "ALIKE")]
    if None in folders:
        raise DataError("set NETVLAD_BENCH_DATA and NETVLAD_BENCH_ALIKE to folders of tables")
    data, alike_data = (Path(str(folder)) for folder in folders)
    alike = photos_of(alike_data, ("test",))
    city = photos_of(data, ("train", "val", "test"))
    if chosen.among:
        measure_among(city, alike, chosen.among)
        return
    photos = among(city, alike)
    descriptors = descriptors_of(photos, "train")
    fitted = answered(photos, descriptors, asked(photos, ("train",), FITTED, 0))
    measured = answered(photos, descriptors, asked(photos, ("val", "test"), MEASURED, 7))
    descriptors = descriptors_of(alike, "test")
    floors = [answered(alike, descriptors, asked_alike(alike, odd)) for odd in (False, True)]
    content = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    drawn: dict[str, Any] = {}
    for kind, names in KINDS.items():
        # Average pooling, below so many photos, has a calibration of its own where it is alone.
        fewest = FEWEST_PHOTOS if names == FEATURES else 0
        some = fitted.size >= fewest
        learned = [(fitted.features[kind][some], fitted.right[kind][some])]
        if kind in LEARNED_ALIKE:
            learned.append((floors[0].features[kind], floors[0].right[kind]))
        calibration = fit_calibration(
            np.concatenate([features for features, _ in learned]),
            np.concatenate([right for _, right in learned]),
            names=names,
            provenance=content[kind]["provenance"],
        )
        content[kind] = calibration.to_json()
        for size in (size for size in MEASURED if size >= fewest):
            these = measured.size == size
            table = told_of(f"{kind}, {size:,} photos", calibration, measured, kind, these)
            drawn.setdefault(kind, {})[f"{size:,}"] = {
                "counts": table.counts.tolist(),
                "stated": np.nan_to_num(table.probability).tolist(),
                "right": np.nan_to_num(table.correct).tolist(),
            }
        every = np.ones(len(floors[1].size), np.bool_)
        told_of(f"{kind}, places alike", calibration, floors[1], kind, every)
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, drawn)
    if chosen.write:
        write_json(DEFAULTS, content)


if __name__ == "__main__":
    main()
