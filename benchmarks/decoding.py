"""How long decoding a JPEG takes, with which decoder: ``python -m benchmarks.decoding``.

The pictures are mosaics of photographs from the folder in NETVLAD_BENCH_DATA (by default
../shared/data/cambridge; of made-up texture where there is none) at their own scale, because
enlarged ones would lack the fine detail that takes the time. They are saved with quality 90 and
halved colour (4:2:0) and decoded at their own size, and resized to 480×640. The decoders take
turns, and the medians count. Decoders that are not installed are left out.

What it decided (Pillow 13.0.0, simplejpeg 1.9.0, two cores of an AMD EPYC, processor time):

- At its own size, simplejpeg needs 2.0 ms for 640×480 where Pillow needs 2.6 to 3.2, and 75 ms for
  4000×3000 where Pillow needs 180 to 230; the pixels are equal. So ``read_image`` uses it for that,
  and needs 2.2 ms, because it has Pillow read the header first. Both release the interpreter's lock
  while they decode.
- Resized from 4000×3000, Pillow needs 160 to 190 ms, Pillow with ``draft`` 80, simplejpeg 77. So
  Pillow does that: it reduces by powers of two, which comes closer to full decoding.
- opencv (2.1 ms and 110 ms) and imagecodecs (1.9 and 71 ms) take 150 and 45 MB on disk, simplejpeg
  1 MB. PyTurboJPEG needs a libjpeg-turbo that somebody has installed.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from netvlad.images import read_image

_ROOT = Path(__file__).resolve().parents[1]
_TARGET = (640, 480)
_TILE = (320, 240)

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""(width, height) in pixels."""
Decoder = Callable[[Path, Size | None], Pixels]


@dataclass(frozen=True)
class Row:
    """One decoder at one job.

    Attributes:
        source: (width, height) of the files in pixels.
        target: (width, height) of the result; None is that of the file.
        decoder: its name.
        cpu_ms: processor time per image in one thread, the median, in milliseconds.
        wall_ms: wall time per image in one thread, likewise.
        images_per_s: the median speed of one thread.
        images_per_s_2_threads: that of two threads.
        psnr_db: against what plain Pillow makes of it; None where the pixels are equal.
        largest_difference: likewise, in levels of 255.
    """

    source: Size
    target: Size | None
    decoder: str
    cpu_ms: float
    wall_ms: float
    images_per_s: float
    images_per_s_2_threads: float
    psnr_db: float | None
    largest_difference: int


def pillow(path: Path, target: Size | None) -> Pixels:
    with Image.open(path) as image:
        return _as_array(image, target)


def pillow_with_draft(path: Path, target: Size | None) -> Pixels:
    with Image.open(path) as image:
        if target is not None:
            image.draft(None, (2 * target[0], 2 * target[1]))
        return _as_array(image, target)


def simplejpeg(path: Path, target: Size | None) -> Pixels:
    library = importlib.import_module("simplejpeg")
    data = path.read_bytes()
    if target is None:
        pixels: Pixels = library.decode_jpeg(data)
        return pixels
    height, width = 2 * target[1], 2 * target[0]
    pixels = library.decode_jpeg(data, min_height=height, min_width=width, min_factor=2)
    return _as_array(Image.fromarray(pixels), target)


def opencv(path: Path, target: Size | None) -> Pixels:
    library = importlib.import_module("cv2")
    library.setNumThreads(1)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    pixels: Pixels = library.imdecode(data, library.IMREAD_COLOR_RGB)
    return pixels if target is None else _as_array(Image.fromarray(pixels), target)


def imagecodecs(path: Path, target: Size | None) -> Pixels:
    library = importlib.import_module("imagecodecs")
    pixels: Pixels = library.jpeg8_decode(path.read_bytes())
    return pixels if target is None else _as_array(Image.fromarray(pixels), target)


def ours(path: Path, target: Size | None) -> Pixels:
    return read_image(path, resize=None if target is None else (target[1], target[0]))


