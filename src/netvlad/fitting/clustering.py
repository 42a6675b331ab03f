"""NetVLAD's cluster centres: k-means over local features of the training database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.descriptors.passes import results_of
from netvlad.errors import ClusterError, extra
from netvlad.images import Unreadable
from netvlad.models import NetVLAD, PlaceModel
from netvlad.models.describer import evaluating
from netvlad.storage import written_beside
from netvlad.types import ImageSet, Note, Progress, Reporter, silent

NUM_IMAGES = 500
FEATURES_PER_IMAGE = 100
KMEANS_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Clusters:
    """What a cluster file holds.

    Attributes:
        centroids: (K, D) float32 k-means centres.
        descriptors: (M, D) float32 L2-normalised local features they were computed from; NetVLAD's
            initialisation needs them to choose alpha.
        made_by: how they were made (architecture, data set, ...), for people and for checks; empty
            in a file of pytorch-NetVlad's.
    """

    centroids: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    made_by: Mapping[str, str] = field(default_factory=dict)


def compute_clusters(
    model: PlaceModel,
    database: ImageSet,
    num_clusters: int,
    *,
    seed: int = 123,
    num_images: int = NUM_IMAGES,
    features_per_image: int = FEATURES_PER_IMAGE,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> Clusters:
    """K-means over local features of random database images (NetVLAD paper, appendix A).

    The features are what the layer will see: L2-normalised over channels. Smaller data sets give
    what they have: fewer images, or all cells of an image that has fewer than wanted.

    Args:
        model: moved to ``compute.device``; its encoder computes the features, its pooling is not
            used.
        database: images to sample from.
        num_clusters: K.
        seed: governs the sample and k-means; the result does not depend on threads.
        num_images: how many images to sample, without replacement.
        features_per_image: how many random cells of each, without replacement.
        compute: where and how.
        report: receives progress and notes.

    Raises:
        ClusterError: fewer local features than clusters, or no usable image.
    """
    descriptors = sample_local_features(
        model,
        database,
        seed=seed,
        num_images=num_images,
        features_per_image=features_per_image,
        compute=compute,
        report=report,
    )
    if len(descriptors) < num_clusters:
        raise ClusterError(
            f"{database.root}: {len(descriptors)} local features cannot form {num_clusters} "
            f"clusters; choose --num-clusters at most {len(descriptors)} or add images"
        )
    report(Note(f"k-means: {num_clusters} clusters of {len(descriptors)} local features"))
    return Clusters(kmeans(descriptors, num_clusters, seed=seed), descriptors)


def kmeans(
    points: NDArray[np.float32],
    num_clusters: int,
    *,
    seed: int,
    iterations: int = KMEANS_ITERATIONS,
) -> NDArray[np.float32]:
    """K-means centres (K, D) of ``points`` (M, D), the same for the same seed."""
    dimension = points.shape[1]
    if len(points) == num_clusters:
        return points.copy()
    solver = faiss.Kmeans(
        dimension,
        num_clusters,
        niter=iterations,
        seed=seed,
        # faiss would subsample above 256 points a centre and warn below 39: we chose the sample.
        max_points_per_centroid=len(points),
        min_points_per_centroid=1,
        verbose=False,
    )
    solver.train(np.ascontiguousarray(points, dtype=np.float32))
    return np.array(solver.centroids, dtype=np.float32).reshape(num_clusters, dimension)


@torch.inference_mode()
def sample_local_features(
    model: PlaceModel,
    database: ImageSet,
    *,
    seed: int,
    num_images: int = NUM_IMAGES,
    features_per_image: int = FEATURES_PER_IMAGE,
    compute: Compute = Compute(),
    report: Reporter = silent,
) -> NDArray[np.float32]:
    """Random L2-normalised cells of the encoder's map of random images: (M, D) float32.

    Raises:
        ClusterError: not one image could be used.
    """
    random = np.random.default_rng(seed)
    wanted = min(num_images, len(database))
    if wanted < num_images:
        report(Note(f"the database has {wanted} images; {num_images} would be sampled of more"))
    chosen = np.sort(random.choice(len(database), size=wanted, replace=False))
    # One generator per image, so that an unreadable image does not shift the cells of the others.
    cell_seeds = random.integers(2**63, size=wanted)
    parts: dict[int, NDArray[np.float32]] = {}
    done = 0
    model = compute.place(model)
    with evaluating(model):
        for part in results_of(model, model.local_features, database, compute, indices=chosen):
            if isinstance(part, Unreadable):
                report(Note(f"skipped {part.error}"))
                done += 1
            else:
                for index, cells in zip(part[0].tolist(), part[1].cpu().numpy(), strict=True):
                    draw = np.random.default_rng(cell_seeds[np.searchsorted(chosen, index)])
                    count = min(features_per_image, cells.shape[1])
                    parts[index] = cells[:, draw.choice(cells.shape[1], count, replace=False)].T
                done += len(part[0])
            report(Progress("Sampling local features", done, wanted))
    if not parts:
        raise ClusterError(f"{database.root}: none of {wanted} sampled images could be used")
    return np.concatenate([parts[index] for index in sorted(parts)])


def initialise(model: PlaceModel, clusters: Clusters, report: Reporter = silent) -> PlaceModel:
    """Set a model's NetVLAD layer from clusters; other poolings need none.

    Returns:
        The model itself.

    Raises:
        ClusterError: the clusters have another dimension or number than the layer.
    """
    if isinstance(model.pool, NetVLAD):
        model.pool.init_from_clusters(
            torch.from_numpy(clusters.centroids), torch.from_numpy(clusters.descriptors)
        )
        report(Note(f"NetVLAD initialised from clusters: alpha = {model.pool.alpha:.2f}"))
    return model


def write_clusters(path: str | Path, clusters: Clusters) -> None:
    """Write a cluster file in pytorch-NetVlad's layout (HDF5: ``descriptors``, ``centroids``).

    Raises:
        StorageError: the file cannot be written.
    """
    with extra("train"):
        import h5py  # noqa: PLC0415 - an extra
    with written_beside(Path(path)) as temporary, h5py.File(temporary, "w") as file:
        file["descriptors"] = clusters.descriptors.astype(np.float32)
        file["centroids"] = clusters.centroids.astype(np.float32)
        for key, value in clusters.made_by.items():
            file.attrs[key] = value


def read_clusters(path: str | Path) -> Clusters:
    """Read a cluster file, ours or pytorch-NetVlad's.

    Raises:
        ClusterError: the file is missing, is no cluster file, or its parts do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ClusterError(
            f"{path}: no cluster file; make it with `netvlad cluster` or name one with --clusters"
        )
    with extra("train"):
        import h5py  # noqa: PLC0415 - an extra
    try:
        with h5py.File(path, "r") as file:
            centroids = np.asarray(file["centroids"], dtype=np.float32)
            descriptors = np.asarray(file["descriptors"], dtype=np.float32)
            made_by = {str(key): str(value) for key, value in file.attrs.items()}
    except KeyError as error:
        raise ClusterError(f"{path}: is not a cluster file: it lacks {error}") from error
    except (OSError, TypeError, ValueError) as error:
        raise ClusterError(f"{path}: is not a readable HDF5 cluster file ({error})") from error
    if centroids.ndim != 2 or descriptors.ndim != 2 or centroids.shape[1] != descriptors.shape[1]:
        raise ClusterError(
            f"{path}: centroids {centroids.shape} and descriptors {descriptors.shape} do not fit"
        )
    if not (np.isfinite(centroids).all() and np.isfinite(descriptors).all()):
        raise ClusterError(f"{path}: contains values that are not finite; compute it again")
    return Clusters(centroids, descriptors, made_by)
