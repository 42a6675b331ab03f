"""The model of an index whose owner names none: fitted to the photos themselves."""

from dataclasses import replace

from netvlad.compute import Compute
from netvlad.errors import ClusterError
from netvlad.fitting import compute_clusters, initialise
from netvlad.models import ModelSpec, PlaceModel, build_model
from netvlad.types import ImageSet, Note, Reporter, silent

NUM_CLUSTERS = 32
FEWEST_PHOTOS = 32
"""Below so many photos, centres would describe these photos rather than what photos look like."""

LONGEST_SIDE = 512
"""Pixels: large enough for a street's detail at the network's stride of 16; a photo of a phone is
decoded at a fraction of its size."""


def default_model(
    images: ImageSet,
    *,
    seed: int = 123,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> PlaceModel:
    """EfficientNet-Lite0 with a NetVLAD whose centres are those of the photos' local features.

    Below :data:`FEWEST_PHOTOS` photos, average pooling instead of NetVLAD. Nothing is downloaded:
    the backbone's weights are installed with the package. NetVLAD's alpha follows from the centres
    (Arandjelović et al., NetVLAD, CVPR 2016, appendix A).

    Args:
        images: the photos to be indexed.
        seed: governs which photos and cells are sampled, and k-means.
        compute: where and how, and where the model is put.
        report: receives progress and notes.

    Returns:
        The model in evaluation mode; it brings photos to :data:`LONGEST_SIDE` itself.
    """
    spec = ModelSpec(
        arch="efficientnet-lite0", num_clusters=NUM_CLUSTERS, resize=LONGEST_SIDE, pooling="netvlad"
    )
    if len(images) < FEWEST_PHOTOS:
        report(Note(f"average pooling: {FEWEST_PHOTOS} photos are needed to learn NetVLAD centres"))
        return _averaging(spec, compute)
    model = compute.place(build_model(spec, weights="imagenet"))
    try:
        clusters = compute_clusters(
            model, images, NUM_CLUSTERS, seed=seed, compute=compute, report=report
        )
    except ClusterError as error:
        # Few of them can be read, or they are tiny.
        report(Note(f"average pooling: {error}"))
        return _averaging(spec, compute)
    return initialise(model, clusters)


def _averaging(spec: ModelSpec, compute: Compute) -> PlaceModel:
    return compute.place(build_model(replace(spec, pooling="avg"), weights="imagenet"))