DECODERS: dict[str, Decoder] = {
    "Pillow": pillow,
    "Pillow, draft": pillow_with_draft,
    "simplejpeg": simplejpeg,
    "opencv": opencv,
    "imagecodecs": imagecodecs,
    "read_image": ours,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures, measure, print the table, write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--repeats", type=int, default=16, help="medians of so many (default: 16)")
    typed = parser.parse_args(arguments)
    data = Path(os.environ.get("NETVLAD_BENCH_DATA", _ROOT.parent / "shared/data/cambridge"))
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="decoding-") as folder:
        for source, number, targets in (
            ((640, 480), 8, (None,)),
            ((4000, 3000), 2, (None, _TARGET)),
        ):
            paths = _make_pictures(Path(folder), data, source, number)
            repeats = typed.repeats if number > 2 else -(-typed.repeats // 4)
            for target in targets:
                rows += measure(paths, source, target, repeats)
    Console(width=None if sys.stdout.isatty() else 120).print(_table(rows, load))
    if typed.json:
        typed.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def measure(paths: Sequence[Path], source: Size, target: Size | None, repeats: int) -> list[Row]:
    """Every installed decoder at one job.

    Args:
        paths: the files, all of one size.
        source: that size.
        target: what they are resized to; None decodes only.
        repeats: how often each decoder has its turn.
    """
    decoders = {name: decoder for name, decoder in DECODERS.items() if _runs(decoder, paths[0])}
    single: dict[str, list[tuple[float, float]]] = {name: [] for name in decoders}
    double: dict[str, list[float]] = {name: [] for name in decoders}
    # Never in the main thread: the loader does not, and the C library gives each thread a heap of
    # its own, on which Pillow is up to twice as fast as on the main one.
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        for _ in range(repeats):
            for name, decoder in decoders.items():
                single[name].append(one.submit(_single, decoder, paths, target).result())
                double[name].append(_double(decoder, paths, target, two))
    rows = []
    for name, decoder in decoders.items():
        cpu, wall = (median(times) * 1000 for times in zip(*single[name], strict=True))
        psnr, largest = _difference(decoder, paths, target)
        speeds = 1000 / wall, 1 / median(double[name])
        rows.append(Row(source, target, name, cpu, wall, *speeds, psnr, largest))
    return rows


def _single(decoder: Decoder, paths: Sequence[Path], target: Size | None) -> tuple[float, float]:
    # Processor time beside wall time: whatever else runs on the machine takes wall time only.
    cpu, wall = time.thread_time(), time.perf_counter()
    for path in paths:
        decoder(path, target)
    return (
        (time.thread_time() - cpu) / len(paths),
        (time.perf_counter() - wall) / len(paths),
    )


def _double(
    decoder: Decoder, paths: Sequence[Path], target: Size | None, pool: ThreadPoolExecutor
) -> float:
    started = time.perf_counter()
    # Twice over, so that neither thread waits long for the other at the end.
    for done in [pool.submit(decoder, path, target) for path in (*paths, *paths)]:
        done.result()
    return (time.perf_counter() - started) / (2 * len(paths))


def _difference(
    decoder: Decoder, paths: Iterable[Path], target: Size | None
) -> tuple[float | None, int]:
    differences = np.stack(
        [decoder(path, target).astype(np.int16) - pillow(path, target) for path in paths]
    )
    if not differences.any():
        return None, 0
    error = float(np.square(differences, dtype=np.float64).mean())
    return float(10 * np.log10(255**2 / error)), int(np.abs(differences).max())


def _runs(decoder: Decoder, path: Path) -> bool:
    try:
        decoder(path, None)
    except ImportError:
        return False
    return True


def _as_array(image: Image.Image, target: Size | None) -> Pixels:
    if target is None or image.size == target:
        return np.array(image)
    return np.array(image.resize(target, Image.Resampling.BILINEAR))


def _make_pictures(folder: Path, data: Path, size: Size, number: int) -> list[Path]:
    random = np.random.default_rng(0)
    photographs = sorted(data.glob("*/*.jpg"))
    paths = [folder / f"{size[0]}x{size[1]}-{index}.jpg" for index in range(number)]
    for path in paths:
        mosaic = Image.new("RGB", size)
        for top in range(0, size[1], _TILE[1]):
            for left in range(0, size[0], _TILE[0]):
                mosaic.paste(_tile(photographs, random), (left, top))
        mosaic.save(path, quality=90, subsampling="4:2:0")
    return paths


def _tile(photographs: Sequence[Path], random: np.random.Generator) -> Image.Image:
    if photographs:
        with Image.open(photographs[int(random.integers(len(photographs)))]) as image:
            return image.convert("RGB").crop((0, 0, *_TILE))
    # Coarse to fine, each octave half as strong as the one before: the spectrum of photographs.
    texture = np.zeros((_TILE[1], _TILE[0], 3))
    for octave in range(7):
        coarse = random.normal(0, 48 / 2**octave, (4 << octave, 4 << octave, 3))
        texture += _enlarged(coarse)
    return Image.fromarray(np.clip(texture + 128, 0, 255).astype(np.uint8))


def _enlarged(coarse: NDArray[np.float64]) -> NDArray[Any]:
    channels = [
        Image.fromarray(coarse[:, :, channel].astype(np.float32)).resize(_TILE)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def _table(rows: Sequence[Row], load: float) -> Table:
    table = Table(title="JPEG, quality 90, 4:2:0", caption=f"load before: {load:.1f}")
    for heading in ("file", "result", "decoder"):
        table.add_column(heading)
    for heading in ("CPU ms", "wall ms", "images/s", "2 threads", "PSNR dB", "max. diff."):
        table.add_column(heading, justify="right")
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and (before.source, before.target) != (row.source, row.target):
            table.add_section()
        table.add_row(
            "×".join(map(str, row.source)),
            "×".join(map(str, row.target)) if row.target else "as it is",
            row.decoder,
            f"{row.cpu_ms:.2f}",
            f"{row.wall_ms:.2f}",
            f"{row.images_per_s:.1f}",
            f"{row.images_per_s_2_threads:.1f}",
            "equal" if row.psnr_db is None else f"{row.psnr_db:.1f}",
            str(row.largest_difference),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
