"""How long one photo waits for its answer: ``python -m benchmarks.latency``.

- A photo of 12 megapixels, from file to answer, in a warm process and from a cold start of the
  command, with the default model and an index of 2,000 places; where the time goes.
- A camera on its way (``PlaceIndex.in_memory``) at 10,000 places: median and 99th percentile of
  ``add`` and ``locate``, beside the model's own time for a frame.

The photo is made up: noise that is smooth, so that its JPEG is as large as those of cameras.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from netvlad import PlaceIndex
from netvlad.images import read_image
from netvlad.index.places import Places
from netvlad.models import ModelSpec, PlaceModel, build_model
from netvlad.storage import write_json

PHOTO = (3000, 4000)
FRAME = (240, 320)
PLACES = 2_000
SEEN = 10_000
REPEATS = 40


def default_like_model() -> PlaceModel:
    """What an index fits to its photos, with centres that are made up: as fast as any others."""
    spec = ModelSpec(arch="efficientnet-lite0", num_clusters=32, resize=512)
    model = build_model(spec, weights="imagenet")
    random = np.random.default_rng(0)
    cells = random.standard_normal((2000, 112)).astype(np.float32)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True)
    model.pool.init_from_clusters(torch.from_numpy(cells[:32].copy()), torch.from_numpy(cells))
    return model


def made_up_photo(path: Path, seed: int = 0) -> int:
    """Write a 12-megapixel JPEG; its size in bytes."""
    random = np.random.default_rng(seed)
    height, width = PHOTO
    whole = np.zeros((height, width, 3), np.float32)
    for step in (4, 16, 64, 256):
        noise = random.integers(0, 256, (height // step + 1, width // step + 1, 3), np.uint8)
        whole += np.asarray(Image.fromarray(noise).resize((width, height)), np.float32) / 4
    Image.fromarray(whole.astype(np.uint8)).save(path, quality=92)
    return path.stat().st_size


def unit_rows(count: int, dim: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(1).standard_normal((count, dim), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def places(count: int) -> Places:
    ground = np.linspace(0, 0.1, count)
    names = [f"/photos/{i:06d}.jpg" for i in range(count)]
    return Places.of(names, {"latitude": 52 + ground, "longitude": 0.1 + ground})


def timed(work: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Median and 99th percentile in milliseconds, after one call that does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return {"p50_ms": float(np.median(times)), "p99_ms": float(np.percentile(times, 99))}


def one_photo(folder: Path) -> dict[str, Any]:
    """A photo of a phone, warm and cold."""
    photo = folder / "photo.jpg"
    size = made_up_photo(photo)
    model = default_like_model()
    memory = PlaceIndex.in_memory(model)
    memory.store.append(places(PLACES), [unit_rows(PLACES, model.descriptor_dim)])
    memory.save(folder / "my.index")
    index = PlaceIndex.open(folder / "my.index")
    pixels = read_image(photo, resize=512)
    row = index.model.describe(pixels)[None]
    found: dict[str, Any] = {
        "megabytes": size / 1e6,
        "whole": timed(lambda: index.locate(photo)),
        "decode": timed(lambda: read_image(photo, resize=512)),
        "model": timed(lambda: index.model.describe(pixels)),
        "search": timed(lambda: index.store.search(row, 20)),
    }
    command = [sys.executable, "-m", "netvlad", "locate", str(photo), "--index"]
    command += [str(folder / "my.index"), "--json"]

    def cold() -> None:
        subprocess.run(command, check=True, capture_output=True)

    found["cold_start"] = timed(cold, 5)
    return found


def camera() -> dict[str, Any]:
    """10,000 frames seen, then some more."""
    model = default_like_model()
    index = PlaceIndex.in_memory(model)
    rows = unit_rows(SEEN, model.descriptor_dim)
    for second, row in enumerate(rows):
        index.store.append_one(row, f"frame-{second:06d}", {"time": float(second)})
    random = np.random.default_rng(2)
    frames = [random.integers(0, 256, (*FRAME, 3), np.uint8) for _ in range(200)]
    now = float(SEEN)
    times: dict[str, list[float]] = {"add": [], "locate": [], "model": []}
    index.model.describe(frames[0])
    for number, frame in enumerate(frames):
        works: dict[str, Callable[[], object]] = {
            "model": partial(index.model.describe, frame),
            "locate": partial(index.locate, frame, time=now, exclude_last_s=30),
            "add": partial(index.add, frame, position=(52.0, 0.1), time=now),
        }
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if number:
                times[name].append(1000 * (time.perf_counter() - started))
        now += 1
    return {
        name: {"p50_ms": float(np.median(t)), "p99_ms": float(np.percentile(t, 99))}
        for name, t in times.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    typed = _parser().parse_args(arguments)
    torch.set_num_threads(typed.threads)
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        report = {"photo of 12 megapixels": one_photo(Path(folder)), "camera": camera()}
    for name, rows in report.items():
        print(name)
        for part, figures in rows.items():
            print(f"  {part}: {figures}")
    if typed.json:
        write_json(typed.json, report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
