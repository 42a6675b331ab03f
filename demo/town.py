"""Draws the whole town into a folder: three tables and their photographs."""

import io
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from demo.camera import Session
from demo.houses import build_house
from demo.layout import SPLITS, District, Plan, lay_out_district
from demo.model import Model, Span
from demo.streets import build_streets
from demo.traffic import build_traffic
from demo.views import View, plan_views
from netvlad.errors import StorageError

EDITION = 3  # raise this when the town changes its looks
CHUNK = 32
Task = tuple[str, list[int]]  # a split, and photographs of it by number


@lru_cache(maxsize=1)
def build_district(split: str, plan: Plan) -> tuple[District, Model, list[View]]:
    """A district, all that stands still in it, and its photographs; the last is remembered."""
    district, model = lay_out_district(split, plan), Model()
    build_streets(model, district)
    for house in district.houses:
        build_house(model, house)
    return district, model, plan_views(district, plan, model.obstacles)


@lru_cache(maxsize=1)
def open_session(split: str, plan: Plan, light: str, number: int) -> Session:
    """One pass through a district; the last is remembered."""
    district, still, views = build_district(split, plan)
    cameras = [view.camera.position for view in views if view.session == number]
    model = deepcopy(still)
    build_traffic(model, district, number, np.array(cameras, dtype=np.float32))
    return Session(model, light, split, number)


def render_town(folder: Path, plan: Plan, workers: int | None = None) -> Iterator[Span]:
    """Draw a small town as a data set for place recognition.

    The database is photographed at noon, every 13 metres in four directions; queries are taken 1 to
    8 metres off, at other times of day and in other weather, among other cars. Images are the same
    whatever the number of `workers` (None: one per processor); what an interrupted call left is
    kept. Yields how many images are finished, and how many there are.

    Raises:
        StorageError: the folder holds another town, or cannot be written.
    """
    try:
        mark, content = folder / "town.json", json.dumps({"edition": EDITION, **asdict(plan)})
        if (folder / "images").exists() and not (mark.exists() and mark.read_text() == content):
            raise StorageError(f"{folder}: another town; remove {folder.parent} or choose another")
        folder.mkdir(parents=True, exist_ok=True)
        _write_beside(mark, content.encode())
        for split, role in product(SPLITS, ("database", "queries")):
            (folder / "images" / split / role).mkdir(parents=True, exist_ok=True)
        tasks: list[Task] = []
        done = total = 0
        for split in SPLITS:
            district, _, views = build_district(split, plan)
            missing = [n for n, view in enumerate(views) if not (folder / view.image).exists()]
            tasks += [(split, missing[n : n + CHUNK]) for n in range(0, len(missing), CHUNK)]
            total, done = total + len(views), done + len(views) - len(missing)
            _write_beside(folder / f"{split}.csv", _table(district, views).encode())
        yield done, total
        processes = workers or getattr(os, "process_cpu_count", os.cpu_count)() or 1
        pool = multiprocessing.get_context("spawn").Pool(processes) if processes > 1 else None
        with pool or nullcontext():
            work = partial(_render, folder, plan)
            for count in (pool.imap_unordered if pool else map)(work, tasks):
                done += count
                yield done, total
    except OSError as error:
        raise StorageError(f"{folder}: the town cannot be written: {error}") from error


def _render(folder: Path, plan: Plan, task: Task) -> int:
    """Take the photographs of one task; returns how many."""
    split, numbers = task
    for view in (build_district(split, plan)[2][number] for number in numbers):
        session = open_session(split, plan, view.light, view.session)
        pixels = session.photograph(view.camera, plan.image_size, view.stops, view.seed)
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "JPEG", quality=90)
        _write_beside(folder / view.image, encoded.getvalue())
    return len(numbers)


def _write_beside(path: Path, content: bytes) -> None:
    """A kill leaves a whole file under its final name, or none."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(content)
    beside.replace(path)


def _table(district: District, views: list[View]) -> str:
    rows = ["image,easting,northing,heading,role\n"]
    for view in views:
        east, north, heading = district.to_world(view.camera.position, view.camera.heading)
        rows.append(f"{view.image},{east:.3f},{north:.3f},{heading:.2f},{view.role}\n")
    return "".join(rows)
