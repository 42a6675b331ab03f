"""From resolved settings to a model that is ready to describe or to train."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netvlad.cli.runs import stored_settings
from netvlad.cli.settings import SPEC_NAMES, Settings, resolve
from netvlad.compute import Compute
from netvlad.errors import ClusterError, SettingsError, extra
from netvlad.fitting import Clusters, compute_clusters, initialise, read_clusters, write_clusters
from netvlad.models import PlaceModel, build_model
from netvlad.models.checkpoints import Checkpoint, Ckpt, load_checkpoint
from netvlad.models.fingerprints import weights_fingerprint
from netvlad.types import Note, PlaceDataset, Reporter


def open_run(
    resume: Path | None, ckpt: Ckpt, typed: Mapping[str, Any], report: Reporter
) -> tuple[Settings, Checkpoint | None]:
    """Read the run to resume, if any, and resolve the settings with what was typed.

    Returns:
        the settings, those of a stored model being what it is, and where it was read from.

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
    return settings, checkpoint


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


def make_clusters(
    path: Path,
    network: PlaceModel,
    train_set: PlaceDataset,
    settings: Settings,
    weights: Mapping[str, str],
    compute: Compute,
    report: Reporter,
) -> Clusters:
    """Compute the centres of a training split and write them.

    Args:
        path: the file to write; it says what it was made from, so that it names a whole model, see
            ``--model FILE.hdf5``.
        network: whose features are clustered.
        train_set: whose database images.
        settings: number of clusters, seed.
        weights: where the network's weights came from, as the file tells.
        compute: where and how.
        report: receives the progress.

    Raises:
        ClusterError: there are fewer features than clusters.
        StorageError: the file cannot be written.
    """
    with extra("train"):  # before minutes of work that could not be written
        import h5py  # noqa: F401, PLC0415
    clusters = compute_clusters(
        network,
        train_set.database,
        settings.model["num_clusters"],
        seed=settings.recipe.seed,
        compute=compute,
        report=report,
    )
    made_by = {
        "arch": network.spec.arch,
        "dataset": train_set.name,
        "data_dir": str(settings.data["data_dir"]),
        "encoder": weights_fingerprint(network.encoder),
        "seed": str(settings.recipe.seed),
        **weights,
    }
    if settings.model["vladv2"]:
        made_by["vladv2"] = "true"
    size = network.resize
    if size is not None:
        made_by["resize"] = "x".join(map(str, size)) if isinstance(size, tuple) else str(size)
    clusters = replace(clusters, made_by=made_by)
    write_clusters(path, clusters)
    return clusters


def found_or_made(
    settings: Settings,
    typed: Mapping[str, Any],
    path: Path | None,
    runs_dir: Path,
    train_set: PlaceDataset,
    compute: Compute,
    report: Reporter,
) -> tuple[Settings, Clusters | None]:
    """As :func:`netvlad.cli.models.fit_to_clusters`; a file that nobody named is made if need be.

    Raises:
        ClusterError: the file that was named is missing; or a file's K is not the one typed.
    """
    usual = clusters_path(settings, runs_dir)
    if settings.model["pooling"] == "netvlad" and path is None and not usual.is_file():
        report(Note(f"{usual}: no cluster file yet; as `netvlad cluster` makes it"))
        network = build_model(settings.spec, weights=settings.weights)
        made_with = {"weights": str(settings.weights)}
        make_clusters(usual, network, train_set, settings, made_with, compute, report)
    found, clusters = fit_to_clusters(settings, typed, path, runs_dir)
    own = str(settings.data["data_dir"])
    if clusters is not None and path is None and clusters.made_by.get("data_dir", own) != own:
        report(
            Note(
                f"{usual}: has centres of the images in {clusters.made_by['data_dir']}, not in "
                f"{own}; run `netvlad cluster`, or choose another --runs-dir, for centres of these"
            )
        )
    return found, clusters
