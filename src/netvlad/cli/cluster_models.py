"""Off-the-shelf NetVLAD, named by the file of its cluster centres."""

from dataclasses import replace
from pathlib import Path

from netvlad.cli.models import initialise, untrained
from netvlad.cli.settings import Settings, resolve
from netvlad.errors import ClusterError
from netvlad.fitting import Clusters, read_clusters
from netvlad.models import BACKBONES, NetVLAD, PlaceModel, load_model
from netvlad.models.checkpoints import BEST, LATEST
from netvlad.models.fingerprints import weights_fingerprint
from netvlad.types import Reporter

SUFFIXES = (".hdf5", ".h5")
_PYTORCH_NETVLAD = "_desc_cen.hdf5"


def open_cluster_file(path: Path, report: Reporter) -> PlaceModel:
    """The model that a training would start from with these centres.

    Args:
        path: a file of ``netvlad cluster``, which says what it was made with; or of
            pytorch-NetVlad, ``<arch>_<dataset>_<K>_desc_cen.hdf5``, made with ImageNet weights.
        report: receives the progress of a download.

    Returns:
        The model on the CPU, in evaluation mode. It describes images of the size that the centres
        were computed at.

    Raises:
        ClusterError: the file is missing or damaged, does not say its backbone, or the weights it
            was made with are not there (any more).
        WeightsError: published weights cannot be had.
    """
    clusters = read_clusters(path)
    settings = _settings(path, clusters)
    weights = str(settings.weights)
    if weights == "none":
        raise ClusterError(
            f"{path}: was made with random weights, which are kept nowhere; run `netvlad cluster` "
            "with --weights FILE or a trained model"
        )
    try:
        if weights in BACKBONES[settings.model["arch"]].weights or Path(weights).is_file():
            model = untrained(settings, clusters, report)
        elif Path(weights).is_dir():
            model = _of_run(Path(weights), settings, clusters, report)
        else:
            raise ClusterError(
                f"was made with the weights of {weights}, which are not there; put them there or "
                "run `netvlad cluster` again"
            )
    except ClusterError as error:
        raise ClusterError(f"{path}: {error}") from error
    made_with = clusters.made_by.get("encoder", "")
    if made_with and made_with != weights_fingerprint(model.encoder):
        raise ClusterError(
            f"{path}: was made with other weights than {weights} has now; run `netvlad cluster` "
            "again"
        )
    return model.eval()


def _settings(path: Path, clusters: Clusters) -> Settings:
    made_by = clusters.made_by
    return resolve(
        typed={
            "arch": _arch(path, clusters),
            "pooling": "netvlad",
            "num_clusters": len(clusters.centroids),
            "vladv2": made_by.get("vladv2") == "true",
            "weights": made_by.get("weights"),
            "resize": made_by.get("resize"),
        }
    )


def _arch(path: Path, clusters: Clusters) -> str:
    """The backbone that the file names, or else its name does.

    Raises:
        ClusterError: neither does.
    """
    arch = clusters.made_by.get("arch", "")
    if not arch and path.name.endswith(_PYTORCH_NETVLAD):
        arch = path.name.partition("_")[0]
    if arch not in BACKBONES:
        raise ClusterError(
            f"{path}: does not say which backbone it belongs to ({arch or 'nothing'}); call it "
            f"ARCH_DATASET_K{_PYTORCH_NETVLAD} with ARCH one of {', '.join(BACKBONES)}"
        )
    return arch


def _of_run(run: Path, settings: Settings, clusters: Clusters, report: Reporter) -> PlaceModel:
    """The trained backbone of a run, with a layer made from centres of its features."""
    ckpt = BEST if clusters.made_by.get("ckpt") == BEST else LATEST
    trained = load_model(run, ckpt=ckpt)
    spec = replace(
        trained.spec,
        pooling="netvlad",
        num_clusters=settings.model["num_clusters"],
        vladv2=settings.model["vladv2"],
        resize=settings.model["resize"],
        whitening_dim=None,
    )
    layer = NetVLAD(spec.num_clusters, trained.encoder.channels, spec.vladv2)
    model = PlaceModel(trained.encoder, layer, spec)
    initialise(model, clusters, report)
    return model
