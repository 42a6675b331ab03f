"""Every model that a user can name: trained, published, their own code, or an index's."""

from dataclasses import replace
from pathlib import Path

from netvlad.errors import ClusterError, SettingsError
from netvlad.fitting.clustering import Clusters, initialise, read_clusters
from netvlad.models import (
    AGGREGATORS,
    BACKBONES,
    ExternalModel,
    ModelSpec,
    NetVLAD,
    PlaceModel,
    build_model,
)
from netvlad.models.checkpoints import BEST, LATEST, Ckpt, load_checkpoint, model_of
from netvlad.models.fingerprints import weights_fingerprint
from netvlad.models.registering import is_python_file, open_python_file
from netvlad.models.whitening import whitening_settings
from netvlad.types import Reporter, silent

_PYTORCH_NETVLAD = "_desc_cen.hdf5"


def model_of_clusters(path: Path, *, report: Reporter = silent) -> PlaceModel:
    """The model that a training would start from with these centres.

    ``path`` is a file of ``netvlad cluster``, which says what it was made with; or of
    pytorch-NetVlad, ``<arch>_<dataset>_<K>_desc_cen.hdf5``, made with ImageNet weights. The model
    is on the CPU, in evaluation mode, and describes images of the size that the centres were
    computed at.

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
    own = {name: getattr(spec, name) for name in ("num_clusters", "vladv2", "resize")}
    spec = replace(trained.spec, pooling="netvlad", **whitening_settings(None), **own)
    return PlaceModel(trained.encoder, layer, spec)


DEFAULT_POOLING = "avg"
LONGEST_SIDE = 512
"""Pixels a side to which photos are reduced for a backbone named by itself: photos of 12 megapixels
would otherwise take gigabytes each."""


def load_model(
    name: str | Path, *, ckpt: Ckpt = "latest", report: Reporter = silent
) -> PlaceModel | ExternalModel:
    """Load the model that is called ``name``, to describe images with it.

    Args:
        name: what :func:`load_place_model` takes; or a Python file that registers a model, as
            ``FILE.py``, or ``FILE.py:NAME`` where it registers several. Only that file is run.
        ckpt: the ``"latest"`` or the ``"best"`` checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model in evaluation mode, on the CPU unless a Python file has put it elsewhere.

    Raises:
        NetvladError: as :func:`load_place_model`.
        SettingsError: the Python file is not there, fails, or registers no such model.

    Examples:
        >>> load_model("efficientnet-lite0-avg").descriptor_dim
        112
    """
    if is_python_file(str(name)):
        return open_python_file(str(name))
    return load_place_model(name, ckpt=ckpt, report=report)


def load_place_model(
    name: str | Path, *, ckpt: Ckpt = "latest", report: Reporter = silent
) -> PlaceModel:
    """Load a model of weights and settings, which an index and an export can keep.

    Args:
        name: a path that exists: a run folder, ours or pytorch-NetVlad's, a checkpoint, an index
            (its model), or a cluster file (``.hdf5``: NetVLAD off the shelf); the address of an
            index in Milvus; or one of :func:`list_models`, whose ending may be left out for
            average pooling.
        ckpt: the ``"latest"`` or the ``"best"`` checkpoint of a run.
        report: receives the progress of a download.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the path is no model, or is damaged.
        StorageError: the path is a damaged index, or the server of an address fails.
        ClusterError: the cluster file is missing or damaged, or does not say what it belongs to.
        SettingsError: there is neither such a path nor such a backbone, the pooling needs cluster
            centres, or a Python file is named.
        WeightsError: the backbone's weights cannot be had.
    """
    if not isinstance(name, str | Path):
        raise SettingsError(
            f"cannot load a {type(name).__name__} as a model; give its name or path"
        )
    text, path = str(name), Path(name)
    if is_python_file(text):
        raise SettingsError(
            f"{name}: is code, but an index and an export keep a model as weights and settings, "
            "and no code is ever run from them; `netvlad describe` and `netvlad evaluate` take it"
        )
    if path.suffix.lower() in (".hdf5", ".h5") and not path.is_dir():
        return model_of_clusters(path, report=report)
    # Imported where they are needed: an index brings Arrow, too.
    if "://" in text:
        from netvlad.index.address import open_store  # noqa: PLC0415

        return open_store(text).load_model()
    if (path / "manifest.json").exists():
        from netvlad.index.stores.folder import FolderStore  # noqa: PLC0415

        with FolderStore.open(path) as store:
            return store.load_model()
    if path.exists():
        return model_of(load_checkpoint(path, ckpt), path)
    arch, pooling = _split(text)
    if pooling == "netvlad":
        raise SettingsError(
            f"{name}: NetVLAD has no published centres; fit centres with `netvlad cluster` and "
            "name the file it writes, or name a trained run's folder, or choose "
            f"{arch}-{DEFAULT_POOLING}"
        )
    spec = ModelSpec(arch=arch, pooling=pooling, resize=LONGEST_SIDE)
    return build_model(spec, weights="imagenet", report=report)


def list_models() -> list[str]:
    """The names of models with published weights: a backbone and a pooling each.

    Examples:
        >>> [name for name in list_models() if name.startswith("vgg16")]
        ['vgg16-max', 'vgg16-avg', 'vgg16-gem']
    """
    poolings = [pooling for pooling in AGGREGATORS if pooling != "netvlad"]
    return [f"{arch}-{pooling}" for arch in BACKBONES for pooling in poolings]


def _split(name: str) -> tuple[str, str]:
    """Backbone and pooling of ``BACKBONE`` or ``BACKBONE-POOLING``."""
    if name in BACKBONES:
        return name, DEFAULT_POOLING
    arch, _, pooling = name.rpartition("-")
    if arch in BACKBONES and pooling in AGGREGATORS:
        return arch, pooling
    raise SettingsError(
        f"{name}: no such run folder, nor a model of that name; there are {', '.join(BACKBONES)}, "
        f"each alone or with {', '.join(f'-{p}' for p in AGGREGATORS if p != 'netvlad')}"
    )
