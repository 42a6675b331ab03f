"""How right, how sure and how near a place index answers: ``python -m benchmarks.places``.

- An index of the ``train`` and ``test`` database images, asked with the ``test`` queries: recall@1
  with and without re-ranking, what re-ranking mends and breaks, and the time of each query.
- Probabilities: an index of one area asked with its own queries and with those of the other area,
  whose places it does not hold, both ways round; the default calibration.
- Positions: the distance from the fused position, and from the first place's, to the truth.
- ``NETVLAD_BENCH_DAYNIGHT``: places under several conditions; every picture of another condition
  must find its own place among all of one condition.

Data: ``NETVLAD_BENCH_DATA``, tables with the splits train, val and test.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad import PlaceIndex, open_dataset
from netvlad.evaluation.confidence import measure_confidence
from netvlad.geography import to_wgs84
from netvlad.index import Answer, Question
from netvlad.index.places import Places
from netvlad.index.position import metres_around
from netvlad.models import PlaceModel
from netvlad.storage import write_json
from netvlad.types import ImageSet

ZONE = "31N"
RADIUS_M = 25.0


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries, where they were taken, and what an index said.

    Attributes:
        answers: Q of them.
        truth: (Q, 2) latitude and longitude.
        first_m: (Q,) how far the first place is from the truth.
        seconds: for all of them.
    """

    answers: list[Answer]
    truth: NDArray[np.float64]
    first_m: NDArray[np.float64]
    seconds: float

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.first_m <= RADIUS_M


def index_of(images: ImageSet, model: PlaceModel | None, folder: Path) -> PlaceIndex:
    """An index of images whose positions a data set knows, written as a user would."""
    table = folder / "positions.csv"
    folder.mkdir(parents=True, exist_ok=True)
    assert images.positions is not None
    lines = ["image,easting,northing,zone"]
    paths = [images.path(i).resolve() for i in range(len(images))]
    lines += [
        f"{path},{x:.3f},{y:.3f},{ZONE}"
        for path, (x, y) in zip(paths, images.positions, strict=True)
    ]
    table.write_text("\n".join(lines) + "\n")
    return PlaceIndex.build(paths, model, positions=table)


def ask(index: PlaceIndex, queries: ImageSet, *, rerank: bool = False) -> Asked:
    assert queries.positions is not None
    paths = [queries.path(i).resolve() for i in range(len(queries))]
    if rerank:
        # What an index does once for its photos is not a query's own time.
        for image in index.places.images():
            index.feature_cache.get(Path(image))
    started = time.perf_counter()
    answers = index.locate_all(paths, Question(k=20, rerank=rerank))
    seconds = time.perf_counter() - started
    truth = np.column_stack(to_wgs84(queries.positions, ZONE))
    first = [
        metres_around(a.places[0].latitude, a.places[0].longitude, tuple(t))[0]
        for a, t in zip(answers, truth, strict=True)
    ]
    return Asked(answers, truth, np.linalg.norm(first, axis=1), seconds)


def recall_and_reranking(model: PlaceModel, index: PlaceIndex, queries: ImageSet) -> dict[str, Any]:
    plain, verified = ask(index, queries), ask(index, queries, rerank=True)
    mended = int((~plain.right & verified.right).sum())
    broken = int((plain.right & ~verified.right).sum())
    changed = sum(
        a.places[0].image != b.places[0].image
        for a, b in zip(plain.answers, verified.answers, strict=True)
    )
    return {
        "places": len(index),
        "queries": len(queries),
        "recall_at_1": float(plain.right.mean()),
        "recall_at_1_reranked": float(verified.right.mean()),
        "mended": mended,
        "broken": broken,
        "first_places_changed": changed / len(queries),
        "seconds_per_query": plain.seconds / len(queries),
        "seconds_per_query_reranked": verified.seconds / len(queries),
        "positions": positions(plain),
        "positions_reranked": positions(verified),
    }


def positions(asked: Asked) -> dict[str, float]:
    fused = np.array([[a.position.latitude, a.position.longitude] for a in asked.answers])
    error = np.array(
        [
            np.linalg.norm(metres_around(lat, lon, tuple(truth))[0])
            for (lat, lon), truth in zip(fused, asked.truth, strict=True)
        ]
    )
    told = np.array([a.position.error_m for a in asked.answers])
    return {
        "median_m_first_place": float(np.median(asked.first_m)),
        "median_m_fused": float(np.median(error)),
        "median_m_fused_where_right": float(np.median(error[asked.right])),
        "share_within_error_m": float((error <= told).mean()),
    }


