"""Off-the-shelf NetVLAD, named by the file of its cluster centres."""

from dataclasses import replace
from pathlib import Path

from netvlad.errors import ClusterError
from netvlad.fitting.clustering import Clusters, initialise, read_clusters
from netvlad.models import BACKBONES, ModelSpec, NetVLAD, PlaceModel, build_model
from netvlad.models.checkpoints import BEST, LATEST, load_checkpoint, model_of
from netvlad.models.fingerprints import weights_fingerprint
from netvlad.types import Reporter, silent

_PYTORCH_NETVLAD = "_desc_cen.hdf5"


def model_of_clusters(path: Path, *, report: Reporter = silent) -> PlaceModel:
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
    spec = _spec(path, clusters)
    weights = clusters.made_by.get("weights", "imagenet")
    if weights == "none":
        raise ClusterError(
            f"{path}: was made with random weights, which are kept nowhere; run `netvlad cluster` "
            "with --weights FILE or a trained model"
        )
    try:
        if weights in BACKBONES[spec.arch].weights or Path(weights).is_file():
            model = build_model(spec, weights=weights, report=report)
        elif Path(weights).is_dir():
            model = _of_run(Path(weights), spec, clusters)
        else:
            raise ClusterError(
                f"was made with the weights of {weights}, which are not there; put them there or "
                "run `netvlad cluster` again"
            )
        initialise(model, clusters, report)
    except ClusterError as error:
        raise ClusterError(f"{path}: {error}") from error
    made_with = clusters.made_by.get("encoder", "")
    if made_with and made_with != weights_fingerprint(model.encoder):
        raise ClusterError(
            f"{path}: was made with other weights than {weights} has now; run `netvlad cluster` "
            "again"
        )
    return model.eval()


def _spec(path: Path, clusters: Clusters) -> ModelSpec:
    """What the file says of its model, or else its name does.

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
    sides = [int(side) for side in clusters.made_by.get("resize", "").split("x") if side]
    return ModelSpec(
        arch=arch,
        num_clusters=len(clusters.centroids),
        vladv2=clusters.made_by.get("vladv2") == "true",
        resize=(sides[0], sides[1]) if len(sides) == 2 else next(iter(sides), None),
    )


def _of_run(run: Path, spec: ModelSpec, clusters: Clusters) -> PlaceModel:
    """The trained backbone of a run, with a layer for centres of its features."""
    ckpt = BEST if clusters.made_by.get("ckpt") == BEST else LATEST
    trained = model_of(load_checkpoint(run, ckpt), run)
    layer = NetVLAD(spec.num_clusters, trained.encoder.channels, spec.vladv2)
    return PlaceModel(
        trained.encoder,
        layer,
        replace(
            trained.spec,
            pooling="netvlad",
            num_clusters=spec.num_clusters,
            vladv2=spec.vladv2,
            resize=spec.resize,
            whitening_dim=None,
        ),
    )
