"""From resolved settings to a model that is ready to describe or to train."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from netvlad.cli.runs import stored_settings
from netvlad.cli.settings import SPEC_NAMES, Settings, resolve
from netvlad.errors import ClusterError, SettingsError
from netvlad.fitting import Clusters, initialise, read_clusters
from netvlad.models import PlaceModel, build_model
from netvlad.models.checkpoints import Checkpoint, Ckpt, load_checkpoint
from netvlad.types import Note, Reporter


@dataclass(frozen=True)
class Start:
    """What a command starts from.

    Attributes:
        settings: resolved; for a stored model, what it is.
        checkpoint: where a stored model was read from; None off the shelf.
    """

    settings: Settings
    checkpoint: Checkpoint | None


def open_run(resume: Path | None, ckpt: Ckpt, typed: Mapping[str, Any], report: Reporter) -> Start:
    """Read the run to go on from, if any, and resolve the settings with what was typed.

    Raises:
        CheckpointError: the run cannot be read.
        SettingsError: the user typed another model than the run holds.
    """
    checkpoint = None if resume is None else load_checkpoint(resume, ckpt)
    settings = resolve(stored=stored_settings(resume, checkpoint), typed=typed)
    if checkpoint is not None:
        for name in SPEC_NAMES:
            stored, wanted = getattr(checkpoint.spec, name), settings.model[name]
            if wanted != stored:
                raise SettingsError(
                    f"--{name.replace('_', '-')} {wanted}: the model of {resume} has {stored}; "
                    "drop the flag or start a new training"
                )
        checkpoint = replace(
            checkpoint, spec=replace(checkpoint.spec, resize=settings.model["resize"])
        )
    for note in settings.notes:
        report(Note(note))
    return Start(settings, checkpoint)


def clusters_path(settings: Settings, runs_dir: Path) -> Path:
    """Where ``cluster`` writes and ``train`` and ``test`` look, unless told otherwise."""
    name = f"{settings.model['arch']}_{settings.data['dataset']}_{settings.model['num_clusters']}"
    return runs_dir / "centroids" / f"{name}_desc_cen.hdf5"


def fit_to_clusters(
    settings: Settings, typed: Mapping[str, Any], path: Path | None, runs_dir: Path
) -> tuple[Settings, Clusters | None]:
    """Read the cluster file that an untrained NetVLAD needs, and take K from it.

    Raises:
        ClusterError: there is none, or its K is not the one that was typed.
    """
    if settings.model["pooling"] != "netvlad":
        return settings, None
    file = path or clusters_path(settings, runs_dir)
    clusters = read_clusters(file)
    found = len(clusters.centroids)
    if found == settings.model["num_clusters"]:
        return settings, clusters
    if typed.get("num_clusters") is not None:
        raise ClusterError(
            f"{file}: holds {found} clusters, not {settings.model['num_clusters']}; drop "
            "--num-clusters or run `netvlad cluster` again"
        )
    return replace(settings, model={**settings.model, "num_clusters": found}), clusters


def untrained(settings: Settings, clusters: Clusters | None, report: Reporter) -> PlaceModel:
    """The model as training starts: published backbone weights, layer initialised from clusters.

    Raises:
        WeightsError: the backbone's weights cannot be had.
        ClusterError: the clusters have another dimension than the backbone.
    """
    torch.manual_seed(settings.recipe.seed)
    model = build_model(settings.spec, weights=settings.weights, report=report)
    return model if clusters is None else initialise(model, clusters, report)
