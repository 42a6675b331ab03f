"""What every index does with photos before it keeps them: a model, descriptors, what is new."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors import Descriptors, describe
from netvlad.errors import ClusterError
from netvlad.fitting import compute_clusters, initialise
from netvlad.fitting.whitening import fit_partial_whitening, fit_whitening
from netvlad.index.places import Places
from netvlad.models import ModelSpec, PlaceModel, build_model
from netvlad.models.whitening import Whitening
from netvlad.types import ImageSet, Note, Reporter, silent

# What tells whether a photo is still the file that was described.
_FILE_COLUMNS = ("size_bytes", "mtime_ns")

NUM_CLUSTERS = 32
FEWEST_PHOTOS = 32
"""Below so many photos, centres would describe these photos rather than what photos look like."""

LONGEST_SIDE = 512
"""Pixels: large enough for a street's detail at the network's stride of 16; a photo of a phone is
decoded at a fraction of its size."""


class Cluster(Protocol):
    """Machines that describe photos together, such as :class:`netvlad.index.ray.RayCluster`."""

    def resolved(self) -> str | None:
        """Where it answers; worth a call before long work.

        Raises:
            SettingsError: it does not.
        """

    def describe(
        self,
        model: PlaceModel,
        images: ImageSet,
        *,
        output: Path,
        storage: str = "32",
        compute: Compute = Compute(),
        stage: str = "Describing images",
        report: Reporter = silent,
    ) -> Descriptors:
        """As :func:`netvlad.descriptors.describe`, with the same descriptors."""


def image_set(places: Places) -> ImageSet:
    """The photos of places, as the loader wants them."""
    return ImageSet(Path(), tuple(places.images()))


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


def model_or_default(
    model: PlaceModel | None, places: Places, compute: Compute, seed: int, report: Reporter
) -> PlaceModel:
    """The model that somebody named, or else the default model, fitted to the photos of places."""
    if model is not None:
        return model
    return default_model(image_set(places), seed=seed, compute=compute, report=report)


def fitted_whitening(
    descriptors: NDArray[np.floating[Any]],
    whiten: int | None,
    *,
    default: bool,
    seed: int = 123,
) -> Whitening | None:
    """What is to follow a model's aggregator, learned from the photos that it has described.

    Args:
        descriptors: (N, D), zeros for photos that cannot be used.
        whiten: the dimension of a PCA whitening; 0 for no whitening. None leaves a model that
            somebody named alone, and whitens the default model in part.
        default: whether it is the default model.
        seed: governs the sample that is learned from.

    Raises:
        SettingsError: ``whiten`` is more than the photos allow.
    """
    if whiten:
        return fit_whitening(descriptors, whiten, seed=seed)
    if whiten is None and default and len(descriptors) >= FEWEST_PHOTOS:
        return fit_partial_whitening(descriptors, seed=seed)
    return None


def describe_photos(
    model: PlaceModel,
    places: Places,
    compute: Compute,
    report: Reporter,
    *,
    cluster: Cluster | None = None,
    output: Path | None = None,
    storage: str = "32",
) -> Descriptors:
    """Describe the photos of N places.

    Args:
        model: the index's own, or the one it is to have.
        places: whose photos.
        compute: where and how.
        report: receives progress and notes.
        cluster: machines that describe instead of this one; they write into files alone.
        output: the ``.npy`` file for the descriptors; None keeps them in memory.
        storage: ``"32"`` or ``"16"`` bits per value.

    Returns:
        (N, D) descriptors.

    Raises:
        SettingsError: the cluster does not answer.
        StorageError: the file cannot be written.
    """
    engine = partial(describe, output=output)
    if cluster is not None and output is not None:
        engine = partial(cluster.describe, output=output)
    return engine(
        model,
        image_set(places),
        storage=storage,
        compute=compute,
        stage="Describing photos",
        report=report,
    )


def familiar(
    there: Places, at: NDArray[np.int64], given: Places
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell photos that need describing from those that an index has.

    Args:
        there: the index's places, or some of them.
        at: (M,) the row of each photo's place among them; -1 where it has none.
        given: M photos as they are now.

    Returns:
        (M,) whether the place was made from the very file that is there now; and the numbers of
        photos of the same file of which something else is known now: position, heading, time, tags.
    """
    known = np.flatnonzero(at >= 0)
    was, now = there.take(at[known]).table, given.take(known).table
    same = np.zeros(len(given), np.bool_)
    same[known] = np.logical_and.reduce(
        [was.column(name).to_numpy() == now.column(name).to_numpy() for name in _FILE_COLUMNS]
    )
    pairs = zip(known.tolist(), was.to_pylist(), now.to_pylist(), strict=True)
    changed = [i for i, old, new in pairs if same[i] and _facts(old) != _facts(new)]
    return same, np.array(changed, np.int64)


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    """A row that can be compared: NaN is not equal to NaN, and no tags may be None."""
    facts = {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in row.items()
    }
    return facts | {"tags": list(row["tags"] or ())}
