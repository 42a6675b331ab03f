"""``make demo``: draw a town, then cluster, train and compare on it with netvlad's own commands."""

import argparse
import csv
import os
import shlex
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from demo.layout import Plan
from demo.town import render_town
from netvlad.cli.main import main as netvlad
from netvlad.errors import NetvladError
from netvlad.storage import locked

MODEL = ("--arch", "efficientnet-lite0", "--num-clusters", "16")
# The town is far from what the backbone was trained on, so it moves further than on photographs.
TRAINING = ("--lr", "2e-4", "--epochs", "5")
WHOLE = Plan()
UTM_ZONE = "31N"  # the town is nowhere; its coordinates need a zone to be written down


def run_demo(
    output: Path, plan: Plan = WHOLE, training: Sequence[str] = TRAINING, workers: int | None = None
) -> tuple[Path, float, float]:
    """Draw the town, cluster, train, and compare the model before and after.

    What an earlier, perhaps interrupted, demo of the same town left in ``output`` is used. Returns
    the report's page, and recall@1 before and after training on streets that were not trained on.
    """
    town, runs, report = output / "town", output / "runs", output / "report"
    with locked(output, "running the demo"):
        with Progress() as bars:
            bar = bars.add_task("Drawing the town")
            for done, total in render_town(town, plan, workers):
                bars.update(bar, completed=done, total=total)
        data = ("--dataset", "csv", "--data-dir", f"{town}", "--utm-zone", UTM_ZONE)
        if not (centres := runs / "centroids.hdf5").exists():
            _command("cluster", *data, *MODEL, "--output", f"{centres}")
        if started := _runs(runs):
            _command("train", "--resume", f"{started[-1]}")
        else:
            fresh = ("--clusters", f"{centres}", "--runs-dir", f"{runs}")
            _command("train", *data, *MODEL, *training, *fresh)
        model = _runs(runs)[-1].rename(runs / "demo")
        shelf = ("--model", f"{centres}", "--name", "off the shelf")
        trained = ("--model", f"{model}", "--name", "trained", "--ckpt", "best")
        _command("evaluate", *shelf, *trained, *data, "--split", "test", "--output", f"{report}")
    with (report / "results.csv").open(encoding="utf-8", newline="") as file:
        before, after = (float(row["recall@1"]) for row in csv.DictReader(file))
    return report / "index.html", before, after


def _command(*arguments: str) -> None:
    print(f"\n$ netvlad {shlex.join(arguments)}", flush=True)
    netvlad(arguments)


def _runs(folder: Path) -> list[Path]:
    """The runs that have a checkpoint, the latest last; but a finished demo comes after all."""
    found = [path.parent.parent for path in folder.glob("*/checkpoints/latest.json")]
    return sorted(found, key=lambda run: (run.name == "demo", run.stat().st_mtime))


def main() -> None:
    """Exits with 1 when training did not help, with 2 when the demo could not be run."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="a folder")
    parser.add_argument("--workers", type=int, help="processes that draw [default: one per core]")
    flags = parser.parse_args()
    try:
        page, before, after = run_demo(flags.output, workers=flags.workers)
    except NetvladError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(2)
    print("The town is drawn: these figures say that the machinery works, not how well it does on")
    print(f"photographs. Look at {page}")
    screens = {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ} or sys.platform in ("darwin", "win32")
    if screens and sys.stdout.isatty() and "CI" not in os.environ:
        webbrowser.open(page.resolve().as_uri())
    if after <= before:
        print("demo: training did not raise R@1 on the town's test streets", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
