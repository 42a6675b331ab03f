"""What runs the network, compared on this machine: ``python -m benchmarks.engines``.

The default network (EfficientNet-Lite0, average pooling) by torch, onnxruntime and OpenVINO, all in
one run: one image and eight of 320×240, and a folder of JPEGs from file to descriptor, against the
bare engine on batches of the same size. Medians of nine, and of three runs over the folder.

``NETVLAD_BENCH_PHOTOS`` names the folder (some hundred photos of one size); without it, 400 made-up
pictures of 640×480.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

import netvlad
from netvlad.compute import Compute, Engine
from netvlad.export.engines import running
from netvlad.images.listing import list_images
from netvlad.index.photo_descriptors import LONGEST_SIDE

ENGINES: tuple[Engine, ...] = ("torch", "onnxruntime", "openvino")
_BATCH = 24


def seconds(run: Callable[[], object], times: int = 9) -> float:
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return median(taken)


def made_up(folder: Path, count: int = 400) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpg")


def compare(folder: Path) -> None:
    model = netvlad.load_model("efficientnet-lite0-avg")
    assert isinstance(model, netvlad.PlaceModel)
    model = model.resized(LONGEST_SIDE).eval()
    names, _ = list_images(folder)
    with Image.open(folder / names[0]) as first:
        scale = min(1.0, LONGEST_SIDE / max(first.size))
        width, height = (round(side * scale) for side in first.size)
    print("engine        1 image    8 images   bare      from file   share")
    for engine in ENGINES:
        compute = Compute(device="cpu", engine=engine)

        def batch(count: int, high: int = 240, wide: int = 320) -> torch.Tensor:
            return torch.randint(0, 256, (count, 3, high, wide), dtype=torch.uint8)

        with torch.inference_mode(), running(model, compute, 1):
            one, eight, full = batch(1), batch(8), batch(_BATCH, height, width)
            single, several, bare = (
                seconds(partial(model, images)) for images in (one, eight, full)
            )
        whole = seconds(partial(netvlad.describe, model, folder, compute=compute), 3)
        rates = _BATCH / bare, len(names) / whole
        print(
            f"{engine:<12} {single * 1e3:6.1f} ms  {several * 1e3:7.1f} ms  "
            f"{rates[0]:5.1f}/s   {rates[1]:5.1f}/s      {rates[1] / rates[0]:.2f}",
            flush=True,
        )


def main() -> None:
    photos = os.environ.get("NETVLAD_BENCH_PHOTOS")
    if photos is not None:
        compare(Path(photos))
        return
    with tempfile.TemporaryDirectory() as folder:
        made_up(Path(folder))
        compare(Path(folder))


if __name__ == "__main__":
    main()
