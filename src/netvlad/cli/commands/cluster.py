"""``netvlad cluster``: the centres that NetVLAD starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from netvlad.cli.console import reporting, show
from netvlad.cli.flags import DataFlags, MachineFlags, ModelFlags
from netvlad.cli.models import clusters_path, make_clusters, open_run
from netvlad.cli.settings import tell, typed_flags
from netvlad.errors import SettingsError
from netvlad.models import build_model
from netvlad.models.checkpoints import model_of


def cluster(
    *,
    data: DataFlags = DataFlags(),
    model: ModelFlags = ModelFlags(),
    machine: MachineFlags = MachineFlags(),
    output: Path | None = None,
    runs_dir: Path = Path("runs"),
    resume: Path | None = None,
    ckpt: Literal["latest", "best"] = "latest",
) -> None:
    """Compute the cluster centres that an untrained NetVLAD layer starts from.

    500 database images of the train split, 100 random local features of each, k-means. `train` and
    `test` find the file by itself when --arch, --dataset, --num-clusters and --runs-dir agree.

    ```
    netvlad cluster --dataset pitts30k --data-dir ~/pittsburgh --arch vgg16
    ```

    Args:
        output: The file to write [default: RUNS_DIR/centroids/ARCH_DATASET_K_desc_cen.hdf5].
        runs_dir: Where runs and centroids are kept.
        resume: Cluster the features of a trained model: its run folder.
        ckpt: Which of its checkpoints: latest or best.
    """
    typed = typed_flags(data, model, machine)
    if typed["pooling"] not in (None, "netvlad"):
        raise SettingsError(f"--pooling {typed['pooling']} needs no clusters; only netvlad does")
    # A trained model of any pooling, and with any number of clusters, can be clustered anew.
    wanted = {name: typed.pop(name) for name in ("pooling", "num_clusters", "vladv2")}
    with reporting() as report:
        settings, checkpoint = open_run(resume, ckpt, typed, report)
        layer = {name: value for name, value in wanted.items() if value is not None}
        settings = replace(settings, model={**settings.model, **layer})
        dataset = tell(settings.open("train"), report)
        if checkpoint is not None and resume is not None:
            network = model_of(checkpoint, resume)
        else:
            network = build_model(settings.spec, weights=settings.weights)
        if resume is None:
            weights = {"weights": str(settings.weights)}
        else:
            weights = {"weights": str(resume.absolute()), "ckpt": ckpt}
        path = output or clusters_path(settings, runs_dir)
        compute = machine.compute()
        clusters = make_clusters(path, network, dataset, settings, weights, compute, report)
    show(f"{path}: {len(clusters.centroids)} clusters of {len(clusters.descriptors)} features")
