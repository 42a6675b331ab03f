from dataclasses import replace

import h5py
import numpy as np
import pytest

from netvlad.compute import Compute
from netvlad.datasets import open_dataset
from netvlad.errors import ClusterError, StorageError
from netvlad.fitting import Clusters, compute_clusters, read_clusters, write_clusters
from netvlad.fitting.clustering import kmeans, sample_local_features
from netvlad.models import ModelSpec, build_model
from netvlad.types import Note


@pytest.fixture(scope="module")
def model():
    return build_model(ModelSpec(arch="efficientnet-lite0"), weights="imagenet")


@pytest.fixture(scope="module")
def database(tiny_data):
    return open_dataset("csv", tiny_data, "train").database


def test_features_are_unit_cells_of_the_map(model, database):
    features = sample_local_features(model, database, seed=1, num_images=3, features_per_image=4)
    assert features.shape == (12, 112)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_features_do_not_depend_on_batches_or_threads(model, database):
    one = sample_local_features(model, database, seed=1, compute=Compute(batch_size=5, threads=0))
    other = sample_local_features(
        model, database, seed=1, compute=Compute(batch_size=24, threads=4)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_small_data_gives_what_it_has(model, database):
    notes = []
    clusters = compute_clusters(
        model,
        database,
        4,
        seed=3,
        report=lambda e: notes.append(e) if isinstance(e, Note) else None,
    )
    # 80×96 pixels at stride 16 have 30 cells, fewer than the hundred wanted.
    assert clusters.descriptors.shape == (24 * 30, 112)
    assert clusters.centroids.shape == (4, 112)
    assert any("24 images" in note.text for note in notes)
    again = compute_clusters(model, database, 4, seed=3, compute=Compute(threads=2))
    np.testing.assert_array_equal(clusters.centroids, again.centroids)


def test_fewer_features_than_clusters(model, database):
    with pytest.raises(ClusterError, match="60 local features cannot form 61 clusters"):
        compute_clusters(model, database, 61, num_images=2)


def test_no_usable_image(model, database):
    gone = replace(database, names=tuple(f"gone/{n}" for n in database.names))
    with pytest.raises(ClusterError, match="none of 24 sampled images"):
        compute_clusters(model, gone, 4)


def test_kmeans_ends_where_every_centre_is_the_mean_of_its_points():
    random = np.random.default_rng(0)
    blobs = random.normal(0, 10, (4, 1, 6)) + random.normal(0, 0.1, (4, 50, 6))
    points = blobs.reshape(-1, 6).astype(np.float32)
    found = kmeans(points, 4, seed=0)
    nearest = np.linalg.norm(points[:, None] - found[None], axis=-1).argmin(1)
    assert set(nearest) == {0, 1, 2, 3}
    for k in range(4):
        np.testing.assert_allclose(found[k], points[nearest == k].mean(0), atol=1e-4)
    np.testing.assert_array_equal(found, kmeans(points, 4, seed=0))


def test_files_go_and_come_back(tmp_path):
    clusters = Clusters(
        np.ones((2, 3), np.float32), np.zeros((5, 3), np.float32), {"arch": "vgg16"}
    )
    write_clusters(tmp_path / "deep" / "c.hdf5", clusters)
    back = read_clusters(tmp_path / "deep" / "c.hdf5")
    np.testing.assert_array_equal(back.centroids, clusters.centroids)
    np.testing.assert_array_equal(back.descriptors, clusters.descriptors)
    assert back.made_by == {"arch": "vgg16"}


def test_bad_files_are_one_line(tmp_path):
    with pytest.raises(ClusterError, match="no cluster file; make it with `netvlad cluster`"):
        read_clusters(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(ClusterError, match="is not a readable HDF5"):
        read_clusters(tmp_path / "text.hdf5")
    with h5py.File(tmp_path / "empty.hdf5", "w"):
        pass
    with pytest.raises(ClusterError, match="is not a cluster file"):
        read_clusters(tmp_path / "empty.hdf5")
    with h5py.File(tmp_path / "odd.hdf5", "w") as file:
        file["centroids"], file["descriptors"] = np.ones((2, 3)), np.ones((5, 4))
    with pytest.raises(ClusterError, match="do not fit"):
        read_clusters(tmp_path / "odd.hdf5")
    with h5py.File(tmp_path / "nan.hdf5", "w") as file:
        file["centroids"], file["descriptors"] = np.full((2, 3), np.nan), np.ones((5, 3))
    with pytest.raises(ClusterError, match="not finite"):
        read_clusters(tmp_path / "nan.hdf5")
    (tmp_path / "a_file").write_text("")
    with pytest.raises(StorageError):
        write_clusters(
            tmp_path / "a_file" / "c.hdf5",
            Clusters(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)),
        )


def test_reads_a_file_of_pytorch_netvlad(shared):
    clusters = read_clusters(shared / "weights/vgg16_pitts30k_64_desc_cen.hdf5")
    assert clusters.centroids.shape == (64, 512)
    assert clusters.descriptors.shape == (4000, 512)
