"""The network that both sides run."""

import torch
from PIL import Image

from benchmarks.setting import NUM_CLUSTERS, Setting
from netvlad.fitting import read_clusters
from netvlad.models import ModelSpec, NetVLAD, PlaceModel, build_model
from netvlad.types import ImageSet


def our_model(setting: Setting) -> PlaceModel:
    """VGG16 with NetVLAD as training starts; the original's takes its weights."""
    clusters = read_clusters(setting.cluster_file)
    spec = ModelSpec(arch="vgg16", pooling="netvlad", num_clusters=NUM_CLUSTERS)
    model = build_model(spec, weights=setting.trunk_file)
    assert isinstance(model.pool, NetVLAD)
    model.pool.init_from_clusters(
        torch.from_numpy(clusters.centroids), torch.from_numpy(clusters.descriptors)
    )
    return model.to(setting.device)


def image_size(images: ImageSet) -> tuple[int, int]:
    """(height, width) of the first image."""
    with Image.open(images.path(0)) as image:
        return image.height, image.width
