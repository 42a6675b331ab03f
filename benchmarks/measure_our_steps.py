"""Our side's optimiser steps, through the trainer of ``netvlad train``."""

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.measure_ours import trunk_features
from benchmarks.models import our_model
from benchmarks.samples import recipe, step_sample
from benchmarks.setting import Setting
from benchmarks.timing import seconds_of
from netvlad.cli.main import keep_freed_memory
from netvlad.training.loop import Trainer

Measured = dict[str, Any]


def step_cache(setting: Setting) -> Measured:
    """The trunk's output of the step sample: made apart, so that it is not in the steps' memory."""
    keep_freed_memory()
    model, sample = our_model(setting), step_sample(setting)
    images = sample.dataset.database.joined(sample.dataset.queries)
    shutil.rmtree(_step_cache(setting), ignore_errors=True)
    started = time.perf_counter()
    trunk_features(setting, model, images, _step_cache(setting)).prepare(stage="Frozen trunk")
    return {"seconds": time.perf_counter() - started, "images": len(images)}


def training_steps(setting: Setting) -> Measured:
    """Optimiser steps over the step sample, from the trunk's output on disk."""
    keep_freed_memory()
    sample = step_sample(setting)
    trainer = Trainer(
        our_model(setting),
        sample.dataset,
        None,
        recipe(setting),
        setting.work / "run",
        trunk_cache=_step_cache(setting),
        compute=setting.compute,
    )
    trainer.train_features.prepare(stage="Frozen trunk")
    trainer.steps(sample.tuples[: setting.sizes.step_batch])
    seconds = seconds_of(lambda: trainer.steps(sample.tuples), device=setting.device)
    return {
        "seconds": seconds,
        "queries": len(sample.tuples),
        "per_query": seconds / len(sample.tuples),
        "average_loss": trainer.state.average_loss,
    }


def _step_cache(setting: Setting) -> Path:
    return setting.work / "trunk-steps"
