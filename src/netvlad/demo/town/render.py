"""Renders the whole town into a folder: three CSV files and their photographs."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from netvlad.demo.town.layout import SPLITS, WHOLE_TOWN, TownSize, lay_out_district
from netvlad.demo.town.light import LIGHTS
from netvlad.demo.town.plan import District, Split
from netvlad.demo.town.scene import Scene, build_scene
from netvlad.demo.town.shading import open_session, photograph
from netvlad.demo.town.views import View, plan_views
from netvlad.errors import StorageError

Progress = Callable[[int, int], None]
# Raise this when the town changes its looks, so that finished towns are rendered anew.
EDITION = 2
MARK = "town.json"
UNFINISHED = "town.unfinished"
QUALITY = 90
CHUNK = 20


@dataclass(frozen=True)
class TownSummary:
    """A finished town.

    Attributes:
        folder: Where it is; `train.csv`, `val.csv` and `test.csv` lie there.
        database: Database images per split.
        queries: Query images per split.
        rendered: False where a finished town was found and reused.
    """

    folder: Path
    database: dict[Split, int]
    queries: dict[Split, int]
    rendered: bool

    @property
    def images(self) -> int:
        """All images of the town."""
        return sum(self.database.values()) + sum(self.queries.values())


@dataclass(frozen=True)
class _Task:
    """Some photographs of one pass through one district."""

    folder: Path
    split: Split
    town: TownSize
    seed: int
    image_size: tuple[int, int]
    views: tuple[View, ...]


def render_town(
    folder: Path,
    *,
    seed: int = 7,
    image_size: tuple[int, int] = (120, 160),
    workers: int | None = None,
    progress: Progress | None = None,
    town: TownSize = WHOLE_TOWN,
) -> TownSummary:
    """Renders a small town as a data set for place recognition.

    The database is photographed at noon, every 13 metres in four directions; the queries are taken
    1 to 8 metres off, at other times of day, among other cars. Train, val and test are districts
    hundreds of metres apart. A finished town with the same parameters is reused.

    Worker processes are spawned: a script that calls this needs the usual
    ``if __name__ == "__main__":``, or `workers=1`.

    Args:
        folder: Where `train.csv`, `val.csv`, `test.csv` and `images/` go. The CSV files have the
            columns image (relative to the folder), easting, northing (UTM metres), heading (degrees
            clockwise from north) and role (database or query).
        seed: Another seed gives another town. The same gives the same bytes.
        image_size: Height and width in pixels.
        workers: Processes; None for one per processor. The images do not depend on it.
        progress: Called with the number of finished images and of all images.
        town: How many streets and queries there are.

    Returns:
        The number of images per split, and whether they were rendered or found.

    Raises:
        StorageError: The folder holds images that are not a rendered town, or cannot be written.
    """
    folder = Path(folder)
    districts = {split: lay_out_district(split, town, seed) for split in SPLITS}
    views = {split: plan_views(district, town) for split, district in districts.items()}
    parameters = _parameters(seed, image_size, town)
    if _is_finished(folder, parameters, views):
        return _summary(folder, views, rendered=False)
    try:
        _clear(folder, views)
        tasks = [
            _Task(folder, split, town, seed, image_size, chunk)
            for split in SPLITS
            for chunk in _chunks(views[split])
        ]
        _run(tasks, workers or _processors(), progress)
        for split, district in districts.items():
            _write_beside(folder / f"{split}.csv", _table(district, views[split]).encode())
        _write_beside(folder / MARK, json.dumps(parameters, indent=2).encode())
        (folder / UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: the town cannot be written: {error}") from error
    return _summary(folder, views, rendered=True)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parameters(seed: int, image_size: tuple[int, int], town: TownSize) -> dict[str, Any]:
    """What the images depend on, as JSON reads it back."""
    values = {
        "edition": EDITION,
        "seed": seed,
        "image_size": list(image_size),
        "town": asdict(town),
    }
    parameters: dict[str, Any] = json.loads(json.dumps(values))
    return parameters


def _is_finished(folder: Path, parameters: dict[str, Any], views: dict[Split, list[View]]) -> bool:
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = [f"{split}.csv" for split in SPLITS]
    files += [view.image for taken in views.values() for view in taken]
    return bool(found == parameters) and all((folder / name).is_file() for name in files)


def _clear(folder: Path, views: dict[Split, list[View]]) -> None:
    """Takes an older or unfinished town away, the marks of completeness first."""
    images = folder / "images"
    ours = (folder / MARK).exists() or (folder / UNFINISHED).exists()
    if images.exists() and not ours:
        raise StorageError(f"{images}: exists and is not a rendered town; choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).touch()
    (folder / MARK).unlink(missing_ok=True)
    for split in SPLITS:
        (folder / f"{split}.csv").unlink(missing_ok=True)
    if images.exists():
        shutil.rmtree(images)
    for parent in {(folder / view.image).parent for taken in views.values() for view in taken}:
        parent.mkdir(parents=True, exist_ok=True)


def _chunks(views: list[View]) -> Iterator[tuple[View, ...]]:
    """Views of one pass together, at most `CHUNK` at a time."""
    passes: dict[tuple[str, int], list[View]] = {}
    for view in views:
        passes.setdefault((view.light, view.session), []).append(view)
    for taken in passes.values():
        for start in range(0, len(taken), CHUNK):
            yield tuple(taken[start : start + CHUNK])


def _run(tasks: list[_Task], workers: int, progress: Progress | None) -> None:
    total, done = sum(len(task.views) for task in tasks), 0
    if workers == 1:
        for task in tasks:
            done += _render(task)
            if progress is not None:
                progress(done, total)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
        for future in as_completed([pool.submit(_render, task) for task in tasks]):
            done += future.result()
            if progress is not None:
                progress(done, total)


@lru_cache(maxsize=1)
def _scene(split: Split, town: TownSize, seed: int) -> Scene:
    """The district being worked on; tasks come district by district, so one is enough."""
    return build_scene(lay_out_district(split, town, seed))


def _render(task: _Task) -> int:
    """Takes the photographs of one task; returns how many."""
    scene = _scene(task.split, task.town, task.seed)
    first = task.views[0]
    session = open_session(scene, LIGHTS[first.light], first.session)
    for view in task.views:
        pixels = photograph(session, view.camera, task.image_size, view.exposure)
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
        _write_beside(task.folder / view.image, encoded.getvalue())
    return len(task.views)


def _write_beside(path: Path, content: bytes) -> None:
    """A killed render leaves a whole file under its final name, or none."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(content)
    beside.replace(path)


def _table(district: District, views: list[View]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "easting", "northing", "heading", "role"))
    for view in views:
        easting, northing = district.to_world(view.camera.position)
        heading = district.to_world_heading(view.camera.heading)
        row = (view.image, f"{easting:.3f}", f"{northing:.3f}", f"{heading:.2f}", view.role)
        writer.writerow(row)
    return text.getvalue()


def _summary(folder: Path, views: dict[Split, list[View]], *, rendered: bool) -> TownSummary:
    database = {s: sum(view.role == "database" for view in taken) for s, taken in views.items()}
    queries = {s: len(taken) - database[s] for s, taken in views.items()}
    return TownSummary(folder, database, queries, rendered)
