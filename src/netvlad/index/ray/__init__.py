"""Describing the photos of an index on a Ray cluster, when one machine is not enough."""

from netvlad.index.ray.cluster import RayCluster

__all__ = ["RayCluster"]
