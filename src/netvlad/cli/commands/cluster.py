"""``netvlad cluster``: the centres that NetVLAD starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from netvlad.cli.console import reporting, show
from netvlad.cli.flags import DataFlags, MachineFlags, ModelFlags
from netvlad.cli.models import choose_device, clusters_path
from netvlad.cli.settings import resolve, tell, typed_flags
from netvlad.errors import SettingsError
from netvlad.fitting import compute_clusters, write_clusters
from netvlad.models import build_model, load_model
from netvlad.types import Note

DEFAULTS = (DataFlags(), ModelFlags(), MachineFlags())


def cluster(
    *,
    data: DataFlags = DEFAULTS[0],
    model: ModelFlags = DEFAULTS[1],
    machine: MachineFlags = DEFAULTS[2],
    output: Path | None = None,
    runs_dir: Path = Path("runs"),
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
) -> None:
    """Compute the cluster centres that an untrained NetVLAD layer starts from.

    500 database images of the train split, 100 random local features of each, k-means. `train` and
    `test` find the file by itself when --arch, --dataset, --num-clusters and --runs-dir agree.

        netvlad cluster --dataset pitts30k --data-dir ~/pittsburgh --arch vgg16

    Parameters
    ----------
    output
        The file to write
        [default: RUNS_DIR/centroids/ARCH_DATASET_K_desc_cen.hdf5].
    runs_dir
        Where runs and centroids are kept.
    resume
        Cluster the features of a trained model: its run folder.
    ckpt
        Which of its checkpoints: latest or best.
    """
    typed = typed_flags(data, model, machine)
    settings = resolve(typed=typed)
    if settings.model["pooling"] != "netvlad":
        raise SettingsError(
            f"--pooling {settings.model['pooling']} needs no clusters; only netvlad does"
        )
    path = output or clusters_path(settings, runs_dir)
    with reporting() as report:
        dataset = tell(settings.open("train"), report)
        if resume is not None:
            network = load_model(resume, which=ckpt)
            report(Note(f"features of the {ckpt} checkpoint of {resume}: {network.spec.arch}"))
        else:
            network = build_model(settings.spec, weights=settings.weights)
        clusters = compute_clusters(
            network.to(choose_device(machine.device)),
            dataset.database,
            settings.model["num_clusters"],
            seed=settings.recipe.seed,
            batch_size=settings.recipe.cache_batch_size,
            threads=machine.threads,
            precision=machine.precision,
            report=report,
        )
        made_by = {
            "arch": network.spec.arch,
            "dataset": dataset.name,
            "weights": str(settings.weights) if resume is None else str(resume),
            "seed": str(settings.recipe.seed),
        }
        write_clusters(path, replace(clusters, made_by=made_by))
    show(f"{path}: {len(clusters.centroids)} clusters of {len(clusters.descriptors)} features")
