"""On a machine with a GPU, in one call: ``python -m benchmarks.gpu``.

How many images of 480×640 are described in a second, ours in bfloat16 against the original's
float32; what bounds ours; and the rows of the suite. ``--synthetic`` makes data and weights up,
``--device cpu --quick`` shows that everything runs.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from benchmarks.children import ROOT, measure_in_child
from benchmarks.details import details
from benchmarks.floor import convolution_gflop, matrix_gflops
from benchmarks.made_up import Counts, picture, write_data, write_weights
from benchmarks.models import our_model
from benchmarks.original.model import like
from benchmarks.original.refresh import described
from benchmarks.rows import ROWS, build_row, needed
from benchmarks.running import Measure, measured
from benchmarks.setting import SEED, BenchmarkError, Setting, from_environment
from benchmarks.table import rows_table
from benchmarks.timing import median_seconds, seconds_of
from netvlad.cli.main import keep_freed_memory
from netvlad.descriptors import describe
from netvlad.images import Batch, load_batches
from netvlad.models import PlaceModel
from netvlad.storage import write_json
from netvlad.types import ImageSet

SPLITS = {"train": Counts(1860, 1248, 600), "val": Counts(336, 192, 200)}
SMALL_SPLITS = {"train": Counts(40, 12, 20), "val": Counts(12, 6, 10)}
BATCHES = (24, 64)
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


def describing(setting: Setting) -> dict[str, Any]:
    """Images a second of the whole way and of its parts, each measured apart."""
    keep_freed_memory()
    size, count = ((48, 64), 4) if setting.quick else ((480, 640), 768)
    batches = (4,) if setting.quick else BATCHES
    images = _pictures(setting.work / "pictures", size, count)
    model = our_model(setting)
    ours = {str(batch): _describe_rate(setting, model, images, batch) for batch in batches}
    network = {str(batch): _network_rate(setting, model, size, batch) for batch in batches}
    parts = {
        "decoding": _decode_rate(setting, images),
        "transfer": _transfer_rate(setting, size),
        "network": max(network.values()),
    }
    original = _original_rate(setting, model, images)
    matrix = matrix_gflops(setting, DTYPES[setting.precision])
    gflop, best = convolution_gflop(size), max(ours.values())
    bound = min(parts, key=lambda name: parts[name])
    return {
        "size": list(size),
        "images": count,
        "ours_images_per_second": ours,
        "original_images_per_second": original,
        "ratio": best / original,
        "network_images_per_second": network,
        "parts_images_per_second": parts,
        "bound_by": bound,
        "share_of_bound": best / parts[bound],
        "gflop_per_image": gflop,
        "matrix_gflops": matrix,
        "describe_share_of_matrix_rate": best * gflop / matrix,
        "network_share_of_matrix_rate": parts["network"] * gflop / matrix,
    }


def _describe_rate(setting: Setting, model: PlaceModel, images: ImageSet, batch: int) -> float:
    def work(images: ImageSet) -> Callable[[], object]:
        return lambda: describe(
            model,
            images,
            compute=replace(setting.compute, batch_size=batch),
        )

    work(images.subset(range(batch)))()
    return len(images) / median_seconds(work(images), repeats=3, warm_up=0, device=setting.device)


def _original_rate(setting: Setting, ours: PlaceModel, images: ImageSet) -> float:
    model = like(ours)
    batch = setting.sizes.batch

    def work(images: ImageSet) -> None:
        for _ in described(model, images, batch_size=batch, workers=setting.threads):
            pass

    work(images.subset(range(batch)))
    return len(images) / seconds_of(lambda: work(images), device=setting.device)


def _network_rate(setting: Setting, model: PlaceModel, size: tuple[int, int], batch: int) -> float:
    """Of the model on a batch of bytes that lies on the device already."""
    generator = torch.Generator().manual_seed(SEED)
    pixels = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=generator)
    pixels = pixels.to(setting.device)

    def work() -> None:
        with torch.inference_mode(), setting.compute.autocast(model.device):
            model(pixels)

    repeats = 2 if setting.quick else 20
    return batch / median_seconds(work, repeats=repeats, warm_up=2, device=setting.device)


def _decode_rate(setting: Setting, images: ImageSet) -> float:
    def work() -> None:
        for batch in load_batches(images, batch_size=24, threads=setting.threads):
            assert isinstance(batch, Batch)

    return len(images) / median_seconds(work, repeats=3)


def _transfer_rate(setting: Setting, size: tuple[int, int]) -> float:
    """Of batches of bytes from pinned memory to the device (a copy where there is no GPU)."""
    batch = 24
    gpu = setting.device != "cpu"
    pixels = torch.zeros(batch, 3, *size, dtype=torch.uint8, pin_memory=gpu)
    target = torch.empty_like(pixels, device=setting.device)
    work = partial(target.copy_, pixels, non_blocking=True)
    return batch / median_seconds(work, repeats=20, device=setting.device)


def _pictures(folder: Path, size: tuple[int, int], count: int) -> ImageSet:
    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    names = tuple(f"{number:04d}.jpg" for number in range(count))
    for name in names:
        Image.fromarray(picture(size, random)).save(folder / name, quality=90)
    return ImageSet(folder, names)


def main(arguments: Sequence[str] | None = None, measure: Measure = measure_in_child) -> int:
    """Measure, print, write; 2 when something has to be put right."""
    typed = _parser().parse_args(arguments)
    typed.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        if typed.device == "cuda" and not torch.cuda.is_available():
            raise BenchmarkError("no GPU found; --device cpu --quick shows whether it runs at all")
        with tempfile.TemporaryDirectory(prefix="bench-", dir=typed.output.parent) as work:
            _run(_setting(typed, Path(work)), typed.output, measure)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def _setting(typed: argparse.Namespace, work: Path) -> Setting:
    environment = dict(os.environ)
    if typed.synthetic:
        size = (48, 64) if typed.quick else (240, 320)
        write_data(work / "data", SMALL_SPLITS if typed.quick else SPLITS, size)
        write_weights(work / "weights")
        environment["NETVLAD_BENCH_DATA"] = str(work / "data")
        environment["NETVLAD_BENCH_WEIGHTS"] = str(work / "weights")
    return from_environment(
        work,
        threads=typed.threads,
        quick=typed.quick,
        device=typed.device,
        precision=typed.precision or ("bf16" if typed.device == "cuda" else "32"),
        environment=environment,
    )


def _run(setting: Setting, output: Path, measure: Measure) -> None:
    torch.set_num_threads(setting.threads)
    load = os.getloadavg()[0]
    found = describing(setting)
    print(_told(found), file=sys.stderr)
    # What this process holds of the GPU's memory is the measurements' now.
    if setting.device != "cpu":
        torch.cuda.empty_cache()
    results = measured(needed(tuple(ROWS)), setting, measure)
    rows = [build_row(name, results) for name in ROWS]
    more = details(results, setting, load)
    content = {"rows": [row.to_json() for row in rows], "describing": found, "details": more}
    write_json(output, content)
    Console(width=None if sys.stdout.isatty() else 160).print(rows_table(rows, more))


def _told(found: dict[str, Any]) -> str:
    height, width = found["size"]
    best = max(found["ours_images_per_second"].values())
    return (
        f"describing {height}×{width}: {best:.0f} images/s, the original's way "
        f"{found['original_images_per_second']:.0f}; the network alone "
        f"{found['parts_images_per_second']['network']:.0f} "
        f"({found['network_share_of_matrix_rate']:.2f} of the matrix rate); "
        f"bound by {found['bound_by']}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--precision", choices=tuple(DTYPES), help="ours only (default: bf16 on a GPU, else 32)"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--synthetic", action="store_true", help="make data and weights up")
    parser.add_argument("--quick", action="store_true", help="tiny samples: does it run at all?")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-gpu.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
