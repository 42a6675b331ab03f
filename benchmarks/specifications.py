"""What it costs to open the largest data sets: ``python -m benchmarks.specifications``.

The specifications are made up in the published layout and size; there are no images. Each is
opened in a process of its own, three times in all; the median and the peak memory are printed.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.children import ROOT

GSV_IMAGES, GSV_CITIES, GSV_VIEWS = 529_989, 23, 8
PITTSBURGH_TRAIN = (91_464, 7_824)


def make_gsv_cities(root: Path) -> None:
    """Tables of 23 cities with as many images as GSV-Cities has, eight to a place."""
    random = np.random.default_rng(0)
    (root / "Dataframes").mkdir(parents=True)
    shares = np.diff(np.linspace(0, GSV_IMAGES, GSV_CITIES + 1).astype(int))
    for city, count in enumerate(shares.tolist()):
        latitude, longitude = 20.0 + city, 5.0 * city
        with (root / f"Dataframes/City{city}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            columns = ("place_id", "year", "month", "northdeg", "city_id", "lat", "lon", "panoid")
            table.writerow(columns)
            where = random.normal(0, 0.05, (count // GSV_VIEWS + 1, 2)) + np.array(
                [latitude, longitude]
            )
            for image in range(count):
                place = image // GSV_VIEWS
                row = (place, 2010 + image % 10, image % 12 + 1, image % 360, f"City{city}")
                table.writerow((*row, *where[place].round(7), f"pano{image}"))


def make_pittsburgh(root: Path) -> None:
    """A struct of the size of Pitts250k train."""
    from netvlad.datasets.converting import convert_dataset  # noqa: PLC0415
    from netvlad.types import ImageSet, PlaceDataset  # noqa: PLC0415

    random = np.random.default_rng(0)
    sides = [
        ImageSet(
            root,
            tuple(f"{i % 1000:03d}/{prefix}{i:06d}_pitch1_yaw{i % 12 + 1}.jpg" for i in range(n)),
            random.uniform(0, 5000, (n, 2)),
        )
        for prefix, n in zip(("", "q"), PITTSBURGH_TRAIN, strict=True)
    ]
    made = convert_dataset(PlaceDataset("made up", "train", *sides), "mat", root)
    made.rename(made.with_name("pitts250k_train.mat"))


def opened(name: str, root: Path) -> None:
    """In a child: open, and print a line of JSON."""
    import netvlad  # noqa: PLC0415

    started = time.perf_counter()
    dataset = netvlad.open_dataset(name, root, "train")
    seconds = time.perf_counter() - started
    # Linux counts kibibytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    images = len(dataset.database) + len(dataset.queries)
    print(json.dumps({"images": images, "seconds": seconds, "peak_mb": peak}))


MAKERS = {"gsv-cities": make_gsv_cities, "pitts250k": make_pittsburgh}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make both, open both three times, print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.specifications")
    parser.add_argument("--open", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    typed = parser.parse_args(arguments)
    if typed.open:
        opened(typed.open[0], Path(typed.open[1]))
        return 0
    for name, make in MAKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            command = [sys.executable, "-m", "benchmarks.specifications", "--open", name, folder]
            runs = [
                json.loads(
                    subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
                )
                for _ in range(3)
            ]
        seconds = statistics.median(run["seconds"] for run in runs)
        peak = max(run["peak_mb"] for run in runs)
        print(f"{name}: {runs[0]['images']:,} images in {seconds:.2f} s, peak {peak:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
