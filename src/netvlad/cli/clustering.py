"""The cluster file of a data set: computing it, and finding it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from netvlad.cli.models import clusters_path, fit_to_clusters
from netvlad.cli.settings import Settings
from netvlad.compute import Compute
from netvlad.fitting import Clusters, compute_clusters, write_clusters
from netvlad.models import PlaceModel, build_model
from netvlad.models.fingerprints import weights_fingerprint
from netvlad.types import Note, PlaceDataset, Reporter


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
        told = {"weights": str(settings.weights)}
        make_clusters(usual, network, train_set, settings, told, compute, report)
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
