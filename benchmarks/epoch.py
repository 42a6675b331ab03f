"""One whole epoch of the train split each way, run once: ``python -m benchmarks.epoch``.

Ours takes minutes; the original's takes hours on a machine without a GPU, and goes on where it was
interrupted; remove ``build/bench-epoch`` to begin anew. ``build/bench-epoch.json`` holds what there
is so far. ``python -m benchmarks.epoch without-cache`` runs ours without the trunk cache: the same
training by slower means.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.children import ROOT
from benchmarks.journal import Journal
from benchmarks.models import our_model
from benchmarks.original.epoch import JOURNAL, OriginalEpoch
from benchmarks.original.model import like
from benchmarks.samples import open_split, recipe
from benchmarks.setting import BenchmarkError, Setting, from_environment
from benchmarks.table import duration
from benchmarks.timing import peak_mb
from netvlad.cli.main import keep_freed_memory
from netvlad.storage import read_json, write_json
from netvlad.training.loop import Trainer
from netvlad.training.mining import mining_task
from netvlad.types import Note, Progress


class StageClock:
    """A reporter that adds up the wall time of each stage; it prints each stage once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, message: Progress | Note) -> None:
        now = time.perf_counter()
        if isinstance(message, Progress):
            if message.stage not in self.seconds:
                print(message.stage, file=sys.stderr)
            # What passed since the last message went into what this one reports.
            self.seconds[message.stage] = self.seconds.get(message.stage, 0.0) + now - self._last
        self._last = now


def ours(setting: Setting) -> dict[str, Any]:
    """The trunk cache, an epoch and its validation, through the trainer."""
    return _trained(setting, setting.work / "ours", setting.work / "ours/trunk")


def without_cache(setting: Setting) -> dict[str, Any]:
    """The same, the frozen layers computed anew for every image of every refresh and step."""
    return _trained(setting, setting.work / "without-cache", "off")


def _trained(
    setting: Setting, folder: Path, trunk_cache: Path | Literal["auto", "off"]
) -> dict[str, Any]:
    keep_freed_memory()
    shutil.rmtree(folder, ignore_errors=True)
    clock = StageClock()
    trainer = Trainer(
        our_model(setting),
        open_split(setting, "train"),
        open_split(setting, "val"),
        recipe(setting),
        folder / "run",
        trunk_cache=trunk_cache,
        compute=setting.compute,
        report=clock,
    )
    started = time.perf_counter()
    state = trainer.run()
    whole = time.perf_counter() - started
    row = state.history[-1]
    return {
        "seconds": row["seconds"],
        "seconds_with_cache_build_and_validation": whole,
        "stages": clock.seconds,
        "loss": row["loss"],
        "recalls": {key: value for key, value in row.items() if key.startswith("recall@")},
        "peak_mb": peak_mb(),
    }


def original(setting: Setting) -> dict[str, Any]:
    """The original's epoch, as far as it was not done before."""
    train = open_split(setting, "train")
    chosen = recipe(setting)
    journal = OriginalEpoch(
        like(our_model(setting)),
        train,
        mining_task(train, chosen),
        chosen,
        setting.work / "original",
        setting.threads,
        lambda text: print(text, file=sys.stderr),
    ).run(open_split(setting, "val"))
    return original_figures(journal)


def original_figures(journal: Journal) -> dict[str, Any]:
    """The sums of a journal."""
    refresh = journal.total("seconds", lambda name: "refresh" in name)
    mining, steps = journal.total("mining_seconds"), journal.total("step_seconds")
    losses = [loss for known in journal.parts.values() for loss in known.get("losses", ())]
    found: dict[str, Any] = {
        "seconds": refresh + mining + steps,
        "stages": {"refresh": refresh, "mining": mining, "steps": steps},
        "loss": sum(losses) / max(1, len(losses)),
        "finished": "validation" in journal.parts,
    }
    if found["finished"]:
        validation = journal.parts["validation"]
        found["validation_seconds"] = validation["seconds"]
        found["recalls"] = {f"recall@{n}": v for n, v in validation["recalls"].items()}
    return found


SIDES = {"ours": ours, "without-cache": without_cache, "original": original}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and write both sides' figures, whichever there are."""
    typed = _parser().parse_args(arguments)
    try:
        setting = from_environment(typed.work, threads=typed.threads, quick=typed.quick)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    torch.set_num_threads(typed.threads)
    found: dict[str, Any] = read_json(typed.output) if typed.output.is_file() else {}
    for side, work in SIDES.items():
        if typed.side != side and (typed.side != "both" or side == "without-cache"):
            continue
        if typed.side == "both" and side == "ours" and "ours" in found:
            print("ours: measured before (`python -m benchmarks.epoch ours` measures it anew)")
            continue
        try:
            found[side] = work(setting)
        except KeyboardInterrupt:
            print(f"interrupted; go on with the same command ({side})", file=sys.stderr)
            if side == "original":
                found[side] = original_figures(Journal(typed.work / "original" / JOURNAL))
            write_json(typed.output, found)
            return 130
        write_json(typed.output, found)
        print(f"{side}: an epoch takes {duration(found[side]['seconds'])}")
    if found.get("original", {}).get("finished") and "ours" in found:
        found["ratio"] = found["original"]["seconds"] / found["ours"]["seconds"]
        write_json(typed.output, found)
        print(f"ratio {found['ratio']:.3g}×")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.epoch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("side", nargs="?", choices=(*SIDES, "both"), default="both")
    parser.add_argument(
        "--threads", type=int, default=2, help="torch's, and decoders; numpy's: OMP_NUM_THREADS"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench-epoch")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-epoch.json")
    parser.add_argument("--quick", action="store_true", help="tiny blocks; for small data only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