def confidence(pairs: Sequence[tuple[Asked, Asked]]) -> dict[str, Any]:
    """Answers to queries of the index's own area, and of another one, together."""
    probability, right = [], []
    for inside, outside in pairs:
        probability += [a.probability for a in (*inside.answers, *outside.answers)]
        right += [*inside.right.tolist(), *outside.right.tolist()]
    measures = measure_confidence(np.array(probability, float), np.array(right))
    return {
        "answers": measures.answers,
        "right": measures.right,
        "ece": measures.ece,
        "ece_interval": list(measures.ece_interval),
        "auc": measures.auc,
        "recall_at_full_precision": measures.recall_at_full_precision,
    }


def day_and_night(root: Path, model: PlaceModel) -> dict[str, Any]:
    """Every picture of conditions 1 and 2 among the places of condition 0; and a second set."""
    sets: dict[str, tuple[list[Path], list[tuple[Path, int]]]] = {}
    places = sorted((root / "triplets").iterdir(), key=lambda p: int(p.name[1:]))
    for condition in (0, 1, 2):
        known = [picture(place, condition) for place in places]
        asked = [
            (picture(place, other), number)
            for number, place in enumerate(places)
            for other in (0, 1, 2)
            if other != condition
        ]
        sets[f"triplets, condition {condition} known"] = known, asked
    reference = sorted((root / "gardens_point/ref").iterdir())
    queries = sorted((root / "gardens_point/query").iterdir())
    sets["Gardens Point"] = reference, [(path, number) for number, path in enumerate(queries)]
    return {name: found_among(known, asked, model) for name, (known, asked) in sets.items()}


def picture(place: Path, condition: int) -> Path:
    return next(path for path in sorted((place / f"i{condition}").rglob("*")) if path.is_file())


def found_among(
    known: list[Path], asked: list[tuple[Path, int]], model: PlaceModel
) -> dict[str, float]:
    index = PlaceIndex.in_memory(model)
    rows = model.describe(known)
    index.store.append(Places.of([str(path.resolve()) for path in known]), [rows])
    row: dict[str, float] = {"places": len(known), "queries": len(asked)}
    for rerank in (False, True):
        answers = index.locate_all([path for path, _ in asked], Question(k=1, rerank=rerank))
        right = [
            answer.places[0].image == str(known[number].resolve())
            for answer, (_, number) in zip(answers, asked, strict=True)
        ]
        row["recall_at_1_reranked" if rerank else "recall_at_1"] = float(np.mean(right))
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    typed = _parser().parse_args(arguments)
    data = Path(os.environ.get("NETVLAD_BENCH_DATA", "../shared/data/cambridge"))
    splits = {name: open_dataset("csv", data, name) for name in ("train", "val", "test")}
    both = splits["train"].database.joined(splits["test"].database)
    work = typed.work
    large = index_of(both, None, work)
    report: dict[str, Any] = {
        "train and test": recall_and_reranking(large.model, large, splits["test"].queries)
    }
    tell(report, typed.json)
    areas = {name: index_of(splits[name].database, None, work / name) for name in ("val", "test")}
    for rerank in (False, True):
        asked = {
            (index, queries): ask(areas[index], splits[queries].queries, rerank=rerank)
            for index in areas
            for queries in areas
        }
        name = "re-ranked" if rerank else "by descriptor"
        report[f"confidence, {name}"] = confidence(
            [
                (asked["val", "val"], asked["val", "test"]),
                (asked["test", "test"], asked["test", "val"]),
            ]
        )
        tell(report, typed.json)
        for area in areas:
            own = asked[area, area]
            report[f"{area} alone, {name}"] = {
                "recall_at_1": float(own.right.mean()),
                **positions(own),
            }
            tell(report, typed.json)
    night = Path(os.environ.get("NETVLAD_BENCH_DAYNIGHT", "../shared/data/daynight"))
    if night.is_dir():
        report["day and night"] = {
            "centres of train and test": day_and_night(night, large.model),
        }
    tell(report, typed.json)
    return 0


def tell(report: dict[str, Any], path: Path | None) -> None:
    """Print the row that was measured last, and write all of them: a later one may fail."""
    name = list(report)[-1]
    print(name, report[name], flush=True)
    if path:
        write_json(path, report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.places",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("build/bench-places"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
